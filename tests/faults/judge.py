"""What must hold once all is healed and quiet: garrisonctl's audit, and a ledger of the test's own that knows nothing of the services' code.

I1  xp, gold and items are what distinct valid fights and ticks add up to
I2  one settlement a session
I3  cache and database agree, nothing is marked
I4  nobody is in two battles
I5  each due time of a session is credited once, without a gap
I6  what was confirmed was done, or is dead with its reason; nothing unexpected anywhere
I7  the fleet recovers in time, and no call is longer than its limit
I8  memory, descriptors and unacknowledged messages stay bounded
"""

import json
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ

from lib.wait import wait_for

from .load import STOCK
from .world import CATCHUP_MAX, MIB, PAIRED, RETRY_DELAYS, TICK_S

EVENTS = "test.events"
DRAINED_WITHIN_S = 60
# A command's soft limit is 3 s, settlement's two rounds and the cache's each stay below it; then the answer's way.
LONGEST_HANDLING_MS = 15000
# A client's own limit, and the connection it may have to make for it.
LONGEST_CALL_MS = 20000
RESIDENT_MORE = {"auth": 160 * MIB}
RESIDENT_MORE_OF_OTHERS = 16 * MIB
DESCRIPTORS_MAX = 128
AGAIN = ("timeout", "unavailable", "internal")


