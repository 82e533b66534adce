"""arena: who meets whom, what both are told, and for how long."""

import random
import time
import uuid

import pytest

from lib.arena import Arena, fits
from lib.wait import wait_for

pytestmark = pytest.mark.services("arena", "ctl")


@pytest.fixture
def arena(stack, amqp):
    stack.redis.flushdb()
    arena = Arena(stack, amqp)
    yield arena
    arena.close()


@pytest.fixture
def worker(fleet, arena):
    return fleet.start("arena")


def matched_pair(arena, gears=(100, 100), mode="1v1"):
    """Two who were matched with each other, and their session."""
    a, b = arena.characters(gears)
    arena.join(a, mode)
    arena.join(b, mode)
    return a, b, arena.check(a, mode)["battle"]["session_id"]


# Who fits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "fit"),
    [(100, 85, True), (100, 84, False), (100, 117, True), (100, 118, False), (1000, 850, True), (1000, 849, False),
     (7, 6, True), (7, 5, False), (1, 1, True), (1, 2, False), (2000000, 1700000, True), (2000000, 1699999, False)],
)
@pytest.mark.parametrize("order", ["low first", "high first"])
def test_the_bounds_of_the_range(worker, arena, a, b, fit, order):
    pair = (a, b) if (a < b) == (order == "low first") else (b, a)
    first, second = arena.characters(pair)
    arena.join(first)
    arena.join(second)
    assert arena.check(second)["status"] == arena.check(first)["status"] == ("matched" if fit else "waiting")


def test_the_nearest_is_taken(worker, arena):
    low, high, hero = arena.characters([100, 120, 111])
    arena.join(low)
    arena.join(high)
    arena.join(hero)
    assert arena.check(hero)["opponent_id"] == high
    assert arena.check(low)["status"] == "waiting"


def test_the_longest_waiting_of_two_equally_near_is_taken(worker, arena):
    for gears in ([100, 120], [120, 100]):
        first, second, hero = arena.characters([*gears, 110])
        arena.join(first)
        arena.join(second)
        arena.join(hero)
        assert arena.check(hero)["opponent_id"] == first
        arena.leave(second)


def test_modes_do_not_meet(worker, arena):
    a, b = arena.characters([100, 100])
    arena.join(a, "1v1")
    arena.join(b, "ranked")
    assert arena.check(a, "1v1")["status"] == arena.check(b, "ranked")["status"] == "waiting"


def test_many_joins_one_after_the_other_agree_with_the_rule_done_by_hand(worker, arena):
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    gears = [rng.choice([100, rng.randint(50, 200), rng.randint(1, 3000)]) for _ in range(400)]
    waiting = []  # by hand: (gear, arrival, character)
    for arrival, (gear, hero) in enumerate(zip(gears, arena.characters(gears))):
        arena.join(hero)
        candidates = [other for other in waiting if fits(gear, other[0])]
        result = arena.check(hero)
        if not candidates:
            assert result["status"] == "waiting", f"seed {seed}"
            waiting.append((gear, arrival, hero))
            continue
        expected = min(candidates, key=lambda other: (abs(other[0] - gear), other[1]))
        assert result["status"] == "matched", f"seed {seed}"
        assert result["opponent_id"] == expected[2], f"seed {seed}"
        waiting.remove(expected)
    assert arena.waiting() == {hero: gear for gear, _, hero in waiting}


# What both are told ---------------------------------------------------------------------------------------------------


def test_both_are_told_the_same_battle(worker, arena):
    a, b = arena.characters([100, 110])
    arena.join(a)
    assert arena.check(a) == {"status": "waiting"}
    arena.join(b)
    for_a, for_b = arena.check(a), arena.check(b)
    assert (for_a["status"], for_a["opponent_id"]) == ("matched", b)
    assert (for_b["status"], for_b["opponent_id"]) == ("matched", a)
    battle = for_a["battle"]
    assert battle == for_b["battle"]
    assert uuid.UUID(battle["session_id"]).version == 4
    assert battle["mode"] == "1v1"
    assert sorted((p["char_id"], p["gear_score"]) for p in battle["participants"]) == sorted([(a, 100), (b, 110)])
    assert battle["matched_at"].endswith("Z")
    assert arena.status(a)["active"] is arena.status(b)["active"] is False
    assert not arena.is_queued(a)
    assert not arena.is_queued(b)
    assert arena.check(a, "ranked")["status"] == "none"


