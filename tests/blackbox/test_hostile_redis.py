"""What other programs may have written into Redis: nobody but the thing itself suffers from it, and that only as long as it must."""

import json
import random
import time
import uuid

import pytest

from lib.arena import Arena
from lib.combat import Combat, fight_of, part
from lib.tick import CATEGORIES, Tick
from lib.wait import wait_for

pytestmark = pytest.mark.services("arena", "combat-settlement", "state-backup", "tick")

STRANGE = [b"", b"0", b"-1", b"9" * 40, b"1e400", b"nan", b"\xff\xfe\x00", b"{", b"[]", b"{}", b"null", b'{"a":' * 40,
           b'{"hp":1}', b'{"hp":{"cur":"x","max":-1},"energy":{"cur":1e300,"max":null}}', b"x" * 100_000, b"idle", b"combat",
           b"00000000-0000-0000-0000-000000000000", b"0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11", "Шкура".encode()]  # fmt: skip


def strange_key(redis, key, kind):
    """The key is there, and of that type."""
    redis.delete(key)
    if kind == "string":
        redis.set(key, b"not yours")
    elif kind == "list":
        redis.rpush(key, b"a", b"")
    elif kind == "set":
        redis.sadd(key, b"a", b"\xff")
    elif kind == "zset":
        redis.zadd(key, {b"a": 1, b"\xff": float("inf")})
    else:
        redis.hset(key, mapping={b"a": b"b", b"\xff": b"", b"mode": b"1v1", b"state": b"\xff"})


KINDS = ("string", "list", "set", "zset", "hash")


@pytest.fixture
def empty(stack):
    stack.redis.flushdb()
    return stack.redis


# arena ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def arena(stack, amqp, empty):
    arena = Arena(stack, amqp)
    yield arena
    arena.close()


def meet(arena, a, b):
    """They find each other, as two whom nothing hinders do."""
    for char_id in (a, b):
        assert arena.join(char_id).ok
    wait_for(lambda: arena.check(a)["status"] == "matched", 10, what=f"{a} to be matched")
    assert arena.check(a)["opponent_id"] == b and arena.check(b)["opponent_id"] == a


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_another_type_under_a_players_name(fleet, arena, redis, kind):
    worker = fleet.start("arena")
    spoiled, other = arena.characters([100, 100])
    for key in ("request", "last"):
        strange_key(redis, f"arena:{key}:{spoiled}", kind)
    redis.zadd("arena:queue:1v1", {str(spoiled): 100})
    redis.zadd("arena:overdue:1v1", {str(spoiled): 100})
    assert arena.status(spoiled)["active"] is False
    assert arena.check(spoiled)["status"] == "none"
    assert arena.leave(spoiled).result == {"left": False}
    strange_key(redis, f"arena:last:{spoiled}", kind)
    meet(arena, spoiled, other)
    assert worker.running


INDEXES = ("arena:wait:1v1:100", "arena:queue:1v1", "arena:overdue:1v1", "arena:expiry", "arena:announce")


@pytest.mark.parametrize("key", INDEXES)
def test_an_index_that_is_none_hinders_nobody(fleet, arena, amqp, redis, key):
    """It makes way, on the first attempt: also for those that are sent to Redis together with whoever needs it."""
    redis.set(key, "no zset")
    ids = arena.characters([1000, 5000, 100, 20000, 90000])
    for char_id in ids:
        amqp.publish("arena.join_queue", {"char_id": char_id, "mode": "1v1"}, message_id=f"join-{char_id}")
    fleet.start("arena", retry_delays="10s,60s")
    wait_for(lambda: all(arena.status(char_id)["active"] for char_id in ids), 5, what="all to wait")
    again = arena.character(100)
    assert arena.join(again).ok
    wait_for(lambda: arena.check(again)["status"] == "matched", 5, what="the two to be matched")


