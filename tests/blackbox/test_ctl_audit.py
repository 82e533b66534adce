"""garrisonctl audit: a world that the fleet has made agrees with itself; each thing that is broken by hand is named."""

import json
import time
import uuid

import pytest

from lib.arena import Arena
from lib.combat import Combat, fight_of, part
from lib.fleet import Fleet
from lib.stack import Stack
from lib.tick import Tick
from lib.wait import wait_for

HOUR_MS = 3600_000


def audit(stack, *words, check=None, **settings):
    """What it says as JSON; the exit code must fit it."""
    done = stack.ctl("audit", "--json", *words, check=False, **settings)
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] == (done.returncode == 0) == (told["found"] == 0), told
    if not told["ok"]:
        assert len(done.stderr.splitlines()) == 1 and "disagree" in done.stderr
    return told


def discrepancies(told):
    return [item for section in told["sections"] for item in section["discrepancies"]]


def seen(told, section):
    return next(s["seen"] for s in told["sections"] if s["section"] == section)


class World:
    """What a fleet leaves that has stopped: fights, ticks, an arena, live characters."""

    def __init__(self, stack, amqp, fleet):
        self.stack = stack
        self.redis = stack.redis
        self.combat = Combat(stack, amqp)
        self.tick = Tick(stack, amqp)
        self.arena = Arena(stack, amqp)
        self.sql = self.combat.sql
        for service in ("combat-settlement", "arena", "state-backup"):
            fleet.start(service)
        self.make_fights()
        self.make_ticks(fleet)
        self.make_arena()
        self.make_cache(amqp)
        wait_for(lambda: self.redis.scard("dirty_accounts") == 0 or not self.drain(amqp), what="the marks to be drained")
        fleet.stop()

    def drain(self, amqp):
        for char_id in self.redis.smembers("dirty_accounts"):
            amqp.call("state-backup.backup_full_state", {"char_id": int(char_id)}).result
            self.redis.srem("dirty_accounts", char_id)

    def make_fights(self):
        self.rich = self.sql("INSERT INTO characters (name, xp, gold) VALUES ('Rich', 500, 70) RETURNING id")[0][0]
        self.poor = self.combat.character()
        self.fights = []
        for n in range(3):
            document = fight_of(
                {
                    self.rich: part(xp=100 + n, gold=10, hp=50 + n, gained={"pelt_wolf": 2}, ui={"damage_dealt": 7}),
                    self.poor: part(False, xp=1, gold=n, ui={"loot_obtained": [{"name": "Bone", "qty": 1}]}),
                },
                end=1735460000 + n,
            )
            assert self.combat.settle(document).ok
            self.fights.append(document["session_id"])

    def make_ticks(self, fleet):
        """A session that gave something and ended, and two that wait for their first tick."""
        self.tick.rules(xp=10, gold=3)
        worker = fleet.start("tick", tick_interval="200ms")
        self.player, self.other = self.tick.characters(2)
        assert self.tick.start(self.player).ok
        wait_for(lambda: self.tick.session(self.player)["ticks"] >= 2, what="ticks")
        self.tick.delete(self.player)
        worker.stop()
        fleet.start("tick", tick_interval="1h")
        assert self.tick.start(self.player, "trade").ok and self.tick.start(self.other).ok

    def make_arena(self):
        self.waiting = self.arena.character(gear=5000)
        self.matched = self.arena.characters([10, 10])
        assert self.arena.join(self.waiting).ok
        for char_id in self.matched:
            assert self.arena.join(char_id, "ranked").ok
        self.battle = wait_for(lambda: self.arena.check(self.matched[0], "ranked").get("battle"), what="a battle")

    def make_cache(self, amqp):
        self.live = self.sql(
            "INSERT INTO characters (name, location_id) VALUES ('Ada', 'town') RETURNING id"
        )[0][0]
        for char_id in (self.live, self.rich):
            amqp.call("state-backup.restore_full_state", {"char_id": char_id}).result