def test_events_tell_each_thing_once_though_nobody_asks(fleet, arena, amqp):
    events = amqp.events("arena.#")
    for _ in range(3):
        fleet.start("arena")
    a, b = arena.characters([100, 100])
    arena.join(a)
    arena.join(b)
    told = [events.next(1) for _ in range(3)]
    by_key = {(event.routing_key, event.body.get("char_id")): event for event in told}
    battle = by_key["arena.battle_created", None].body
    assert {p["char_id"] for p in battle["participants"]} == {a, b}
    for me, other in ((a, b), (b, a)):
        assert by_key["arena.match_found", me].body == {
            "char_id": me, "opponent_id": other, "session_id": battle["session_id"],
        }
    assert len({event.properties.message_id for event in told}) == 3
    assert arena.check(a)["battle"] == battle
    events.none_for(1)


def trace_of(message):
    return message.headers["traceparent"].split("-")[1]


def under_trace(number):
    return {"headers": {"traceparent": f"00-{number * 32}-b7ad6b7169203331-01"}}


def test_events_continue_the_trace_of_the_command_that_caused_them(fleet, arena, amqp):
    events = amqp.events("arena.#")
    fleet.start("arena", arena_request_ttl="1s", arena_sweep_interval="50ms")
    a, b, lone = arena.characters([100, 100, 1000])
    arena.join(a, **under_trace("1"))
    arena.join(b, **under_trace("2"))
    arena.join(lone, **under_trace("3"))
    told = [(message.routing_key, trace_of(message)) for message in (events.next(5) for _ in range(4))]
    assert told == [("arena.battle_created", "2" * 32), *[("arena.match_found", "2" * 32)] * 2, ("arena.request_expired", "3" * 32)]


def test_a_match_that_was_asked_for_continues_the_trace_of_who_asked(fleet, arena, amqp):
    """Two who fit and were not matched yet: as Redis is left when one of them was given another's score by hand."""
    events = amqp.events("arena.match_found")
    fleet.start("arena", arena_sweep_interval="60s")
    a, b = arena.characters([100, 1000])
    arena.join(a, **under_trace("1"))
    arena.join(b, **under_trace("2"))
    arena.redis.hset(f"arena:request:{b}", "gear_score", 100)
    arena.redis.zadd("arena:queue:1v1", {str(b): 100})
    arena.redis.zadd("arena:wait:1v1:100", {str(b): 1})
    assert amqp.call("arena.check_match", {"char_id": a, "mode": "1v1"}, **under_trace("4")).result["status"] == "matched"
    fleet.start("arena")
    assert trace_of(events.next(5)) == "4" * 32


def test_what_a_dead_worker_did_not_announce_another_does(fleet, arena, amqp):
    events = amqp.events("arena.#")
    first = fleet.start("arena", arena_sweep_interval="60s")
    a, b, session = matched_pair(arena)
    first.kill()
    events.none_for(0.3)
    fleet.start("arena")
    told = [events.next(2) for _ in range(3)]
    assert sorted(event.routing_key for event in told) == ["arena.battle_created", "arena.match_found", "arena.match_found"]
    assert {event.body["session_id"] for event in told} == {session}
    assert arena.check(a)["opponent_id"] == b


def test_what_a_worker_took_and_did_not_announce_is_announced_after_its_lease(fleet, arena, amqp):
    events = amqp.events("arena.battle_created")
    fleet.start("arena", arena_sweep_interval="60s")
    _, _, session = matched_pair(arena)
    entry = arena.redis.zrange("arena:announce", 0, 0)[0]
    arena.redis.zadd("arena:announce", {entry: time.time() * 1000 + 800})  # as taken by a worker that died
    fleet.start("arena")
    events.none_for(0.4)
    assert events.next(2).body["session_id"] == session


def test_the_waiting_are_matched_though_nobody_asks(fleet, arena, amqp):
    """They became fit while they waited: the range was made wider."""
    events = amqp.events("arena.match_found")
    narrow = fleet.start("arena", arena_range_percent=1)
    a, b = arena.characters([100, 110])
    arena.join(a)
    arena.join(b)
    assert arena.check(b)["status"] == "waiting"
    narrow.stop()
    fleet.start("arena")
    assert {events.next(1).body["char_id"] for _ in range(2)} == {a, b}


# For how long ---------------------------------------------------------------------------------------------------------


def test_an_unfinished_match_keeps_both_from_joining(worker, arena):
    a, b, session = matched_pair(arena)
    for hero in (a, b):
        for mode in ("1v1", "ranked"):
            reply = arena.join(hero, mode)
            assert reply.code == "conflict"
            assert session in reply.error["message"]


def test_a_match_ends_by_itself(fleet, arena):
    fleet.start("arena", arena_battle_ttl="700ms")
    a, b, _ = matched_pair(arena)
    assert arena.join(a).code == "conflict"
    wait_for(lambda: arena.check(a)["status"] == "none", 3)
    assert arena.check(b)["status"] == "none"
    assert arena.join(a).ok


