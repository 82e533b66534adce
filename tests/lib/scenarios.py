"""What each service is asked to do in the fault tests, by callers that do not give up, and what must have come of it.

A scenario is played once: prepare(), start the service, act(), judge(). Meanwhile the service may die, or its calls fail: each
message must end with its effect there exactly once, or dead with its reason; nothing lost, nothing twice.
"""

import json
import time
import uuid

import requests

from .auth import BOT_TOKEN, PASSWORD, init_data, new_name
from .combat import Combat, fight_of, part
from .gateway import SERVICE_TOKEN
from .load import EFFECTS
from .tick import Tick
from .wait import wait_for

PATIENCE_S = 30
STRANGER = 2**52  # a character that does not exist


def queues_of(stack, service, cache={}):  # noqa: B006 # asked once
    """A service's queues and rungs, and the dead; the gateway has none."""
    if not cache:
        cache["all"] = [queue["name"] for queue in json.loads(stack.ctl("topology", "export").stdout)["queues"]]
    if service == "fixture":
        return [f"game.{service}", f"game.{service}.retry.1s", f"game.{service}.dead"]
    return [name for name in cache["all"] if name == f"game.{service}" or name.startswith(f"game.{service}.") and not name.endswith(".rpc")]


class Scenario:
    service = None
    settings = {}
    helpers = ()  # services beside it, which nothing happens to
    headers = None  # of each durable command

    def __init__(self, stack, amqp):
        self.stack, self.amqp, self.redis = stack, amqp, stack.redis
        self.database = stack.database()
        self.name = uuid.uuid4().hex[:12]
        for queue in queues_of(stack, self.service):  # of one that failed before
            amqp.purge(queue)

    def close(self):
        self.database.close()

    def sql(self, statement, *values):
        with self.database.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else None

    def characters(self, n, **columns):
        names = ", ".join(["name", *columns])
        marks = ", ".join(["%s"] * (1 + len(columns)))
        return [
            row[0]
            for row in self.sql(
                f"INSERT INTO characters ({names}) SELECT {marks} FROM generate_series(1, %s) RETURNING id",
                "N", *columns.values(), n,
            )
        ]  # fmt: skip

    def command(self, command, body, key=None):
        """By the durable lane, confirmed by the broker."""
        name = f"{self.name}-{key or uuid.uuid4().hex[:8]}"
        self.amqp.publish(f"{self.service}.{command}", body, message_id=name, headers=self.headers)

    def take_dead(self):
        """The dead messages there are."""
        return self.amqp.drain(f"game.{self.service}.dead")

    def ask(self, command, body, timeout=2, final=(), key=None, service=None):
        """By the request lane, again and again as players do; returns the reply that is an answer, or refuses with a code of final."""
        until = time.monotonic() + PATIENCE_S
        options = {"message_id": f"{self.name}-{key}"} if key else {}
        while True:
            try:
                reply = self.amqp.call(f"{service or self.service}.{command}", body, timeout=timeout, **options)
                if reply.ok or reply.code in final:
                    return reply
                problem = reply.error
                assert reply.error["retryable"], f"{command}: {problem}"
            except AssertionError as error:
                if "in vain for the reply" not in str(error):
                    raise
                problem = error
            assert time.monotonic() < until, f"{command} {body}: {problem}"
            time.sleep(0.05)

    def check_dead(self, wanted):
        """{key: code} of the messages that were refused: these and no others; one whose ack was lost may be there twice."""
        seen = {}

        def all_dead():
            for message in self.take_dead():
                name, _, key = message.properties.message_id.partition("-")
                if name == self.name:
                    seen[key] = message.headers["g-code"]
            assert seen == wanted, (seen, wanted)
            return True

        wait_for(all_dead, PATIENCE_S, what="the dead messages")

    def on_the_way(self):
        """{queue: messages} of those that hold any; what a worker has not acked is not seen before it ends."""
        depths = {n: self.amqp.depth(n) for n in queues_of(self.stack, self.service) if not n.endswith(".dead")}
        return {name: depth for name, depth in depths.items() if depth}

    def prepare(self):
        pass

    def act(self):
        raise NotImplementedError

    def judge(self):
        raise NotImplementedError

    def finish(self):
        """Leave nothing running for the next."""