@pytest.fixture(scope="module")
def world(servers, build, tmp_path_factory):
    """On a stack of its own, so that a second try after one that failed half made begins with nothing."""
    stack = Stack(servers, build)
    fleet = Fleet(stack, tmp_path_factory.mktemp("audit"))
    try:
        amqp = stack.create().amqp()
        world = World(stack, amqp, fleet)
        yield world
        for part_of_it in (world.combat, world.tick, world.arena, amqp):
            part_of_it.close()
    finally:
        fleet.stop()
        stack.remove()


def test_what_the_fleet_has_made_agrees(world):
    told = audit(world.stack)
    assert told["ok"], told
    assert seen(told, "fights")["fights"] == 3 and seen(told, "fights")["characters"] == 8
    assert seen(told, "tombstones")["tombstones"] == 3
    assert seen(told, "ticks")["sessions"] == 2
    assert seen(told, "arena")["waiting"] == 1 and seen(told, "arena")["battles"] == 1
    assert seen(told, "cache")["live characters"] == 2
    assert seen(told, "broker")["dead letters"] == 0
    lines = world.stack.ctl("audit").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[s["section"], "ok"] for s in told["sections"]]


def test_sections_are_chosen(world):
    told = audit(world.stack, "--section=arena,fights")
    assert [section["section"] for section in told["sections"]] == ["fights", "arena"]
    done = world.stack.ctl("audit", "--section=weather", check=False)
    assert done.returncode == 64 and "weather" in done.stderr


