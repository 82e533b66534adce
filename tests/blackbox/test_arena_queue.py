"""arena: joining, leaving, what the queue says of itself."""

import re
from datetime import datetime, timedelta

import pytest

from lib.arena import Arena, request_of
from lib.wait import wait_for

pytestmark = pytest.mark.services("arena", "ctl")

RFC3339_MS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def time_of(text):
    assert RFC3339_MS.match(text), text
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.fixture
def arena(stack, amqp):
    stack.redis.flushdb()
    arena = Arena(stack, amqp)
    yield arena
    arena.close()


@pytest.fixture
def worker(fleet, arena):
    return fleet.start("arena")


# Gear score -----------------------------------------------------------------------------------------------------------


def test_gear_score_is_the_sum_of_the_equipped_items(worker, arena, sql):
    hero = arena.character(120)
    sql("INSERT INTO item_templates (id, gear_score) VALUES ('ring', 30), ('club', 500)")
    sql("INSERT INTO inventory (character_id, item_template_id, is_equipped) VALUES (%s, 'ring', true)", hero)
    sql("INSERT INTO inventory (character_id, item_template_id, is_equipped) VALUES (%s, 'ring', true)", hero)
    sql("INSERT INTO inventory (character_id, item_template_id, is_equipped) VALUES (%s, 'club', false)", hero)
    sql("INSERT INTO inventory (character_id, item_template_id, is_equipped) VALUES (%s, 'no such', true)", hero)
    assert arena.gear_score(hero) == 180


def test_gear_score_without_gear_is_100(worker, arena, sql):
    assert arena.gear_score(arena.character()) == 100
    worthless = arena.character()
    sql("INSERT INTO item_templates (id, gear_score) VALUES ('rag', 0)")
    sql("INSERT INTO inventory (character_id, item_template_id, is_equipped) VALUES (%s, 'rag', true)", worthless)
    assert arena.gear_score(worthless) == 100


def test_gear_score_follows_the_equipment(worker, arena, sql):
    hero = arena.character(200)
    assert arena.join(hero).result["gear_score"] == 200
    arena.leave(hero)
    sql("UPDATE inventory SET is_equipped = false WHERE character_id = %s", hero)
    assert arena.gear_score(hero) == 100
    assert arena.join(hero).result["gear_score"] == 100
    assert arena.waiting() == {hero: 100}


def test_nobody_has_no_gear_score(worker, amqp):
    assert amqp.call("arena.get_gear_score", {"char_id": 987654321}).code == "not_found"


# Joining --------------------------------------------------------------------------------------------------------------


def test_join_answers_the_request_and_keeps_it(worker, arena):
    hero = arena.character(140)
    result = arena.join(hero).result
    request = result["request"]
    assert result["gear_score"] == request["gear_score"] == 140
    assert request["mode"] == "1v1"
    assert time_of(request["expires_at"]) - time_of(request["created_at"]) == timedelta(seconds=300)
    assert arena.waiting() == {hero: 140}
    kept = arena.redis.hgetall(f"arena:request:{hero}")
    assert {name: kept[name] for name in request} == {name: str(value) for name, value in request.items()}


def test_join_by_the_durable_lane(worker, arena, amqp):
    hero = arena.character(140)
    assert request_of(amqp.send_and_wait("arena.join_queue", {"char_id": hero, "mode": "ranked"}))["mode"] == "ranked"
    assert arena.waiting("ranked") == {hero: 140}


def test_joining_again_answers_the_same_request(worker, arena, sql):
    hero = arena.character(140)
    first = arena.join(hero).result
    sql("UPDATE inventory SET is_equipped = false WHERE character_id = %s", hero)
    assert arena.join(hero).result["request"] == first["request"]
    assert arena.waiting() == {hero: 140}


def test_joining_another_mode_meanwhile_conflicts(worker, arena):
    hero = arena.character()
    arena.join(hero)
    reply = arena.join(hero, "ranked")
    assert reply.code == "conflict"
    assert "1v1" in reply.error["message"]
    assert not arena.waiting("ranked")


def test_join_of_nobody_is_not_found(worker, arena):
    assert arena.join(987654321).code == "not_found"
    assert not arena.is_queued(987654321)


@pytest.mark.parametrize("command", ["join_queue", "leave_queue", "cancel_queue", "check_match"])
def test_unknown_mode_is_named(worker, arena, amqp, command):
    reply = amqp.call(f"arena.{command}", {"char_id": arena.character(), "mode": "3v3"})
    assert reply.code == "invalid_payload"
    assert "3v3" in reply.fields["mode"]
    amqp.send_and_wait(f"arena.{command}", {"char_id": 1, "mode": "3v3"})
    dead = amqp.dead("arena")
    assert (dead.headers["g-code"], dead.headers["g-stage"]) == ("invalid_payload", "validate")


def test_modes_are_a_setting(fleet, arena, amqp):
    fleet.start("arena", arena_modes="2v2")
    hero = arena.character()
    assert arena.join(hero, "2v2").ok
    assert arena.join(hero, "1v1").code == "invalid_payload"