class Judge:
    def __init__(self, world, load, history):
        self.world, self.load, self.history = world, load, history
        self.stack = world.stack
        self.expected_dead = {}  # message id: the codes it may have died of
        self.expected_failed = set()  # sessions of fights that cannot be settled
        self.dead = Counter()  # message id: copies in the dead queue
        self.redriven = 0
        self.events = defaultdict(lambda: defaultdict(set))  # kind: session: message ids
        self.battles = {}  # session: (matched at, members)
        self.first_log = {}  # worker: how much of its log was read
        self.settled_lines = self.redelivered_lines = 0
        self.longest_ms = 0
        self.emptied_at = []  # when Redis was emptied: battles from before are forgotten
        self.redis_off = []  # (from, to, seconds): how far its clock was off, by that clock
        amqp = self.stack.amqp()
        amqp.channel.queue_declare(EVENTS, durable=True, arguments={"x-queue-type": "quorum"})
        for key in ("arena.battle_created", "combat-settlement.settled"):
            amqp.channel.queue_bind(EVENTS, "game.events", key)
        amqp.close()

    # Quiet ------------------------------------------------------------------------------------------------------------

    def queues(self):
        rungs = [f".retry.{delay}" for delay in RETRY_DELAYS.split(",")]
        return [f"game.{service}{part}" for service in (*PAIRED, "auth") for part in ("", ".rpc", *rungs)]

    def drain(self):
        """Nothing on its way anywhere; what died of a passing cause is sent again, and goes through."""
        amqp = self.stack.amqp()
        try:
            for _ in range(3):
                wait_for(lambda: self.is_quiet(amqp), DRAINED_WITHIN_S, interval=0.05, what="all to be quiet")
                again = sum(self.redrive(service) for service in (*PAIRED, "auth") if amqp.depth(f"game.{service}.dead"))
                self.redriven += again
                if not again:
                    break
            self.take_dead(amqp)
            self.take_events(amqp)
        finally:
            amqp.close()
        tick = self.world.tick()
        wait_for(lambda: tick.overdue(2) == 0, DRAINED_WITHIN_S, what="all that is due to be credited")
        tick.close()
        wait_for(self.nothing_marked, DRAINED_WITHIN_S, what="all marks to be saved")

    def is_quiet(self, amqp):
        deep = {queue: depth for queue in self.queues() if (depth := amqp.depth(queue))}
        assert not deep, deep
        for worker in self.world.workers.values():
            metrics = worker.metrics()
            busy = {m: metrics[m] for m in ("garrison_in_flight", "garrison_publish_waiting") if metrics.get(m)}
            assert not busy, f"{worker}: {busy}"
        assert self.stack.redis.zcard("arena:announce") == 0, "arena:announce is not empty"
        return True

    def redrive(self, service):
        n = 0
        for code in AGAIN:
            done = self.stack.ctl("dead", "redrive", service, f"--code={code}", "--json", check=False)
            if done.returncode == 0 and done.stdout.strip():
                told = json.loads(done.stdout)
                n += int(told.get("redriven", 0))
        return n

    def nothing_marked(self):
        keys = [key for key in self.stack.redis.scan_iter("dirty_accounts*")]
        left = [key for key in keys if key == "dirty_accounts" or ":processing:" in key or key.endswith(":aside")]
        assert not left, left
        return True

    def take_dead(self, amqp):
        for service in (*PAIRED, "auth"):
            for message in amqp.drain(f"game.{service}.dead"):
                self.dead[message.properties.message_id] += 1
                codes = self.expected_dead.get(message.properties.message_id)
                if not codes or message.headers.get("g-code") not in codes:
                    self.history.note("dead", service=service, id=message.properties.message_id,
                                      headers={k: str(v) for k, v in message.headers.items()})  # fmt: skip

    def redis_was_off(self, began, ended, seconds):
        """Its clock was so many seconds off between these times: what it has dated so was then, and what had a lifetime is forgotten."""
        self.redis_off.append((began + seconds, ended + seconds, seconds))
        self.emptied_at.append(ended)

    def true_time(self, text):
        """Of a date by Redis's clock, in seconds since the epoch."""
        at = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
        return at - sum(seconds for began, ended, seconds in self.redis_off if began <= at <= ended)

    def take_events(self, amqp):
        for message in amqp.drain(EVENTS):
            kind = message.routing_key
            self.events[kind][message.body["session_id"]].add(message.properties.message_id)
            if kind == "arena.battle_created":
                members = [p["char_id"] for p in message.body["participants"]]
                self.battles[message.body["session_id"]] = (self.true_time(message.body["matched_at"]), members)

    # The verdict ------------------------------------------------------------------------------------------------------

    def check(self, first=0, stopped_s=0):
        """[(invariant, what is wrong)], most telling first; first: the history's length when the fault began; stopped_s: so long
        was a worker stopped with messages in hand."""
        problems = []
        self.seen_now = self.snapshot()
        for invariant, look in (
            ("I1", self.sums), ("I2", self.settlements), ("I3", self.agreement), ("I4", self.no_double_battle),
            ("I5", self.ticks), ("I6", self.nothing_lost), ("I6", self.accounts), ("I8", self.bounded),
            ("audit", self.audit),
        ):  # fmt: skip
            try:
                problems += [(invariant, problem) for problem in look()][:5]
            except AssertionError as error:
                problems.append((invariant, str(error)[:2000]))
        problems += [("I6", f"untrue answer: {u}") for u in self.history.of("untrue", first)]
        problems += [("I7", problem) for problem in self.late(first, stopped_s)]
        return problems

    def snapshot(self):
        """Characters, items, ticks and fights of one moment; sessions go on being credited."""
        connection = psycopg2.connect(self.stack.database_url)
        try:
            connection.set_isolation_level(ISOLATION_LEVEL_REPEATABLE_READ)
            with connection, connection.cursor() as cursor:
                answers = []
                for statement in (
                    "SELECT id, xp, gold FROM characters WHERE id = ANY (%s)",
                    "SELECT character_id, item_template_id, sum(quantity)::bigint FROM inventory WHERE character_id = ANY (%s) GROUP BY 1, 2",
                    "SELECT player_id, sum(ticks)::bigint FROM ledger WHERE player_id = ANY (%s) GROUP BY 1",
                ):
                    cursor.execute(statement, (self.load.ids,))
                    answers.append(cursor.fetchall())
                cursor.execute("SELECT session_id::text, settlement_status, result_payload, settled_at FROM combat_history")
                answers.append(cursor.fetchall())
        finally:
            connection.close()
        return answers

    def sums(self):
        characters, items, ticks, fights = self.seen_now
        xp, gold, held = Counter(), Counter(), defaultdict(Counter)
        for char_id, n in ticks:  # each tick gives 10 xp, 3 gold and one sage, by the rule that the load has set
            xp[char_id] += 10 * n
            gold[char_id] += 3 * n
            held[char_id]["herb_sage"] += n
        for session, status, _, _ in fights:
            if status != "processed" or session not in self.load.engine.documents:
                continue
            for name, entry in self.load.engine.documents[session]["participants"].items():
                char_id, changes = int(name), entry["changes"]
                xp[char_id] += changes["xp_gained"]
                gold[char_id] += changes["gold_gained"]
                for item in changes.get("items_consumed", ()):
                    held[char_id]["pot"] -= item["qty"]
                for item in changes["items_gained"]:
                    held[char_id][item["item_template_id"]] += item["qty"]
        found = defaultdict(dict)
        for char_id, template, n in items:
            found[char_id][template] = n
        for char_id, has_xp, has_gold in characters:
            should = {t: n for t, n in (held[char_id] + Counter()).items()}
            should["pot"] = STOCK + held[char_id]["pot"]
            if (has_xp, has_gold) != (xp[char_id], gold[char_id]):
                yield f"character {char_id} has {has_xp} xp, {has_gold} gold; the ledger says {xp[char_id]}, {gold[char_id]}"
            if found[char_id] != should:
                yield f"character {char_id} has {found[char_id]}; the ledger says {should}"

    def settlements(self):
        _, _, _, fights = self.seen_now
        documents = self.load.engine.documents
        for session, status, payload, _ in fights:
            if session in documents and (status != "processed" or payload != documents[session]):
                yield f"fight {session} is {status}, its document {'the same' if payload == documents[session] else 'another'}"
        events = self.events["combat-settlement.settled"]
        for session, status, _, _ in fights:
            if status == "processed" and len(events[session]) != 1:
                yield f"fight {session} was told of by {len(events[session])} message ids"

    def agreement(self):
        tick = self.world.tick()
        stored = dict(tick.sql("SELECT id, location_id FROM characters WHERE id = ANY (%s)", self.load.ids))
        tick.close()
        for char_id, places in self.load.walkers.places.items():
            cached = self.stack.redis.hget(f"ac:{char_id}", "location")
            if cached and json.loads(cached)["current"] != stored[char_id]:
                yield f"character {char_id} is at {cached} in the cache, at {stored[char_id]} in the database"
            if places and stored[char_id] not in places:
                yield f"character {char_id} is at {stored[char_id]}, and was last written to {places}"

    def no_double_battle(self):
        _, _, _, fights = self.seen_now
        settled = {session: at.timestamp() for session, status, _, at in fights if status == "processed" and at}
        of = defaultdict(list)
        for session, (at, members) in self.battles.items():
            for char_id in members:
                of[char_id].append((at, session))
        for char_id, battles in of.items():
            battles.sort()
            for (began, session), (after, other) in zip(battles, battles[1:]):
                if any(began - 1 <= emptied <= after for emptied in self.emptied_at):
                    continue
                if settled.get(session, float("inf")) > after + 0.01:
                    yield f"character {char_id} was matched in {other} before {session} was settled"
        for session, ids in self.events["arena.battle_created"].items():
            if len(ids) != 1:
                yield f"battle {session} was told of by {len(ids)} message ids"
        for session, told_at in self.load.engine.battles.items():
            # What was still to be told went with an emptied Redis.
            if session not in self.battles and not any(emptied >= told_at - 1 for emptied in self.emptied_at):
                yield f"battle {session} was answered to a player and never told of"

    def ticks(self):
        tick = self.world.tick()
        try:
            tick.check_moves(TICK_S, CATCHUP_MAX)
        finally:
            tick.close()
        return []

    def nothing_lost(self):
        _, _, _, fights = self.seen_now
        status = {session: s for session, s, _, _ in fights}
        engine = self.load.engine
        for session in engine.confirmed:
            if status.get(session) != "processed":
                yield f"fight {session} was confirmed and is {status.get(session)}"
        for session in set(status) - set(engine.documents) - self.expected_failed:
            yield f"fight {session} is in the history and was never reported"
        for dead in self.history.of("dead"):
            yield f"unexpected dead letter: {dead}"
        for message_id in self.expected_dead:
            if not self.dead[message_id]:
                yield f"the hopeless message {message_id} is not in the dead queue"
        tick = self.world.tick()
        at_work = {player for (player,) in tick.sql("SELECT player_id FROM auto_sessions")}
        tick.close()
        for char_id, wanted in self.load.foreman.wanted.items():
            if (char_id in at_work) != wanted:
                yield f"character {char_id} is {'' if wanted else 'not '}to be at work by the last order, and is {'' if char_id in at_work else 'not'}"

    def accounts(self):
        tick = self.world.tick()
        rows = tick.sql("SELECT a.login, array_agg(c.id) FROM accounts a LEFT JOIN characters c ON c.account_id = a.id"
                        " GROUP BY 1")  # fmt: skip
        tick.close()
        made = self.load.newcomers.made
        found = dict(rows)
        for login, char_id in made.items():
            if found.get(login) != [char_id]:
                yield f"{login} was told of character {char_id}, and has {found.get(login)}"
        for login in set(found) - set(made):
            yield f"{login} has an account and was never told so"

    def bounded(self):
        for name, worker in self.world.workers.items():
            service = name.partition("/")[0]
            limit = self.world.resident[name] + RESIDENT_MORE.get(service, RESIDENT_MORE_OF_OTHERS)
            if worker.resident_bytes() > limit:
                yield f"{worker} holds {worker.resident_bytes() // MIB} MiB, {self.world.resident[name] // MIB} at first"
            descriptors = len(list(Path(f"/proc/{worker.pid}/fd").iterdir()))
            if descriptors > DESCRIPTORS_MAX:
                yield f"{worker} has {descriptors} descriptors"

    def audit(self):
        done = self.stack.ctl("audit", "--patience=10s", "--json", check=False, timeout=120)
        if done.returncode != 0:
            yield f"exit {done.returncode}: {done.stderr.strip()} {done.stdout[:1500]}"

    # Calls ------------------------------------------------------------------------------------------------------------

    def read_logs(self):
        """What was logged since the last time."""
        for worker in self.world.fleet.workers:
            with open(worker.log_path, errors="replace") as file:
                file.seek(self.first_log.get(worker, 0))
                for line in file:
                    if '"event":"message"' not in line or not line.endswith("\n"):
                        continue
                    entry = json.loads(line)
                    self.longest_ms = max(self.longest_ms, entry.get("ms", 0))
                    self.redelivered_lines += entry.get("redelivered", False)
                    if entry.get("command") == "settle_combat" and entry.get("outcome") == "done":
                        self.settled_lines += 1
                self.first_log[worker] = file.tell()

    def late(self, first, stopped_s):
        self.longest_ms = 0
        self.read_logs()
        if self.longest_ms > LONGEST_HANDLING_MS + stopped_s * 1000:
            yield f"a message was in hand for {self.longest_ms:.0f} ms"
        slow = max(self.history.of("call", first), key=lambda call: call["ms"], default=None)
        if slow and slow["ms"] > LONGEST_CALL_MS:
            yield f"a call took too long: {slow}"