def test_a_settled_fight_frees_both(worker, arena):
    a, b, session = matched_pair(arena)
    arena.settle(session, [a, b])
    assert arena.check(a)["battle"]["session_id"] == session, "readable until one joins again"
    assert arena.join(a, "ranked").ok
    assert arena.check(a, "1v1")["status"] == "none"
    assert arena.check(b, "1v1")["status"] == "none"
    assert arena.join(b, "ranked").ok
    assert arena.check(b, "ranked")["battle"]["session_id"] != session


def test_the_tombstone_of_a_fight_frees_both(worker, arena):
    a, b, session = matched_pair(arena)
    arena.redis.set(f"combat:result_cache:{session}", "{}")
    assert arena.join(b).ok
    assert arena.check(a)["status"] == "none"


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_a_fight_that_is_not_settled_does_not_free(worker, arena, status):
    a, b, session = matched_pair(arena)
    arena.settle(session, [a, b], status)
    assert arena.join(a).code == "conflict"


def test_a_repeat_of_a_join_that_was_matched_answers_its_request(worker, arena):
    a, b = arena.characters([100, 100])
    first = arena.join(a, message_id="join-a").result
    second = arena.join(b, message_id="join-b").result
    session = arena.check(a)["battle"]["session_id"]
    assert arena.join(a, message_id="join-a").result == first
    assert arena.join(b, message_id="join-b").result == second
    assert arena.check(b)["battle"]["session_id"] == session
    assert arena.join(b, message_id="join-c").code == "conflict"


def delivered_again(arena, fleet, body, **properties):
    """The reply to a join whose first worker died, as the broker delivers it to the next."""
    fleet.stop()
    correlation_id = arena.amqp.request("arena.join_queue", body, exchange="game.commands", **properties)
    method = wait_for(lambda: arena.amqp.channel.basic_get("game.arena")[0], what="the join in the queue")
    arena.amqp.channel.basic_nack(method.delivery_tag, requeue=True)
    fleet.start("arena")
    return arena.amqp.requests.wait(correlation_id, 10)


def test_a_join_that_made_a_match_and_is_delivered_again_is_no_conflict(fleet, arena):
    fleet.start("arena")
    a, b = arena.characters([100, 110])
    arena.join(a)
    first = arena.join(b).result
    body = {"char_id": b, "mode": "1v1"}
    assert delivered_again(arena, fleet, body).result == first
    assert arena.check(a)["opponent_id"] == b
    assert delivered_again(arena, fleet, body, message_id="another join").code == "conflict"
    assert delivered_again(arena, fleet, {"char_id": b, "mode": "ranked"}).code == "conflict"


def test_a_join_delivered_again_joins_where_the_fight_was_settled(fleet, arena):
    fleet.start("arena")
    a, b, session = matched_pair(arena)
    arena.settle(session, [a, b])
    delivered_again(arena, fleet, {"char_id": b, "mode": "1v1"}).result
    assert arena.check(b)["status"] == "waiting"


# Patience -------------------------------------------------------------------------------------------------------------


def test_the_range_grows_with_time_where_that_is_on(fleet, arena, amqp):
    events = amqp.events("arena.match_found")
    fleet.start("arena", arena_widen=30)
    a, b = arena.characters([100, 140])  # fit at 28.6 percent
    arena.join(a)
    arena.join(b)
    assert arena.check(b)["status"] == "waiting"
    assert {events.next(3).body["char_id"] for _ in range(2)} == {a, b}


def test_the_range_grows_to_its_cap(fleet, arena, amqp):
    events = amqp.events("arena.match_found")
    fleet.start("arena", arena_widen=1000, arena_widen_cap=20)
    a, b, c = arena.characters([100, 130, 120])
    arena.join(a)
    arena.join(b)
    events.none_for(1)
    arena.leave(b)
    arena.join(c)
    assert {events.next(2).body["char_id"] for _ in range(2)} == {a, c}


def test_nobody_is_passed_over_for_ever(fleet, arena):
    """One at 100 beside a crowd at 120, and comers at 111 who are nearer to the crowd: the one is served in its turn."""
    fleet.start("arena", arena_patience="500ms")
    lone = arena.character(100)
    arena.join(lone)
    crowd, comers = iter(arena.characters([120] * 200)), iter(arena.characters([111] * 200))
    arena.join(next(crowd))
    started = time.monotonic()

    def served():
        arena.join(next(comers))
        arena.join(next(crowd))
        return arena.status(lone)["active"] is False

    wait_for(served, 5)
    assert time.monotonic() - started > 0.4, "nearer ones come first for a while"
    assert arena.check(lone)["status"] == "matched"
