"""What every service's two lanes promise, shown on the service of the tests' own (tests/fixture)."""

import json
import re
import time
from datetime import datetime, timedelta, timezone

import pytest

from lib.wait import wait_for

EFFECTS = "fixture:effects"


@pytest.fixture(scope="module")
def fixture_service(stack):
    stack.add_service("fixture")


@pytest.fixture
def worker(stack, fixture_service, fleet, redis, amqp):
    redis.delete(EFFECTS)
    amqp.purge("game.fixture.dead")
    return fleet.start("fixture", retry_delays="1s,10s,60s,10m")


def in_flight(worker):
    return worker.metrics()["garrison_in_flight"]


def effects(redis):
    return redis.lrange(EFFECTS, 0, -1)


# Replies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", ["game.rpc", "game.commands"])
def test_a_command_is_answered_on_both_lanes(worker, amqp, exchange):
    reply = amqp.call("fixture.echo", {"text": "Шкура волка"}, exchange=exchange, correlation_id="c-1")
    assert reply.body == {"ok": True, "result": {"text": "Шкура волка"}}
    assert reply.properties.correlation_id == "c-1"
    assert reply.properties.content_type == "application/json"


def test_the_type_property_names_the_command_else_the_routing_keys_last_part(worker, amqp):
    assert amqp.call("fixture.any.thing", {"text": "a"}, type="echo").result == {"text": "a"}
    assert amqp.call("fixture.deep.echo", {"text": "b"}, type=None).result == {"text": "b"}


def test_unknown_fields_are_ignored(worker, amqp):
    assert amqp.call("fixture.echo", {"text": "a", "other": [1]}).result == {"text": "a"}


def test_a_trace_is_continued_in_the_reply_the_events_and_the_log(worker, amqp):
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    events = amqp.events("fixture.#")
    sent = f"00-{trace_id}-00f067aa0ba902b7-01"
    reply = amqp.call("fixture.emit", {"n": 1}, headers={"traceparent": sent})
    event = events.next()
    for message in (reply, event):
        assert re.fullmatch(f"00-{trace_id}-[0-9a-f]{{16}}-01", message.headers["traceparent"])
        assert message.headers["traceparent"] != sent
    assert any(trace_id in line.get("traceparent", "") for line in wait_for(lambda: worker.logs))


def test_events_carry_a_message_id_that_is_the_same_on_a_repeat(worker, amqp):
    events = amqp.events("fixture.emitted")
    for _ in range(2):
        amqp.send_and_wait("fixture.emit", {"n": 3}, message_id="m")
    ids = [events.next().properties.message_id for _ in range(6)]
    assert ids == ["m/0", "m/1", "m/2"] * 2


# Bad input ------------------------------------------------------------------------------------------------------------

BAD = [
    (b"", "invalid_json", "parse"),
    (b"{", "invalid_json", "parse"),
    (b'{"key":"a"} x', "invalid_json", "parse"),
    (b'{"key":"\xff"}', "invalid_json", "parse"),
    (b'{"key":01}', "invalid_json", "parse"),
    (b"\xef\xbb\xbf{}", "invalid_json", "parse"),
    (b"[]", "invalid_payload", "validate"),
    (b'"text"', "invalid_payload", "validate"),
    (b'{"key":"\\u0000"}', "invalid_payload", "validate"),
    (b"[" * 33 + b"]" * 33, "invalid_payload", "validate"),
    (b'{"x":' + b"[" * 1001 + b"]" * 1001 + b"}", "invalid_payload", "validate"),
    (b'{"key":"' + b"a" * (1 << 20) + b'"}', "invalid_payload", "validate"),
]


@pytest.mark.parametrize(("body", "code", "stage"), BAD, ids=lambda value: repr(value)[:24])
def test_bad_bodies_are_answered_and_dead_lettered_with_their_reason(worker, amqp, body, code, stage):
    assert amqp.call("fixture.note", body).code == code
    assert amqp.depth("game.fixture.dead") == 0  # nothing of the request lane goes there
    reply = amqp.send_and_wait("fixture.note", body, message_id="bad-1")
    assert reply.code == code and reply.error["retryable"] is False
    dead = amqp.dead("fixture")
    assert dead.raw == body
    assert dead.properties.message_id == "bad-1"
    assert (dead.headers["g-stage"], dead.headers["g-code"], dead.headers["g-attempt"]) == (stage, code, 1)
    assert amqp.call("fixture.echo", {"text": "still here"}).ok


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({}, "key", "is required"),
        ({"key": 5}, "key", "must be a string"),
        ({"key": None}, "key", "must be a string"),
        ({"key": ""}, "key", "must not be empty"),
        ({"key": "a" * 101}, "key", "100"),
        ({"key": "a", "fail_attempts": 1.5}, "fail_attempts", "must be an integer"),
        ({"key": "a", "fail_attempts": "1"}, "fail_attempts", "must be an integer"),
        ({"key": "a", "fail_attempts": -1}, "fail_attempts", "0"),
        ({"key": "a", "fail_attempts": 2**53}, "fail_attempts", "100"),
        ({"key": "a", "poison": 1}, "poison", "must be true or false"),
        (b'{"key":"a","key":"b"}', "key", "twice"),
    ],
    ids=str,
)
def test_a_bad_field_is_named(worker, amqp, redis, body, field, problem):
    for reply in (amqp.call("fixture.note", body), amqp.send_and_wait("fixture.note", body)):
        assert reply.code == "invalid_payload"
        assert list(reply.fields) == [field] and problem in reply.fields[field]
    assert amqp.dead("fixture").headers["g-code"] == "invalid_payload"
    assert effects(redis) == []