def test_a_mode_that_could_not_be_part_of_a_key_is_refused_at_start(fleet, arena):
    done = fleet.run("arena", arena_modes="1v1,a b")
    assert done.returncode == 64
    assert "ARENA_MODES" in done.stderr


def test_a_batch_of_joins_is_answered_one_by_one(fleet, arena, amqp):
    """Good and bad joins that wait in the queue together, so that one worker takes them as one batch."""
    heroes = arena.characters([10 * 2**n for n in range(8)])
    bodies = [{"char_id": hero, "mode": "1v1"} for hero in heroes]
    bodies[2:2] = [{"char_id": 987654321, "mode": "1v1"}, {"char_id": heroes[0], "mode": "3v3"}, {"char_id": "x", "mode": "1v1"}]
    bodies.append({"char_id": heroes[0], "mode": "1v1"})
    sent = [amqp.request("arena.join_queue", body, exchange="game.commands") for body in bodies]
    fleet.start("arena", max_concurrent_tasks=1)
    replies = [amqp.requests.wait(id, 10) for id in sent]
    codes = ["ok" if reply.ok else reply.code for reply in replies]
    assert codes == ["ok", "ok", "not_found", "invalid_payload", "invalid_payload"] + ["ok"] * 7
    assert replies[-1].result == replies[0].result
    assert set(arena.waiting()) == set(heroes)


# Leaving --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["leave_queue", "cancel_queue"])
def test_leave_takes_out_of_the_queue(worker, arena, amqp, command):
    hero = arena.character()
    arena.join(hero)
    body = {"char_id": hero, "mode": "1v1"}
    assert amqp.call(f"arena.{command}", body).result == {"left": True}
    assert not arena.is_queued(hero)
    assert arena.check(hero)["status"] == "none"
    assert amqp.call(f"arena.{command}", body).result == {"left": False}


def test_leave_of_another_mode_leaves_nothing(worker, arena):
    hero = arena.character()
    arena.join(hero)
    assert arena.leave(hero, "ranked").result == {"left": False}
    assert arena.is_queued(hero)


def test_nobody_is_matched_with_one_who_left(worker, arena):
    gone, late = arena.characters([100, 100])
    arena.join(gone)
    arena.leave(gone)
    arena.join(late)
    assert arena.check(late)["status"] == "waiting"
    assert arena.check(gone)["status"] == "none"


# What the queue says --------------------------------------------------------------------------------------------------


def test_status_and_meta_of_one_who_waits(worker, arena, amqp):
    hero = arena.character(140)
    request = request_of(arena.join(hero))
    assert arena.status(hero) == {"active": True, "request": request, "waited_s": 0}
    assert amqp.call("arena.get_request_meta", {"char_id": hero}).result == {"request": request}
    wait_for(lambda: arena.status(hero)["waited_s"] == 1, 3)


def test_status_and_meta_of_one_who_does_not(worker, arena, amqp):
    hero = arena.character()
    assert arena.status(hero) == {"active": False, "request": None, "waited_s": 0}
    assert amqp.call("arena.get_request_meta", {"char_id": hero}).result == {"request": None}


# Expiry ---------------------------------------------------------------------------------------------------------------


def test_an_expired_request_is_told_once_and_leaves_no_ghost(fleet, arena, amqp):
    events = amqp.events("arena.#")
    for _ in range(2):
        fleet.start("arena", arena_request_ttl="300ms")
    hero = arena.character()
    arena.join(hero, "ranked")
    event = events.next(3)
    assert (event.routing_key, event.body) == ("arena.request_expired", {"char_id": hero, "mode": "ranked"})
    assert event.properties.message_id
    assert arena.status(hero)["active"] is False
    assert not arena.is_queued(hero)
    assert arena.check(hero, "ranked")["status"] == "timeout"
    assert arena.check(hero, "1v1")["status"] == "none"
    assert arena.leave(hero, "ranked").result == {"left": False}
    events.none_for(1)


def test_timeout_is_said_for_a_while(fleet, arena):
    fleet.start("arena", arena_request_ttl="200ms", arena_timeout_ttl="1s")
    hero = arena.character()
    arena.join(hero)
    wait_for(lambda: arena.check(hero)["status"] == "timeout", 2)
    wait_for(lambda: arena.check(hero)["status"] == "none", 3)


def test_expiry_is_exact_though_nobody_sweeps(fleet, arena):
    """A sweep a minute: the request is over when it says so, not when somebody cleans up."""
    fleet.start("arena", arena_request_ttl="200ms", arena_sweep_interval="60s")
    early, late = arena.characters([100, 100])
    arena.join(early)
    wait_for(lambda: arena.check(early)["status"] == "timeout", 2)
    assert arena.status(early)["active"] is False
    arena.join(late)
    assert arena.check(late)["status"] == "waiting"
    assert arena.check(early)["status"] == "timeout"