def test_a_server_out_of_reach(world):
    for setting in ({"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, {"REDIS_URL": "redis://127.0.0.1:1/0"}):
        done = world.stack.ctl("audit", "--json", check=False, **setting)
        assert done.returncode == 69 and len(done.stderr.splitlines()) == 1


# Each thing broken once: (kind, how, how back, what must be named) -----------------------------------------------------

FIGHT = "combat_history WHERE session_id = '{fight}'"
NEW = str(uuid.uuid4())

BY_SQL = {
    "gold from nowhere": ("gold", "UPDATE characters SET gold = gold + 5 WHERE id = {rich}",
        "UPDATE characters SET gold = gold - 5 WHERE id = {rich}", ["{rich}", "105 gold", "began with 70", "30 from"]),
    "xp lost": ("xp", "UPDATE characters SET xp = xp - 1 WHERE id = {poor}",
        "UPDATE characters SET xp = xp + 1 WHERE id = {poor}", ["{poor}", "2 xp"]),
    "a fight counted twice": ("xp", "UPDATE characters SET xp = xp + 102, gold = gold + 10 WHERE id = {rich}",
        "UPDATE characters SET xp = xp - 102, gold = gold - 10 WHERE id = {rich}", ["{rich}", "{last}"]),
    "a fight never counted": ("xp", "INSERT INTO combat_history (session_id, participant_ids, finished_at, settlement_status,"
        " result_payload) SELECT '" + NEW + "', participant_ids, 'epoch', settlement_status, jsonb_set(result_payload,"
        " '{{participants,{rich},changes,xp_gained}}', '777') FROM " + FIGHT,
        "DELETE FROM combat_history WHERE session_id = '" + NEW + "'", ["{rich}", NEW]),
    "ticks taken back": ("gold", "UPDATE auto_session_ends SET total_gold = total_gold - 3 WHERE player_id = {player}",
        "UPDATE auto_session_ends SET total_gold = total_gold + 3 WHERE player_id = {player}", ["{player}"]),
    "an older last fight": ("last_fight", "UPDATE characters SET last_combat_session_id = '{fight}',"
        " last_combat_at = to_timestamp(1735460000) WHERE id = {poor}",
        "UPDATE characters SET last_combat_session_id = '{last}', last_combat_at = to_timestamp(1735460002) WHERE id = {poor}",
        ["{poor}", "{last}", "{fight}"]),
    "other participants": ("participants", "UPDATE combat_history SET participant_ids = participant_ids || 1::bigint"
        " WHERE session_id = '{fight}'", "UPDATE combat_history SET participant_ids = participant_ids[1:2]"
        " WHERE session_id = '{fight}'", ["{fight}"]),
    "a snapshot of a finished fight": ("snapshot", "INSERT INTO session_snapshots (kind, session_id, character_id)"
        " VALUES ('combat', '{fight}', {rich})", "DELETE FROM session_snapshots", ["{rich}", "{fight}"]),
    "an empty stack": ("stack", "UPDATE inventory SET quantity = quantity - 6 WHERE character_id = {rich}",
        "UPDATE inventory SET quantity = quantity + 6 WHERE character_id = {rich}", ["{rich}", "pelt_wolf"]),
    "a fight unsettled behind its tombstone": ("tombstone", "UPDATE combat_history SET settlement_status = 'failed'"
        " WHERE session_id = '{last}'", "UPDATE combat_history SET settlement_status = 'processed' WHERE session_id = '{last}'",
        ["{last}", "failed"]),
    "other loot than the tombstone's": ("tombstone", "UPDATE combat_history SET result_payload = jsonb_set(result_payload,"
        " '{{participants,{rich},changes,items_gained,0,qty}}', '3') WHERE session_id = '{last}'",
        "UPDATE combat_history SET result_payload = jsonb_set(result_payload,"
        " '{{participants,{rich},changes,items_gained,0,qty}}', '2') WHERE session_id = '{last}'", ["{last}", "{rich}"]),
    "a due tick forgotten": ("overdue", "UPDATE auto_sessions SET started_at = started_at - interval '9 hours',"
        " last_tick_at = last_tick_at - interval '9 hours', next_tick_at = next_tick_at - interval '9 hours'"
        " WHERE player_id = {player}", "UPDATE auto_sessions SET started_at = started_at + interval '9 hours',"
        " last_tick_at = last_tick_at + interval '9 hours', next_tick_at = next_tick_at + interval '9 hours'"
        " WHERE player_id = {player}", ["{player}", "not credited"]),
    "a tick off the grid": ("grid", "UPDATE auto_sessions SET next_tick_at = next_tick_at + interval '7 s'"
        " WHERE player_id = {player}", "UPDATE auto_sessions SET next_tick_at = next_tick_at - interval '7 s'"
        " WHERE player_id = {player}", ["{player}"]),
    "a tick skipped": ("skipped", "UPDATE auto_sessions SET next_tick_at = next_tick_at + interval '1 h'"
        " WHERE player_id = {player}", "UPDATE auto_sessions SET next_tick_at = next_tick_at - interval '1 h'"
        " WHERE player_id = {player}", ["{player}"]),
    "more ticks than due times": ("ticks", "UPDATE auto_sessions SET ticks = 1 WHERE player_id = {player}",
        "UPDATE auto_sessions SET ticks = 0 WHERE player_id = {player}", ["{player}"]),
    "times out of order": ("order", "UPDATE auto_sessions SET last_tick_at = next_tick_at WHERE player_id = {player}",
        "UPDATE auto_sessions SET last_tick_at = started_at WHERE player_id = {player}", ["{player}"]),
    "another location than the cache's": ("field", "UPDATE characters SET location_id = 'wood' WHERE id = {live}",
        "UPDATE characters SET location_id = 'town' WHERE id = {live}", ["{live}", "location.current", "town", "wood"]),
    "other vitals": ("field", "UPDATE characters SET vitals = jsonb_set(vitals, '{{hp,cur}}', '1') WHERE id = {live}",
        "UPDATE characters SET vitals = jsonb_set(vitals, '{{hp,cur}}', '100') WHERE id = {live}", ["{live}", "vitals"]),
    "other stats": ("field", "INSERT INTO character_stats VALUES ({live}, '{{\"str\": 9}}')", "DELETE FROM character_stats",
        ["{live}", "stats", "str"]),
    "another name": ("field", "UPDATE characters SET name = 'Eve' WHERE id = {live}",
        "UPDATE characters SET name = 'Ada' WHERE id = {live}", ["{live}", "bio.name", "Ada", "Eve"]),
}  # fmt: skip

BY_REDIS = {
    "a live session of a finished fight": ("live_session", "SET combat:session:{fight} x", "DEL combat:session:{fight}",
        ["{fight}"]),
    "an old live session": ("live_session", "SET cs:{fight} x", "DEL cs:{fight}", ["{fight}"]),
    "a tombstone of nothing": ("tombstone", "SET combat:result_cache:" + NEW + " {{}}", "DEL combat:result_cache:" + NEW, [NEW]),
    "a tombstone that is no JSON": ("tombstone", "SET combat:result_cache:" + NEW + " x", "DEL combat:result_cache:" + NEW, [NEW]),
    "a queued tick of nobody": ("queue_entry", "RPUSH tick:queue:trade 77:1735460000000000:1735460000000000",
        "DEL tick:queue:trade", ["tick:queue:trade", "77"]),
    "rubbish in a tick queue": ("queue_entry", "RPUSH tick:queue:general nonsense", "DEL tick:queue:general", ["nonsense"]),
    "a ghost": ("ghost", "ZADD arena:queue:1v1 100 {rich}", "ZREM arena:queue:1v1 {rich}", ["arena:queue:1v1", "{rich}"]),
    "a ghost among equals": ("ghost", "ZADD arena:wait:1v1:100 5 {rich}", "DEL arena:wait:1v1:100", ["{rich}"]),
    "a ghost of another mode": ("ghost", "ZADD arena:queue:3v3 5000 {waiting}", "DEL arena:queue:3v3", ["{waiting}", "3v3"]),
    "a request out of its queue": ("lost_request", "ZREM arena:queue:1v1 {waiting}", "ZADD arena:queue:1v1 5000 {waiting}",
        ["{waiting}", "arena:queue:1v1"]),
    "another score": ("score", "ZADD arena:queue:1v1 4999 {waiting}", "ZADD arena:queue:1v1 5000 {waiting}", ["{waiting}", "4999"]),
    "a request of nobody": ("stranger", "HSET arena:request:77 mode 1v1 gear_score 1 expires_us 1", "DEL arena:request:77", ["77"]),
    "a second battle": ("two_battles", "SET arena:battle:" + NEW + " 1v1 {rich} 1 {first} 10 1", "DEL arena:battle:" + NEW,
        ["{first}", NEW, "{battle}"]),
    "a battle for one who waits": ("waiting_in_battle", "SET arena:battle:" + NEW + " 1v1 {rich} 1 {waiting} 10 1",
        "DEL arena:battle:" + NEW, ["{waiting}", NEW]),
    "another state": ("field", "HSET ac:{live} state scenario", "HSET ac:{live} state idle", ["{live}", "state", "scenario"]),
    "a cache of nobody": ("stranger", "HSET ac:77 state idle", "DEL ac:77", ["77"]),
    "a cache in a fight that is over": ("over", "HSET ac:{live} combat_session_id {fight}", "HDEL ac:{live} combat_session_id",
        ["{live}", "{fight}"]),
    "a cache that cannot be saved": ("unreadable", "HSET ac:{rich} vitals x", "HSET ac:{rich} vitals {vitals}",
        ["{rich}", "vitals"]),
}  # fmt: skip


def names(world):
    return {
        "rich": world.rich, "poor": world.poor, "player": world.player, "live": world.live, "waiting": world.waiting,
        "fight": world.fights[0], "last": world.fights[2], "first": world.matched[0], "battle": world.battle["session_id"],
        "vitals": world.redis.hget(f"ac:{world.rich}", "vitals"),
    }  # fmt: skip


SECTIONS = {
    "fights": ("gold", "xp", "last_fight", "participants", "snapshot", "stack"),
    "tombstones": ("tombstone", "live_session"),
    "ticks": ("overdue", "grid", "skipped", "ticks", "order", "queue_entry"),
    "arena": ("ghost", "lost_request", "score", "two_battles", "waiting_in_battle"),
    "cache": ("field", "over", "unreadable"),
}


def section_of(kind):
    """--section, so that a case asks no more than it must; all where several know the kind."""
    return [f"--section={section}" for section, kinds in SECTIONS.items() if kind in kinds]


def expect(world, kind, words, known):
    told = audit(world.stack, "--patience=0", *section_of(kind))
    found = [item for item in discrepancies(told) if item["kind"] == kind]
    text = " ".join(item["text"] for item in found)
    for word in words:
        assert word.format(**known) in text, (kind, word.format(**known), found)
    people = world.stack.ctl("audit", "--patience=0", *section_of(kind), check=False)
    assert people.returncode == 1 and found[0]["text"] in people.stdout


@pytest.mark.parametrize("case", BY_SQL)
def test_broken_in_the_database(world, case):
    kind, harm, mend, words = BY_SQL[case]
    known = names(world)
    world.sql(harm.format(**known))
    try:
        expect(world, kind, words, known)
    finally:
        world.sql(mend.format(**known))
    assert audit(world.stack, "--patience=0", *section_of(kind))["ok"]


@pytest.mark.parametrize("case", BY_REDIS)
def test_broken_in_the_cache(world, case):
    kind, harm, mend, words = BY_REDIS[case]
    known = names(world)
    world.redis.execute_command(*[word.format(**known) for word in harm.split(None, 2 if harm.startswith("SET") else -1)])
    try:
        expect(world, kind, words, known)
    finally:
        world.redis.execute_command(*[word.format(**known) for word in mend.split()])
    assert audit(world.stack, "--patience=0", *section_of(kind))["ok"]


def test_broken_in_the_broker(world):
    amqp = world.stack.amqp()
    amqp.channel.queue_unbind("game.tick", "game.commands", "tick.#")
    try:
        wait_for(lambda: not audit(world.stack, "--section=broker", "--patience=0")["ok"], what="the binding to be missed")
        found = discrepancies(audit(world.stack, "--section=broker", "--patience=0"))
        assert [item["kind"] for item in found] == ["binding"] and "game.tick" in found[0]["text"]
    finally:
        amqp.channel.queue_bind("game.tick", "game.commands", "tick.#")
        amqp.close()


def test_marked_characters_are_still_to_be_saved(world):
    world.redis.hset(f"ac:{world.live}", "state", "inventory")
    for key in ("dirty_accounts", "dirty_accounts:processing:w"):
        world.redis.sadd("dirty_accounts:workers", "w")
        world.redis.sadd(key, world.live)
        told = audit(world.stack, "--section=cache", "--patience=0")
        assert told["ok"] and seen(told, "cache")["still to be backed up"] == 1
        world.redis.srem(key, world.live)
    assert not audit(world.stack, "--section=cache", "--patience=0")["ok"]
    world.redis.hset(f"ac:{world.live}", "state", "idle")


def test_what_passes_is_no_discrepancy(world):
    """A worker may be between two stores: what is mended within the patience is not told."""
    world.redis.set(f"combat:session:{world.fights[0]}", "x", px=1500)
    began = time.monotonic()
    assert audit(world.stack, "--section=tombstones", "--patience=20s")["ok"]
    assert time.monotonic() - began < 15


def test_no_more_are_named_than_asked_for(world):
    world.sql("UPDATE characters SET gold = gold + 1")
    try:
        told = audit(world.stack, "--section=fights", "--limit=3", "--patience=0")
        assert told["found"] == 8 and len(discrepancies(told)) == 3
    finally:
        world.sql("UPDATE characters SET gold = gold - 1")


def test_what_is_given_by_hand_is_noted_by_hand(world):
    world.sql("UPDATE characters SET gold = gold + 50 WHERE id = %s", world.other)
    world.sql("INSERT INTO opening_balances (character_id, gold) VALUES (%s, 50)", world.other)
    assert audit(world.stack, "--section=fights")["ok"]