def test_integers_may_be_spelled_as_decimals(worker, amqp, redis):
    assert amqp.call("fixture.note", b'{"key":"a","fail_attempts":0.0}').ok
    assert effects(redis) == ["a"]


def test_an_unknown_command_is_refused_and_dead_lettered(worker, amqp):
    assert amqp.call("fixture.fly", {}).code == "unknown_command"
    assert amqp.send_and_wait("fixture.fly", {}).code == "unknown_command"
    dead = amqp.dead("fixture")
    assert (dead.routing_key, dead.headers["g-stage"]) == ("fixture.unknown", "unknown")
    assert dead.headers["g-routing-key"] == "fixture.fly"


def test_a_copy_has_a_type_where_its_sender_left_it_out(worker, amqp):
    for key in ("fixture.fly", "fixture.deep.note"):
        amqp.publish(key, {}, type=None)
        assert amqp.dead("fixture").properties.type == key.rpartition(".")[2]


def test_a_lane_that_the_row_does_not_name_is_refused(worker, amqp, redis):
    reply = amqp.call("fixture.settle", {"key": "a"})
    assert (reply.code, reply.error["message"]) == ("forbidden", "use game.commands")
    reply = amqp.send_and_wait("fixture.whisper", {"password": "correct horse", "text": "t"})
    assert (reply.code, reply.error["message"]) == ("forbidden", "use game.rpc")
    assert amqp.dead("fixture").headers["g-code"] == "forbidden"
    assert effects(redis) == []


@pytest.mark.parametrize("command", ["whisper", "wisper"])
@pytest.mark.parametrize("body", ['{"password":"hunter2222","text":1}', '{"password":"hunter2222"', '["hunter2222"]'])
def test_a_secret_is_neither_dead_lettered_nor_logged(worker, amqp, command, body):
    amqp.send_and_wait(f"fixture.{command}", body)
    amqp.call(f"fixture.{command}", body)
    dead = amqp.dead("fixture")
    assert b"hunter2222" not in dead.raw and "hunter2222" not in str(dead.headers)
    json.loads(dead.raw)
    assert "hunter2222" not in worker.log_text


# The durable lane -----------------------------------------------------------------------------------------------------


def test_a_transient_failure_climbs_the_rungs_and_is_answered_once_at_the_end(worker, amqp, redis):
    sent = time.monotonic()
    reply = amqp.send_and_wait(
        "fixture.note", {"key": "a", "fail_attempts": 1}, message_id="m-1", headers={"tenant": "blue", "CC": ["nowhere"]}
    )
    assert reply.ok and 1 <= time.monotonic() - sent < 3
    assert effects(redis) == ["a"]
    assert amqp.depth("game.fixture.dead") == 0


def test_after_the_last_attempt_it_is_dead_with_the_reason_and_the_reply_says_so(worker, amqp, redis):
    # This row allows 2 attempts.
    began = datetime.now(timezone.utc)
    reply = amqp.send_and_wait("fixture.query", {"ms": 3000}, message_id="slow")
    assert (reply.code, reply.error["retryable"]) == ("timeout", True)
    dead = amqp.dead("fixture")
    assert dead.exchange == "game.dead" and dead.routing_key == "fixture.query"
    assert dead.body == {"ms": 3000}
    assert (dead.properties.message_id, dead.properties.type) == ("slow", "query")
    headers = dead.headers
    assert headers["g-routing-key"] == "fixture.query"
    assert (headers["g-attempt"], headers["g-stage"], headers["g-code"]) == (2, "timeout", "timeout")
    assert "PostgreSQL" in headers["g-error"] and headers["g-worker"].startswith("garrison-fixture@")
    for name in ("g-first-at", "g-last-at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", headers[name])
    first, last = (datetime.fromisoformat(headers[name].replace("Z", "+00:00")) for name in ("g-first-at", "g-last-at"))
    # From the first attempt's beginning to the last one's end: two of half a second, and a second between them.
    assert began - timedelta(milliseconds=1) <= first and last - first >= timedelta(seconds=1.9)