def test_one_who_expired_may_join_again(fleet, arena, amqp):
    events = amqp.events("arena.request_expired")
    fleet.start("arena", arena_request_ttl="500ms")
    hero = arena.character()
    first = request_of(arena.join(hero))
    events.next(3)
    second = request_of(arena.join(hero))
    assert second["created_at"] > first["created_at"]
    assert arena.check(hero)["status"] == "waiting"
    assert events.next(3).body == {"char_id": hero, "mode": "1v1"}


def test_entries_without_a_request_behind_them_are_passed_by(worker, arena):
    """Redis lost hashes (a failover): their entries are ghosts, and are cleaned by whoever meets them."""
    ghosts = arena.characters([100] * 5)
    for ghost in ghosts[:1]:
        arena.join(ghost)
    arena.redis.delete(f"arena:request:{ghosts[0]}")
    arena.redis.zadd("arena:queue:1v1", {str(ghost): 101 for ghost in ghosts[1:]})
    hero = arena.character(100)
    arena.join(hero)
    assert arena.check(hero)["status"] == "waiting"
    assert set(arena.waiting()) == {hero}


def test_a_request_that_redis_lost_undoes_no_later_match(fleet, arena, amqp):
    """Its entry among those that will expire is still there when he has found another, in another mode."""
    events = amqp.events("arena.request_expired")
    fleet.start("arena", arena_request_ttl="1s")
    hero, other, third = arena.characters([100, 100, 10**6])
    arena.join(hero)
    arena.redis.delete(f"arena:request:{hero}")
    arena.join(other, "ranked")
    arena.join(hero, "ranked")
    arena.join(third)
    assert events.next(5).body["char_id"] == third  # its time ends later
    wait_for(lambda: not arena.waiting())
    assert arena.check(hero, "ranked")["status"] == arena.check(other, "ranked")["status"] == "matched"
    assert arena.join(hero).code == "conflict"
    events.none_for(0.5)


# Again ----------------------------------------------------------------------------------------------------------------


def retried(first_at, attempt=2):
    return {"headers": {"g-attempt": attempt, "g-first-at": first_at}, "exchange": "game.commands"}


def test_a_repeat_of_a_join_after_leaving_does_not_bring_back(worker, arena):
    hero = arena.character()
    first = arena.join(hero, message_id="join-1").result
    arena.leave(hero)
    assert arena.join(hero, message_id="join-1").result == first
    assert not arena.is_queued(hero)
    assert arena.join(hero, message_id="join-2").ok
    assert arena.is_queued(hero)


def test_a_repeat_of_a_join_says_the_same_while_he_waits_in_another_mode(worker, arena):
    hero = arena.character()
    first = arena.join(hero, message_id="join-1").result
    arena.leave(hero)
    arena.join(hero, "ranked", message_id="join-2")
    assert arena.join(hero, message_id="join-1").result == first
    assert arena.status(hero)["request"]["mode"] == "ranked"


def test_a_repeat_of_a_leave_does_not_undo_a_later_join(worker, arena):
    hero = arena.character()
    arena.join(hero)
    assert arena.leave(hero, message_id="leave-1").result == {"left": True}
    arena.join(hero)
    assert arena.leave(hero, message_id="leave-1").result == {"left": True}
    assert arena.is_queued(hero)


def test_a_join_retried_after_a_later_leave_does_nothing(worker, arena):
    """Also when there was nothing to leave, for the join had not come through yet."""
    hero = arena.character()
    before = request_of(arena.join(arena.character(10**6)))["created_at"]
    assert arena.leave(hero).result == {"left": False}
    reply = arena.join(hero, **retried(before))
    assert reply.result == {"gear_score": 100, "request": None}
    assert not arena.is_queued(hero)


def test_a_join_retried_after_a_leave_of_another_mode_joins(worker, arena):
    hero = arena.character()
    before = request_of(arena.join(arena.character(10**6)))["created_at"]
    arena.leave(hero, "ranked")
    assert request_of(arena.join(hero, **retried(before)))["mode"] == "1v1"


def test_a_join_retried_after_an_earlier_leave_joins(worker, arena):
    hero = arena.character()
    arena.leave(hero)
    assert request_of(arena.join(hero, **retried("2099-01-01T00:00:00.000Z")))["mode"] == "1v1"


def test_a_join_retried_after_a_later_join_of_another_mode_does_nothing(worker, arena):
    hero = arena.character()
    before = request_of(arena.join(arena.character(10**6)))["created_at"]
    arena.join(hero, "ranked")
    assert arena.join(hero, **retried(before)).result["request"] is None
    assert arena.status(hero)["request"]["mode"] == "ranked"


def test_a_leave_retried_after_a_later_join_does_nothing(worker, arena):
    hero = arena.character()
    before = request_of(arena.join(arena.character(10**6)))["created_at"]
    arena.join(hero)
    assert arena.leave(hero, **retried(before)).result == {"left": False}
    assert arena.is_queued(hero)