@pytest.mark.parametrize("key", ("arena:wait:ranked:100", "arena:queue:ranked", "arena:expiry"))
def test_requests_end_though_an_index_is_none(fleet, arena, amqp, redis, key):
    events = amqp.events("arena.request_expired")
    fleet.start("arena", arena_request_ttl="1500ms")
    spoiled, other = arena.characters([100, 100])
    assert arena.join(spoiled, "ranked").ok
    redis.set(key, "no zset")
    assert arena.join(other).ok
    expected = {other} if key == "arena:expiry" else {spoiled, other}  # of which nobody knows any more that he waits
    assert {events.next(5).body["char_id"] for _ in expected} == expected
    assert arena.status(spoiled)["active"] is False


def test_members_that_are_no_players(fleet, arena, redis):
    redis.zadd("arena:queue:1v1", {b"": 100, b"abc": 100, b"\xff\xfe": 101, b"-5": 99, b"1e3": 100, b"99999999": float("inf")})
    redis.zadd("arena:wait:1v1:100", {b"abc": 1, b"": 2})
    redis.zadd("arena:expiry", {b"": 1, b"abc": 2, b"abc 1v1": 3, b"1 1v1 1": 4, b"\xff": 5, b"77 nomode": 6, b"78 1v1": float("-inf")})
    redis.zadd("arena:overdue:1v1", {b"abc": 100, b"": 100})
    redis.zadd("arena:announce", {b"": 1, b"battle": 2, b"battle x y": 3, b"expired": 4, b"expired a b c": 5, b"\xff": 6, b"x" * 100_000: 7})
    redis.hset("arena:request:abc", mapping={"mode": "1v1", "gear_score": "100", "created_us": "1", "expires_us": "9" * 16})
    worker = fleet.start("arena", arena_request_ttl="1s")
    meet(arena, *arena.characters([100, 100]))
    # The sweep gets past them as well: who waits alone is told of his end.
    (lonely,) = arena.characters([5000])
    assert arena.join(lonely).ok
    wait_for(lambda: arena.check(lonely)["status"] == "timeout", 10, what="the sweep")
    assert worker.running


@pytest.mark.parametrize("field", ["mode", "gear_score", "created_us", "expires_us", "join_id", "created_at"])
def test_requests_with_a_strange_field(fleet, arena, redis, field):
    worker = fleet.start("arena")
    for value in STRANGE:
        spoiled, one, two = arena.characters([100, 100, 100])
        assert arena.join(spoiled).ok
        redis.hset(f"arena:request:{spoiled}", field, value)
        for command in (arena.status, arena.check):
            command(spoiled)
        assert arena.join(one).ok
        if arena.check(one)["status"] != "matched":  # not with the spoiled one, then
            assert arena.join(two).ok
            wait_for(lambda: arena.check(one)["status"] == "matched", 10, what="the others to meet")
        for char_id in (spoiled, one, two):
            arena.leave(char_id)
    assert worker.running


# tick -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tick(stack, amqp, empty):
    tick = Tick(stack, amqp)
    tick.sql("DELETE FROM auto_sessions")
    yield tick
    tick.close()


@pytest.mark.parametrize("kind", ["string", "set", "zset", "hash"])
@pytest.mark.parametrize("key", ["tick:queue:trade", "tick:cursor"])
def test_ticks_go_on_though_a_key_was_of_another_type(fleet, tick, redis, key, kind):
    strange_key(redis, key, kind)
    players = tick.characters(4)
    for player, category in zip(players, CATEGORIES):
        tick.put_session(player, 1, 0, category)
    worker = fleet.start("tick", tick_interval="1s")
    wait_for(lambda: all(tick.row(player)["ticks"] >= 1 for player in players), 15, what="everybody's tick")
    assert worker.running