class Ticks(Scenario):
    """Sessions that begin, tick and end, one that was lost on its way, and one whose player is live."""

    service = "tick"
    INTERVAL_S = 0.25
    settings = {"tick_interval": "250ms", "tick_catchup_max": 1000, "tick_events": "on"}

    def prepare(self):
        self.tick = Tick(self.stack, self.amqp)
        self.sql("DELETE FROM auto_sessions")
        self.tick.rules(xp=10, gold=3, energy=-1, loot='[{"item_template_id": "herb_sage", "weight": 1}]')
        self.tick.keep_ledger()
        self.players = self.characters(4)
        self.lost, self.live, self.gone = self.characters(3)
        self.tick.put_session(self.lost, self.INTERVAL_S, 5)
        cursor_us = self.tick.value("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        self.redis.set("tick:cursor", f"{cursor_us}:0")
        self.redis.hset(f"ac:{self.live}", mapping={"state": "idle", "bio": "{}", "stats": "{}", "location": "{}", "vitals":
            '{"hp":{"cur":100,"max":100},"energy":{"cur":100,"max":100}}'})  # fmt: skip
        self.events = self.amqp.events("tick.completed")

    def sessions(self):
        return [*self.players, self.live, self.lost]

    def act(self):
        for player_id, category in zip([*self.players, self.live], ("exploration", "crafting", "trade", "general", "general")):
            self.command("start_auto_session", {"player_id": player_id, "active_category": category})
        self.command("start_auto_session", {"player_id": STRANGER, "active_category": "general"}, key="stranger")
        self.command("start_auto_session", {"player_id": self.gone, "active_category": "general"}, key="gone")
        wait_for(lambda: self.tick.row(self.gone), PATIENCE_S, what="the session to begin")
        self.command("delete_auto_session", {"player_id": self.gone})
        wait_for(lambda: not self.tick.row(self.gone), PATIENCE_S, what="the session to end")
        self.command("start_auto_session", {"player_id": self.gone, "active_category": "general"}, key="gone")  # a repeat

    def judge(self):
        for player_id in self.sessions():
            wait_for(lambda: (self.tick.row(player_id) or {"ticks": 0})["ticks"] >= 3, PATIENCE_S, what="ticks")  # noqa: B023
        wait_for(lambda: self.tick.overdue(1) == 0, PATIENCE_S, what="none to be overdue")
        self.check_dead({"stranger": "not_found"})
        for player_id in self.sessions():
            self.command("delete_auto_session", {"player_id": player_id})
        wait_for(lambda: self.tick.value("SELECT count(*) FROM auto_sessions") == 0, PATIENCE_S, what="all sessions to end")
        assert not self.tick.row(self.gone), "a repeat began it again"
        self.tick.check_ledger(self.INTERVAL_S, 1000)
        energy = self.tick.energy(self.live)
        live = json.loads(self.redis.hget(f"ac:{self.live}", "vitals"))["energy"]["cur"]
        assert live == energy < 100, (live, energy)
        self.check_events()

    def check_events(self):
        """What the events tell, each counted once by its id, is what the sessions got."""
        wait_for(lambda: self.tick.value("SELECT count(*) FROM tick_events") == 0, PATIENCE_S, what="the events to be out")
        told = {}
        for body in {event.properties.message_id: event.body for event in self.events.all()}.values():
            for entry in body["characters"]:
                told[entry["char_id"]] = told.get(entry["char_id"], 0) + entry["ticks"]
        rows = dict(self.sql("SELECT player_id, sum(ticks)::int FROM ledger WHERE player_id = ANY (%s) AND ticks > 0 GROUP BY 1",
                             [*self.sessions(), self.gone]))  # fmt: skip
        assert told == rows

    def finish(self):
        self.tick.close()


class Arena(Scenario):
    """Pairs that meet, one who waits in vain, one who leaves; and whoever asks is told the same."""

    service = "arena"
    settings = {"arena_request_ttl": "2s", "arena_announce_lease": "1s"}

    def prepare(self):
        self.pairs = self.characters(4)
        self.lonely, self.leaver = self.characters(2)
        self.sql("INSERT INTO item_templates (id, gear_score) VALUES (%s, %s)", f"gear-{self.name}", 10**6)
        self.sql("INSERT INTO inventory (character_id, item_template_id, quantity, is_equipped, slot)"
                 " VALUES (%s, %s, 1, true, 'body')", self.lonely, f"gear-{self.name}")  # fmt: skip
        self.events = self.amqp.events("arena.#")

    def act(self):
        self.command("join_queue", {"char_id": STRANGER, "mode": "1v1"}, key="stranger")
        self.command("join_queue", {"char_id": self.leaver, "mode": "ranked"}, key="leaver")
        self.command("join_queue", {"char_id": self.lonely, "mode": "ranked"})
        for char_id in self.pairs:
            self.command("join_queue", {"char_id": char_id, "mode": "1v1"}, key=f"join-{char_id}")
        requests = [f"arena:request:{char_id}" for char_id in (self.leaver, *self.pairs)]
        joined = set()

        def all_joined():
            joined.update(key for key in requests if self.redis.exists(key) or self.redis.exists(key.replace("request", "last")))
            return len(joined) == len(requests)

        wait_for(all_joined, PATIENCE_S, 0.005, what="the requests")
        self.command("leave_queue", {"char_id": self.leaver, "mode": "ranked"}, key="left")

    def fate(self, char_id):
        """matched or timeout, once it is decided."""
        def decided():
            answer = self.ask("check_match", {"char_id": char_id, "mode": "1v1"}).result
            return answer if answer["status"] in ("matched", "timeout") else None

        return wait_for(decided, PATIENCE_S, interval=0.05, what=f"the fate of {char_id}")

    def judge(self):
        keys = [f"arena:request:{char_id}" for char_id in self.pairs]
        wait_for(lambda: not self.redis.exists(*keys), PATIENCE_S, what="the workers to match them, though nobody asks")
        fates = {char_id: self.fate(char_id) for char_id in self.pairs}
        battles = {fate["battle"]["session_id"]: fate["battle"] for fate in fates.values() if fate["status"] == "matched"}
        matched = {char_id for char_id, fate in fates.items() if fate["status"] == "matched"}
        met = [entry["char_id"] for battle in battles.values() for entry in battle["participants"]]
        assert sorted(met) == sorted(matched), fates
        for char_id in matched:
            assert fates[fates[char_id]["opponent_id"]]["opponent_id"] == char_id
        wait_for(lambda: not self.redis.exists(f"arena:request:{self.leaver}"), PATIENCE_S, what="the leaver to have left")
        left = self.ask("leave_queue", {"char_id": self.leaver, "mode": "ranked"}).result
        assert left == {"left": False}, "who left is in the queue again"
        self.check_dead({"stranger": "not_found"})
        expired = {self.lonely} | (set(self.pairs) - matched)
        self.check_events(battles, matched, expired)
        assert self.ask("get_queue_status", {"char_id": self.lonely}).result["active"] is False

    def is_ours(self, body):
        ours = {*self.pairs, self.lonely, self.leaver}
        return body.get("char_id") in ours or any(entry["char_id"] in ours for entry in body.get("participants", []))

    def check_events(self, battles, matched, expired):
        seen = {}

        def all_told():
            for event in self.events.all():
                seen[event.properties.message_id] = event
            told = [(e.routing_key, e.body) for e in seen.values() if self.is_ours(e.body)]
            created = sorted(body["session_id"] for key, body in told if key == "arena.battle_created")
            found = sorted(body["char_id"] for key, body in told if key == "arena.match_found")
            ended = {body["char_id"] for key, body in told if key == "arena.request_expired"}
            assert created == sorted(battles) and found == sorted(matched), (created, found, battles)
            assert ended >= expired and not ended & matched, (ended, expired)
            return True

        wait_for(all_told, PATIENCE_S, what="the events")


class Fights(Scenario):
    """Fights that are settled, one of them sent twice, one in conflict and one with a stranger."""

    service = "combat-settlement"

    def prepare(self):
        self.combat = Combat(self.stack, self.amqp)
        self.combat_characters = self.characters(4)
        a, b, c, d = self.combat_characters
        self.potion, self.last = self.combat.item(a, "hp_pot_small", 5), self.combat.item(b, "hp_pot_small", 1)
        first = fight_of({a: part(xp=100, gold=10, hp=40, consumed={self.potion: ("hp_pot_small", 2)}, gained={"wolf_pelt": 1}),
                          b: part(False, xp=5, hp=0, consumed={self.last: ("hp_pot_small", 1)})}, end=1735460000)  # fmt: skip
        second = fight_of({c: part(xp=7, gold=1, energy=30), d: part(False, xp=3, gained={"wolf_pelt": 2})}, end=1735460001)
        third = fight_of({a: part(False, xp=1, hp=20), c: part(gold=50)}, end=1735460002)
        self.fights = [first, second, third]
        self.conflict = {**second, "meta": {**second["meta"], "winner_team": "red"}}
        self.strange = fight_of({d: part(xp=10**6), STRANGER: part(False)})
        self.combat.context(c, state="combat", combat_session_id=second["session_id"])
        self.sql("UPDATE characters SET game_stage = 'combat' WHERE id = %s", c)
        self.redis.set(f"combat:session:{second['session_id']}", "{}")
        self.events = self.amqp.events("combat-settlement.settled")

    def act(self):
        for n, document in enumerate([*self.fights, self.fights[0]]):
            self.command("settle_combat", document, key=f"fight-{n}")
        wait_for(lambda: self.combat.status(self.fights[1]["session_id"]) == "processed", PATIENCE_S, what="the fight")
        self.command("settle_combat", self.conflict, key="conflict")
        self.command("settle_combat", self.strange, key="strange")

    def judge(self):
        for document in self.fights:
            wait_for(lambda: self.combat.status(document["session_id"]) == "processed", PATIENCE_S, what="a fight")  # noqa: B023
            wait_for(lambda: self.redis.exists(f"combat:result_cache:{document['session_id']}"), PATIENCE_S)  # noqa: B023
        self.check_dead({"conflict": "conflict", "strange": "not_found"})
        a, b, c, d = self.combat_characters
        answer = self.ask("get_combat_result", {"session_id": self.fights[0]["session_id"], "char_id": a}).result
        assert answer["status"] == "finished" and answer["result"]["xp_gained"] == 100
        assert self.combat.status(self.strange["session_id"]) == "failed"
        assert [self.combat.purse(id) for id in (a, b, c, d)] == [(101, 10), (5, 0), (7, 51), (3, 0)]
        assert [self.combat.items(id) for id in (a, b, c, d)] == [
            {"hp_pot_small": 3, "wolf_pelt": 1}, {}, {}, {"wolf_pelt": 2}
        ]  # fmt: skip
        assert self.combat.vitals(a)[0] == 20 and self.combat.vitals(b)[0] == 0

        def in_line():
            return self.redis.hget(f"ac:{c}", "state") == "idle" and self.combat.stage(c) == "idle"

        wait_for(in_line, PATIENCE_S, what="the context to be in line")
        assert not self.redis.exists(f"combat:session:{self.fights[1]['session_id']}")
        self.check_published()

    def check_published(self):
        """An event for each fight under one id, and the backup of the one whose state changed."""
        settled, backups = set(), set()

        def out():
            settled.update(event.properties.message_id for event in self.events.all())
            backups.update(m.properties.message_id for m in self.amqp.drain("game.state-backup"))
            return settled >= {f"settled-{document['session_id']}" for document in self.fights} and any(
                str(self.combat_characters[2]) in id for id in backups
            )

        wait_for(out, PATIENCE_S, what="the events and the backup")
        assert len(settled) == len(self.fights)

    def finish(self):
        self.combat.close()


class Backups(Scenario):
    """Caches that are marked, asked for and restored, and one that cannot be read at first."""

    service = "state-backup"
    settings = {"backup_interval": "200ms"}

    def prepare(self):
        self.redis.flushdb()  # the marks of others, and with them the caches that they stand for
        self.marked, self.asked = self.characters(4), self.characters(2)
        self.restored = self.characters(3, game_stage="trade", location_id="town")
        (self.unreadable,) = self.characters(1)
        self.session = str(uuid.uuid4())
        for char_id in (*self.marked, *self.asked, self.unreadable):
            self.write(char_id)
        self.redis.hset(f"ac:{self.marked[0]}", mapping={"state": "scenario", "scenario_session_id": self.session})
        self.redis.hset(f"scenario:session:{self.session}", mapping={"step": 4})
        self.redis.hset(f"ac:{self.unreadable}", "stats", "{no JSON")
        self.redis.sadd("dirty_accounts", *self.marked, self.unreadable)
        self.snapshot = str(uuid.uuid4())
        self.sql("UPDATE characters SET game_stage = 'inventory' WHERE id = %s", self.restored[0])
        self.sql("INSERT INTO session_snapshots (kind, session_id, character_id, storage, payload, key_prefix)"
                 " VALUES ('inventory', %s, %s, 'string', 'open', 'inventory:session:')", self.snapshot, self.restored[0])  # fmt: skip
        self.events = self.amqp.events("state-backup.restored")

    def write(self, char_id, hp=50):
        vitals = {"hp": {"cur": hp, "max": 100}, "energy": {"cur": 9, "max": 100}}
        self.redis.hset(f"ac:{char_id}", mapping={"state": "exploring", "bio": '{"name": "B"}', "stats": '{"str": 3}',
            "location": '{"current": "cave", "prev": null}', "vitals": json.dumps(vitals)})  # fmt: skip

    def act(self):
        for char_id in self.asked:
            self.command("backup_full_state", {"char_id": char_id})
        self.command("backup_full_state", {"char_id": STRANGER}, key="stranger")
        for char_id in self.restored:
            self.command("restore_full_state", {"char_id": char_id}, key=f"restore-{char_id}")

    def saved(self, char_id):
        return self.sql(
            "SELECT c.game_stage, c.location_id, (c.vitals #>> '{hp,cur}')::int, s.stats FROM characters c"
            " LEFT JOIN character_stats s ON s.character_id = c.id WHERE c.id = %s", char_id
        )[0]  # fmt: skip

    def judge(self):
        for char_id in (*self.marked, *self.asked):
            stage = "scenario" if char_id == self.marked[0] else "exploring"
            wait_for(lambda: self.saved(char_id) == (stage, "cave", 50, {"str": 3}), PATIENCE_S, what="a backup")  # noqa: B023
        assert self.sql("SELECT session_id::text, storage FROM session_snapshots WHERE character_id = %s", self.marked[0]) == [
            (self.session, "hash")
        ]
        for char_id in self.restored:
            wait_for(lambda: self.redis.hget(f"ac:{char_id}", "bio"), PATIENCE_S, what="a restored cache")  # noqa: B023
        assert [self.redis.hget(f"ac:{char_id}", "state") for char_id in self.restored] == ["inventory", "trade", "trade"]
        assert self.redis.get(f"inventory:session:{self.snapshot}") == "open"
        self.check_dead({"stranger": "not_found"})
        self.write(self.unreadable)  # nobody marks it again
        wait_for(lambda: self.saved(self.unreadable)[2] == 50, PATIENCE_S, what="the one set aside")
        wait_for(lambda: not self.marks(), PATIENCE_S, what="the marks to be gone")
        told = set()

        def all_told():
            told.update((e.properties.message_id, e.body["char_id"]) for e in self.events.all())
            return {char_id for _, char_id in told} >= set(self.restored)

        wait_for(all_told, PATIENCE_S, what="the events")
        assert len(told) == len(self.restored)

    def marks(self):
        held = [key for key in self.redis.scan_iter("dirty_accounts:processing:*")]
        return [key for key in ("dirty_accounts", "dirty_accounts:aside", *held) if self.redis.exists(key)]


class Players(Scenario):
    """Accounts, logins, a character, a change of password: each call repeated until it is answered, as people do."""

    service = "auth"
    settings = {"telegram_bot_token": BOT_TOKEN}
    helpers = ("state-backup",)

    def prepare(self):
        self.login, self.user = new_name(), uuid.uuid4().int % 2**52 + 1
        self.sql("DELETE FROM auth_signing_keys")  # made anew at start
        self.events = self.amqp.events("auth.logged_in")

    def enter(self, password):
        return self.ask("login", {"login": self.login, "password": password}, timeout=5).result

    def act(self):
        self.ask("register", {"login": self.login, "password": PASSWORD}, final=("conflict",))
        first = self.enter(PASSWORD)
        made = self.ask(
            "create_character", {"access_token": first["access_token"], "name": "Hero", "gender": "other"}, key="hero"
        ).result
        self.char_id = made["char_id"]
        other = self.enter(PASSWORD)
        pair = self.ask("refresh", {"refresh_token": first["refresh_token"]}).result
        assert pair["char_id"] == self.char_id
        body = {"access_token": pair["access_token"], "old_password": PASSWORD, "new_password": PASSWORD + "!"}
        # The answer to the first may have been lost, or be late.
        self.ask("change_password", body, timeout=5, final=("unauthorized", "conflict"))
        self.check_valid(pair["access_token"], True)
        self.check_valid(other["access_token"], False)
        last = self.enter(PASSWORD + "!")
        self.ask("logout", {"access_token": last["access_token"]}, final=("unauthorized",))
        self.check_valid(last["access_token"], False)
        for _ in range(2):
            self.ask("login_telegram", {"init_data": init_data(self.user)})

    def check_valid(self, token, valid):
        assert self.ask("validate_token", {"access_token": token}).result["valid"] is valid

    def judge(self):
        (account,) = self.sql("SELECT id FROM accounts WHERE login = %s", self.login)[0]
        assert self.sql("SELECT id, name FROM characters WHERE account_id = %s", account) == [(self.char_id, "Hero")]
        assert self.sql("SELECT count(*) FROM accounts WHERE telegram_id = %s", self.user) == [(1,)]
        assert self.sql("SELECT count(*) FROM auth_signing_keys") == [(1,)]
        assert self.redis.exists(f"ac:{self.char_id}"), "no login has restored it"
        logins = self.sql("SELECT sid::text FROM auth_logins WHERE account_id = %s", account)
        ids = [event.properties.message_id for event in self.events.all()]
        assert len({id for id in ids if any(sid in id for (sid,) in logins)}) >= 3  # a login nobody was told of has none


class Web(Scenario):
    """Commands and requests over HTTP, each repeated under its key until it is answered."""

    service = "gateway"
    settings = {"service_token": SERVICE_TOKEN}
    helpers = ("tick",)

    def prepare(self):
        (self.player,) = self.characters(1)
        self.session = requests.Session()
        self.session.trust_env = False

    def send(self, method, path, json=None, key=None, good=(200, 201, 202)):
        until = time.monotonic() + PATIENCE_S
        headers = {"Authorization": "Bearer " + SERVICE_TOKEN}
        if key:
            headers["Idempotency-Key"] = f"{self.name}-{key}"
        while True:
            try:
                response = self.session.request(method, self.worker().url + path, json=json, headers=headers, timeout=5)
                if response.status_code in good:
                    return response.json()
                problem = response.text
                assert response.status_code in (503, 504), problem
            except (requests.ConnectionError, requests.Timeout) as error:
                problem = error
            assert time.monotonic() < until, f"{method} {path}: {problem}"
            time.sleep(0.05)

    def active(self):
        return self.sql("SELECT active_category, started_at FROM auto_sessions WHERE player_id = %s", self.player)

    def act(self):
        start = {"player_id": self.player, "active_category": "trade"}
        accepted = self.send("POST", "/commands/tick/start_auto_session", start, "start")
        assert accepted["message_id"] == f"{self.name}-start"
        (first,) = wait_for(self.active, PATIENCE_S, what="the session")
        shown = self.send("GET", f"/system/tick/auto-session/status?player_id={self.player}")
        assert shown["session"]["active_category"] == "trade"
        asked = self.send("POST", "/commands/tick/get_auto_session_status?wait=2000", {"player_id": self.player})
        assert asked["active"]
        started = self.send("POST", "/system/tick/auto-session/start", {**start, "active_category": "general"})
        assert started["started"] is False and self.active() == [first]
        self.send("POST", "/commands/tick/delete_auto_session", {"player_id": self.player}, "end")
        wait_for(lambda: not self.active(), PATIENCE_S, what="the session to end")
        self.send("POST", "/commands/tick/start_auto_session", start, "start")  # a repeat that comes late

    def judge(self):
        wait_for(lambda: not self.amqp.depth("game.tick"), PATIENCE_S)
        assert self.ask("get_auto_session_status", {"player_id": self.player}, service="tick").result["active"] is False


class Effects(Scenario):
    """The tests' own service: effects in both stores, events, attempts that fail."""

    service = "fixture"
    N = 10

    def prepare(self):
        self.events = self.amqp.events("fixture.emitted")
        self.redis.delete(EFFECTS)

    def act(self):
        for i in range(self.N):
            self.command("note", {"key": f"{self.name}-note-{i}"}, key=f"note-{i}")
            self.command("record", {"key": f"{self.name}-record-{i}"}, key=f"record-{i}")
            self.command("emit", {"n": 2}, key=f"emit-{i}")
            self.command("settle", {"key": f"{self.name}-again-{i}", "fail_attempts": 1}, key=f"again-{i}")
        self.command("note", {}, key="wrong")

    def judge(self):
        noted = {f"{self.name}-{kind}-{i}" for kind in ("note", "again") for i in range(self.N)}
        recorded = {f"{self.name}-record-{i}" for i in range(self.N)}

        def kept():
            return {key for (key,) in self.sql("SELECT key FROM fixture_effects WHERE key LIKE %s", self.name + "%")}

        wait_for(lambda: set(self.redis.lrange(EFFECTS, 0, -1)) == noted, PATIENCE_S, what="the effects in Redis")
        wait_for(lambda: kept() == recorded, PATIENCE_S, what="the effects in PostgreSQL")
        self.check_dead({"wrong": "invalid_payload"})
        emitted = {f"{self.name}-emit-{i}/{k}" for i in range(self.N) for k in range(2)}
        seen = set()

        def all_emitted():
            seen.update(event.properties.message_id for event in self.events.all())
            return seen >= emitted

        wait_for(all_emitted, PATIENCE_S, what="the events")
        assert seen == emitted


SCENARIOS = {scenario.service: scenario for scenario in (Ticks, Arena, Fights, Backups, Players, Web, Effects)}
