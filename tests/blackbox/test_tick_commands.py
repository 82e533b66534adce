"""tick: starting, deleting and looking at auto-sessions, by both lanes."""

import json
import re
import uuid
from datetime import datetime, timedelta, timezone

import pytest

from lib.fleet import Fleet
from lib.tick import CATEGORIES, Tick, time_of
from lib.wait import wait_for

pytestmark = pytest.mark.services("tick", "ctl")

RFC3339_MS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
COMMANDS = ("start_auto_session", "delete_auto_session", "get_auto_session_status")


@pytest.fixture
def tick(stack, amqp):
    tick = Tick(stack, amqp)
    yield tick
    tick.close()


@pytest.fixture(scope="module")
def worker(stack, tmp_path_factory):
    """One for the whole module: what a bad message does to it would show in all that follows."""
    fleet = Fleet(stack, tmp_path_factory.mktemp("tick"))
    yield fleet.start("tick")
    fleet.stop()


def minutes_ago(minutes):
    return (datetime.now(timezone.utc) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def retried(first_at, attempt=2):
    """Headers of a command that comes back from a rung."""
    return {"exchange": "game.commands", "headers": {"g-attempt": attempt, "g-first-at": first_at}}


# Starting -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", CATEGORIES)
def test_start_answers_the_new_session(worker, tick, category):
    hero = tick.character()
    now = tick.value("SELECT now()")
    result = tick.start(hero, category).result
    assert set(result) == {"started", "session"} and result["started"] is True
    session = result["session"]
    assert set(session) == {
        "player_id", "active_category", "started_at", "last_tick_at", "next_tick_at", "ticks", "totals"
    }  # fmt: skip
    assert session["player_id"] == hero and session["active_category"] == category and session["ticks"] == 0
    assert session["totals"] == {"xp": 0, "gold": 0, "items": 0}
    for name in ("started_at", "last_tick_at", "next_tick_at"):
        assert RFC3339_MS.match(session[name])
    assert session["last_tick_at"] == session["started_at"]
    assert time_of(session["next_tick_at"]) - time_of(session["started_at"]) == timedelta(minutes=6)
    assert timedelta(milliseconds=-1) <= time_of(session["started_at"]) - now < timedelta(seconds=10)
    row = tick.row(hero)
    assert row["active_category"] == category and row["ticks"] == 0
    assert (row["started_at"], row["last_tick_at"], row["next_tick_at"]) == tuple(
        time_of(session[name]) for name in ("started_at", "last_tick_at", "next_tick_at")
    )


def test_start_leaves_an_active_session_as_it_was(worker, tick):
    hero = tick.character()
    first = tick.start(hero, "trade").result["session"]
    second = tick.start(hero, "crafting").result
    assert second == {"started": False, "session": first}


def test_start_without_a_character_is_not_found(worker, tick, amqp):
    reply = tick.start(987654321)
    assert reply.code == "not_found" and reply.error["retryable"] is False
    assert tick.start(987654321, exchange="game.commands").code == "not_found"
    dead = amqp.dead("tick")
    assert dead.headers["g-code"] == "not_found" and dead.body["player_id"] == 987654321
    assert tick.row(987654321) is None


def test_a_session_may_be_started_again_after_its_end(worker, tick):
    hero = tick.character()
    tick.start(hero, "trade")
    tick.delete(hero)
    result = tick.start(hero, "crafting").result
    assert result["started"] is True and result["session"]["active_category"] == "crafting"


# Deleting and looking -------------------------------------------------------------------------------------------------


def test_delete_ends_the_session(worker, tick):
    hero = tick.character()
    tick.start(hero)
    assert tick.delete(hero).result == {"deleted": True}
    assert tick.row(hero) is None
    assert tick.delete(hero).result == {"deleted": False}


def test_delete_and_status_of_nobody(worker, tick):
    assert tick.delete(987654321).result == {"deleted": False}
    assert tick.status(987654321).result == {"active": False, "session": None}


def test_status_tells_the_session(worker, tick):
    hero = tick.character()
    assert tick.status(hero).result == {"active": False, "session": None}
    session = tick.start(hero, "exploration").result["session"]
    assert tick.status(hero).result == {"active": True, "session": session}
    tick.delete(hero)
    assert tick.status(hero).result == {"active": False, "session": None}


def test_all_three_by_the_durable_lane(worker, tick):
    hero = tick.character()
    durable = {"exchange": "game.commands"}
    assert tick.start(hero, **durable).result["started"] is True
    assert tick.status(hero, **durable).result["active"] is True
    assert tick.delete(hero, **durable).result == {"deleted": True}


def test_unknown_fields_are_ignored(worker, tick, amqp):
    hero = tick.character()
    body = {"player_id": hero, "active_category": "trade", "mood": {"good": [1, 2]}}
    assert amqp.call("tick.start_auto_session", body).result["started"] is True


def test_the_command_may_come_from_the_routing_key_alone(worker, tick, amqp):
    assert amqp.call("tick.get_auto_session_status", {"player_id": tick.character()}, type=None).ok


# Many at once ---------------------------------------------------------------------------------------------------------


def test_a_crowd_is_served_each_as_its_own(worker, tick, amqp):
    heroes = tick.characters(300)
    sent = {hero: amqp.request("tick.start_auto_session", {"player_id": hero, "active_category": CATEGORIES[hero % 4]})
            for hero in heroes}  # fmt: skip
    nobody = amqp.request("tick.start_auto_session", {"player_id": 987654321, "active_category": "trade"})
    for hero, correlation_id in sent.items():
        result = amqp.requests.wait(correlation_id, 20).result
        assert result["started"] and result["session"]["player_id"] == hero
        assert result["session"]["active_category"] == CATEGORIES[hero % 4]
    assert amqp.requests.wait(nobody, 20).code == "not_found"
    ends = [amqp.request("tick.delete_auto_session", {"player_id": hero}) for hero in heroes]
    assert all(amqp.requests.wait(end, 20).result["deleted"] for end in ends)


def test_one_player_many_times_at_once_is_started_and_ended_once(worker, tick, amqp):
    hero = tick.character()
    starts = [amqp.request("tick.start_auto_session", {"player_id": hero, "active_category": "trade"}) for _ in range(50)]
    results = [amqp.requests.wait(start, 20).result for start in starts]
    assert [result["started"] for result in results].count(True) == 1
    assert len({json.dumps(result["session"]) for result in results}) == 1
    ends = [amqp.request("tick.delete_auto_session", {"player_id": hero}) for _ in range(50)]
    assert [amqp.requests.wait(end, 20).result["deleted"] for end in ends].count(True) == 1


# Again and late -------------------------------------------------------------------------------------------------------


def test_a_retried_start_that_nobody_overtook_starts(worker, tick):
    hero = tick.character()
    assert tick.start(hero, **retried(minutes_ago(1))).result["started"] is True


@pytest.mark.parametrize("active_before", (True, False))
def test_a_start_retried_after_a_later_delete_does_nothing(worker, tick, amqp, active_before):
    hero = tick.character()
    if active_before:
        tick.start(hero)
    tick.delete(hero)  # also where there is nothing to delete, the player wants no session
    assert tick.start(hero, **retried(minutes_ago(1))).result == {"started": False, "session": None}
    assert tick.row(hero) is None
    assert amqp.depth("game.tick.dead") == 0
    assert tick.start(hero).result["started"] is True, "a start of its own is no retry"


def test_a_start_retried_after_an_earlier_delete_starts(worker, tick):
    hero = tick.character()
    tick.delete(hero)
    tick.sql("UPDATE auto_session_ends SET ended_at = ended_at - interval '5 minutes' WHERE player_id = %s", hero)
    assert tick.start(hero, **retried(minutes_ago(1))).result["started"] is True


def test_a_delete_retried_after_a_later_start_does_nothing(worker, tick):
    hero = tick.character()
    session = tick.start(hero).result["session"]
    assert tick.delete(hero, **retried(minutes_ago(1))).result == {"deleted": False}
    assert tick.session(hero) == session


def test_a_delete_retried_after_an_earlier_start_deletes(worker, tick):
    hero = tick.character()
    tick.start(hero)
    tick.age(hero, 120)
    assert tick.delete(hero, **retried(minutes_ago(1))).result == {"deleted": True}


def test_two_retried_commands_count_as_of_their_first_attempts(worker, tick):
    hero = tick.character()
    assert tick.start(hero, **retried(minutes_ago(3))).result["started"] is True
    assert tick.delete(hero, **retried(minutes_ago(2))).result == {"deleted": True}, "asked for after the start"
    assert tick.start(hero, **retried(minutes_ago(1))).result["started"] is True, "asked for after the delete"
    assert tick.delete(hero, **retried(minutes_ago(2))).result == {"deleted": False}, "asked for before the start"


def test_a_start_delivered_again_after_the_end_of_its_session_does_nothing(worker, tick):
    hero = tick.character()
    message_id = str(uuid.uuid4())
    assert tick.start(hero, message_id=message_id).result["started"] is True
    tick.delete(hero)
    assert tick.start(hero, message_id=message_id).result == {"started": False, "session": None}
    assert tick.start(hero, message_id=str(uuid.uuid4())).result["started"] is True


def test_a_start_delivered_again_while_its_session_is_being_ended_does_nothing(worker, tick, amqp, stack):
    """The end is not committed yet when the start looks for it; it waits for the session's row, which then is gone."""
    hero = tick.character()
    message_id = str(uuid.uuid4())
    assert tick.start(hero, message_id=message_id).result["started"] is True
    other = stack.database()
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute("DELETE FROM auto_sessions WHERE player_id = %s RETURNING start_key", (hero,))
        cursor.execute("INSERT INTO auto_session_ends (player_id, ended_at, start_key) VALUES (%s, now(), %s)",
                       (hero, cursor.fetchone()[0]))  # fmt: skip
    again = amqp.request(
        "tick.start_auto_session", {"player_id": hero, "active_category": "trade"}, message_id=message_id
    )
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    wait_for(lambda: tick.value(waits, stack.name) == 1)
    other.commit()
    other.close()
    assert amqp.requests.wait(again, 10).result == {"started": False, "session": None}
    assert tick.status(hero).result == {"active": False, "session": None}


def test_a_delete_delivered_again_after_a_new_start_does_nothing(worker, tick):
    hero = tick.character()
    message_id = str(uuid.uuid4())
    tick.start(hero)
    assert tick.delete(hero, message_id=message_id).result == {"deleted": True}
    tick.start(hero)
    assert tick.delete(hero, message_id=message_id).result == {"deleted": False}
    assert tick.row(hero)


# Bad input ------------------------------------------------------------------------------------------------------------

BAD_IDS = {
    "absent": ({}, "player_id"),
    "null": ({"player_id": None}, "player_id"),
    "text": ({"player_id": "101"}, "player_id"),
    "fraction": ({"player_id": 101.5}, "player_id"),
    "flag": ({"player_id": True}, "player_id"),
    "list": ({"player_id": [101]}, "player_id"),
    "zero": ({"player_id": 0}, "player_id"),
    "negative": ({"player_id": -5}, "player_id"),
    "too large": ({"player_id": 2**53}, "player_id"),
    "no number of a computer": ('{"player_id": 1e400, "active_category": "trade"}', "player_id"),
    "too many digits": ('{"player_id": 1%s, "active_category": "trade"}' % ("0" * 99), "player_id"),
    "twice": ('{"player_id": 1, "player_id": 2, "active_category": "trade"}', "player_id"),
}
BAD_CATEGORIES = {
    "absent": {},
    "unknown": {"active_category": "fishing"},
    "other case": {"active_category": "Trade"},
    "number": {"active_category": 2},
    "null": {"active_category": None},
    "empty": {"active_category": ""},
    "a zero byte": {"active_category": "trade\0"},
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", BAD_IDS)
def test_a_bad_player_id_is_named(worker, amqp, command, case):
    body, field = BAD_IDS[case]
    if isinstance(body, dict):
        body = {"active_category": "trade", **body}
    reply = amqp.call(f"tick.{command}", body)
    assert reply.code == "invalid_payload" and list(reply.fields) == [field]


@pytest.mark.parametrize("case", BAD_CATEGORIES)
def test_a_bad_category_is_named(worker, tick, amqp, case):
    hero = tick.character()
    reply = amqp.call("tick.start_auto_session", {"player_id": hero, **BAD_CATEGORIES[case]})
    assert reply.code == "invalid_payload" and list(reply.fields) == ["active_category"]
    assert tick.row(hero) is None


def test_all_bad_fields_are_named_at_once(worker, amqp):
    reply = amqp.call("tick.start_auto_session", {"player_id": "x", "active_category": "y"})
    assert set(reply.fields) == {"player_id", "active_category"}


@pytest.mark.parametrize("body", (b"", b"{", b'{"player_id": 1}}', b"\xff\xfe", b"[1", b"nul"))
def test_no_json_is_invalid_json(worker, amqp, body):
    assert amqp.call("tick.get_auto_session_status", body).code == "invalid_json"


def test_a_bad_message_is_dead_with_its_reason_and_hurts_nobody(worker, tick, amqp):
    heroes = tick.characters(20)
    for hero in heroes:
        amqp.publish("tick.start_auto_session", {"player_id": hero, "active_category": "trade"})
        amqp.publish("tick.start_auto_session", {"player_id": hero, "active_category": "nothing"}, message_id=f"bad {hero}")
    dead = {amqp.dead("tick").properties.message_id for _ in heroes}
    assert dead == {f"bad {hero}" for hero in heroes}
    wait_for(lambda: all(tick.row(hero) for hero in heroes), what="the good starts")


def test_an_unknown_command_is_refused(worker, amqp):
    assert amqp.call("tick.pause_auto_session", {"player_id": 1}).code == "unknown_command"


# Settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value",
    (
        ("TICK_INTERVAL", "0"), ("TICK_INTERVAL", "soon"), ("TICK_INTERVAL", "6"), ("TICK_INTERVAL", "1ms"),
        ("TICK_BATCH_SIZE", "0"), ("TICK_BATCH_SIZE", "many"), ("TICK_CATCHUP_MAX", "0"), ("TICK_CATCHUP_MAX", "-1"),
        ("TICK_EVENTS", "maybe"), ("AUTO_SESSION_MAX", "-1s"),
    ),
)  # fmt: skip
def test_a_bad_setting_is_refused_by_name(fleet, name, value):
    done = fleet.run("tick", **{name: value})
    assert done.returncode == 64
    assert name in done.stderr and value in done.stderr


def test_describe_tells_the_commands_and_settings(fleet):
    described = json.loads(fleet.run("tick", "--describe").stdout)
    assert {command["name"] for command in described["commands"]} == set(COMMANDS)
    defaults = {setting["name"]: setting["default"] for setting in described["settings"]}
    assert defaults["TICK_INTERVAL"] == "6m" and defaults["TICK_BATCH_SIZE"] == "500"
    assert defaults["TICK_CATCHUP_MAX"] == "10" and defaults["TICK_EVENTS"] == "off"
    assert defaults["AUTO_SESSION_MAX"] == "0"