def test_queue_entries_that_nobody_can_read(fleet, tick, redis):
    draw = random.Random(7)
    player = tick.character()
    entries = [b"", b":", b"::", b"a:b:c", b"1:2", b"1:2:3:4", b"\xff", b"9" * 30 + b":1:1", b"1:%d:1" % 2**62, b"1:-%d:1" % 2**62,
               b"%d:0:0" % player, b"%d:%d:0" % (player, time.time_ns() // 1000), b"0:0:0", b"-1:1:1", *STRANGE]  # fmt: skip
    for category in CATEGORIES:
        redis.rpush(f"tick:queue:{category}", *draw.choices(entries, k=500))
    for cursor in (b"", b"x", b"%d:1" % 2**60, b"-1:-1", b"1" * 5000):
        redis.set("tick:cursor", cursor)
        tick.put_session(player, 1, 0, "trade")
        worker = fleet.start("tick", tick_interval="1s")
        wait_for(lambda: tick.row(player)["ticks"] >= 1, 20, what=f"a tick behind the cursor {cursor[:20]}")
        worker.stop()
        fleet.workers.remove(worker)


# state-backup and combat-settlement -------------------------------------------------------------------------------------


CONTEXT = ["state", "location", "bio", "stats", "vitals", "combat_session_id", "inventory_session_id", "scenario_session_id",
           "last_combat_session_id", "tick_energy", "hp_set_by", "last_combat_set_by"]  # fmt: skip


@pytest.fixture
def combat(stack, amqp, empty):
    combat = Combat(stack, amqp)
    yield combat
    combat.close()


def test_strange_contexts_keep_no_other_from_being_saved(fleet, combat, redis):
    draw = random.Random(11)
    strangers, good = combat.characters(60), combat.characters(5)
    for i, char_id in enumerate(strangers):
        if i < len(KINDS):
            strange_key(redis, f"ac:{char_id}", KINDS[i])
        else:
            redis.hset(f"ac:{char_id}", mapping={name: draw.choice(STRANGE) for name in draw.sample(CONTEXT, 6)})
    for char_id in good:
        combat.context(char_id, state="market")
    redis.sadd("dirty_accounts", *strangers, *good, *STRANGE)
    worker = fleet.start("state-backup", backup_interval="200ms")
    wait_for(lambda: all(combat.stage(char_id) == "market" for char_id in good), 20, what="the good ones to be saved")
    for char_id in strangers:
        for command in ("backup_full_state", "restore_full_state"):
            reply = combat.amqp.call(f"state-backup.{command}", {"char_id": char_id})
            assert reply.ok or reply.code not in ("internal", "timeout"), reply
    assert combat.amqp.call("state-backup.backup_full_state", {"char_id": good[0]}).ok
    assert worker.running


def test_fights_of_characters_with_strange_contexts_are_settled(fleet, combat, redis):
    draw = random.Random(13)
    worker = fleet.start("combat-settlement")
    for i in range(40):
        a, b = combat.characters(2)
        if i < len(KINDS):
            strange_key(redis, f"ac:{a}", KINDS[i])
        else:
            redis.hset(f"ac:{a}", mapping={name: draw.choice(STRANGE) for name in draw.sample(CONTEXT, 6)})
        combat.context(b, state="combat")
        document = fight_of({a: part(xp=5, hp=7), b: part(False, gold=3)})
        assert combat.settle(document).ok
        assert combat.purse(a) == (5, 0) and combat.purse(b) == (0, 3)
        assert redis.hget(f"ac:{b}", "state") == "idle"
        for char_id in (a, b):
            assert combat.result(document["session_id"], char_id).result["status"] == "finished"
    assert worker.running


def test_strange_tombstones_are_none(fleet, combat, redis):
    worker = fleet.start("combat-settlement")
    (char_id,) = combat.characters(1)
    document = fight_of({char_id: part(xp=5)})
    combat.settle(document)
    key = f"combat:result_cache:{document['session_id']}"
    whole = redis.get(key)
    for value in [*STRANGE, whole[:-1], whole + whole, b"x" * (20 << 20), json.dumps({"participants": {"1": {}}})]:
        redis.set(key, value)
        answer = combat.result(document["session_id"], char_id).result
        assert (answer["status"], answer["source"], answer["result"]["xp_gained"]) == ("finished", "history", 5)
    for kind in KINDS[1:]:
        strange_key(redis, key, kind)
        assert combat.result(document["session_id"], char_id).result["status"] == "finished"
    assert combat.result(str(uuid.uuid4()), char_id).code == "not_found"
    assert worker.running