def test_a_retried_copy_keeps_the_senders_headers_but_none_that_steer_the_broker(worker, amqp):
    amqp.send_and_wait("fixture.query", {"ms": 3000}, headers={"tenant": "blue", "x-death": "x", "g-client": "10.0.0.9"})
    headers = amqp.dead("fixture").headers
    assert headers["tenant"] == "blue"
    assert not {"x-death", "CC", "BCC"} & set(headers)


def test_attempts_are_counted_by_our_own_header_alone(worker, amqp, redis):
    # Told that this is the second attempt, the handler, which fails the first, succeeds.
    assert amqp.send_and_wait("fixture.note", {"key": "b", "fail_attempts": 1}, headers={"g-attempt": 2}).ok
    assert effects(redis) == ["b"]


def test_without_reply_to_nothing_is_answered_and_nothing_is_lost(worker, amqp, redis):
    for i in range(200):
        amqp.publish("fixture.note_batch", {"key": str(i)})
    wait_for(lambda: len(effects(redis)) == 200)
    assert sorted(effects(redis), key=int) == [str(i) for i in range(200)]


def test_an_expired_message_on_the_durable_lane_reaches_the_dead_queue_by_the_broker(stack, fixture_service, amqp):
    amqp.purge("game.fixture.dead")
    amqp.publish("fixture.echo", {}, expiration="1")
    dead = amqp.dead("fixture")
    assert not [name for name in dead.headers if name.startswith("g-")]


# The request lane -----------------------------------------------------------------------------------------------------


def test_a_failed_request_is_answered_retryable_and_never_retried(worker, amqp, redis):
    reply = amqp.call("fixture.query", {"ms": 3000})
    assert (reply.code, reply.error["retryable"]) == ("timeout", True)
    assert amqp.depth("game.fixture.dead") == 0 and amqp.depth("game.fixture.retry.1s") == 0


def test_a_request_past_its_deadline_is_dropped_unserved(worker, amqp, redis):
    late = amqp.request("fixture.note", {"key": "late"}, headers={"g-deadline": int(time.time() * 1000) - 1})
    assert amqp.call("fixture.note", {"key": "in time"}, headers={"g-deadline": int(time.time() * 1000) + 5000}).ok
    assert effects(redis) == ["in time"]
    assert amqp.requests.replies_to(late) == []


def test_the_callers_deadline_bounds_the_handlers(worker, amqp):
    sent = time.monotonic()
    reply = amqp.call("fixture.query", {"ms": 3000}, headers={"g-deadline": int(time.time() * 1000) + 200})
    assert reply.code == "timeout" and time.monotonic() - sent < 0.45


def test_a_request_that_expires_behind_slow_ones_is_not_served(stack, fixture_service, fleet, amqp, redis):
    redis.delete(EFFECTS)
    worker = fleet.start("fixture", max_concurrent_tasks=1)
    slow = amqp.request("fixture.sleep", {"ms": 400})
    wait_for(lambda: in_flight(worker) == 1)
    amqp.request("fixture.note", {"key": "expired"}, expiration="100")
    assert amqp.requests.wait(slow, 5).ok
    assert amqp.call("fixture.note", {"key": "fresh"}).ok
    assert effects(redis) == ["fresh"]


def test_a_flood_of_a_command_that_runs_one_at_a_time_leaves_the_threads_to_the_others(stack, fixture_service, fleet, amqp):
    fleet.start("fixture", max_concurrent_tasks=2)
    began = time.monotonic()
    dozing = [amqp.request("fixture.doze", {"ms": 200}) for _ in range(5)]
    assert amqp.call("fixture.echo", {"text": "beside them"}).ok
    assert time.monotonic() - began < 0.9  # by no means after them
    for request in dozing:
        assert amqp.requests.wait(request, 5).ok
    assert time.monotonic() - began >= 1.0  # one after the other


def test_a_request_whose_worker_died_is_answered_unavailable_and_not_run_again(stack, fixture_service, fleet, amqp, redis):
    redis.delete(EFFECTS)
    first = fleet.start("fixture", max_concurrent_tasks=1)
    sleeping = amqp.request("fixture.sleep", {"ms": 1500})
    wait_for(lambda: in_flight(first) == 1)
    behind = amqp.request("fixture.note", {"key": "behind"})
    wait_for(lambda: in_flight(first) == 2)
    first.kill()
    fleet.start("fixture")
    for request in (sleeping, behind):
        reply = amqp.requests.wait(request, 5)
        assert (reply.code, reply.error["retryable"]) == ("unavailable", True)
    assert effects(redis) == []


def test_asking_another_service_and_nobody(worker, amqp):
    inner = {"routing_key": "fixture.echo", "body": {"text": "x"}}
    assert amqp.call("fixture.ask", inner).result["body"] == {"text": "x"}
    inner["routing_key"] = "nobody.echo"
    assert amqp.call("fixture.ask", inner).code == "unavailable"
    inner = {"routing_key": "fixture.note", "body": {}}
    assert amqp.call("fixture.ask", inner).code == "invalid_payload"
