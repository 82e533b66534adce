"""garrisonctl dead: what lies in a dead queue is counted, shown, sent again or deleted, and nothing is lost on the way."""

import json
import re
import signal
import subprocess
import time

import pytest

from lib.wait import wait_for

DEAD = "game.arena.dead"
LIVE = "game.arena"


def bury(amqp, command="join_queue", code="not_found", **properties):
    """A dead letter as a worker leaves it."""
    headers = {
        "g-routing-key": f"arena.{command}",
        "g-attempt": 1,
        "g-stage": "handle",
        "g-code": code,
        "g-error": f"because of {code}",
        "g-first-at": "2026-01-31T12:00:00.000Z",
        "g-last-at": "2026-01-31T12:00:01.000Z",
        "g-worker": "host/1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        **properties.pop("headers", {}),
    }
    body = properties.pop("body", {"char_id": 101, "mode": "1v1"})
    amqp.publish(f"arena.{command}", body, exchange="game.dead", headers=headers, type=command, **properties)


@pytest.fixture
def dead(stack, amqp):
    """dead("list", "--code=x") runs the verb for arena and gives its JSON; the queues are empty before and after."""

    def clear():
        for queue in (DEAD, LIVE):
            amqp.purge(queue)

    def run(verb, *words, **settings):
        return json.loads(stack.ctl("dead", verb, "arena", *words, "--json", **settings).stdout)

    clear()
    yield run
    clear()


def depth_is(amqp, queue, n):
    wait_for(lambda: amqp.depth(queue) == n, 10, what=f"{n} messages in {queue}")


def test_an_empty_queue(dead):
    assert dead("list") == {"service": "arena", "messages": 0, "groups": []}
    assert dead("show") == {"messages": []}
    assert dead("redrive") == {"dry_run": False, "redriven": 0}
    assert dead("purge") == {"dry_run": False, "purged": 0, "messages": []}


def test_list_groups_by_command_and_code(dead, amqp):
    for i in range(3):
        bury(amqp, message_id=f"a{i}")
    bury(amqp, code="internal", message_id="b")
    bury(amqp, command="leave_queue", message_id="c", headers={"g-last-at": "2026-02-01T00:00:00.000Z"})
    listed = dead("list")
    assert listed["messages"] == 5
    assert [(g["command"], g["code"], g["messages"]) for g in listed["groups"]] == [
        ("join_queue", "not_found", 3),
        ("join_queue", "internal", 1),
        ("leave_queue", "not_found", 1),
    ]
    assert listed["groups"][1]["error"] == "because of internal"
    assert listed["groups"][2]["last_at"] == "2026-02-01T00:00:00.000Z"
    depth_is(amqp, DEAD, 5)
    assert dead("list", "--code", "internal")["messages"] == 1


def test_what_the_broker_put_there_has_the_brokers_reason(dead, amqp):
    amqp.publish("arena.join_queue", {}, message_id="late", expiration="1")
    depth_is(amqp, DEAD, 1)
    assert [(g["command"], g["code"]) for g in dead("list")["groups"]] == [("join_queue", "expired")]
    depth_is(amqp, DEAD, 1)
    dead("redrive")
    again = amqp.get(LIVE)
    assert again.properties.message_id == "late"
    assert again.properties.expiration is None
    assert not [h for h in again.headers if "death" in h]


def test_show_gives_the_message_whole(dead, amqp):
    bury(amqp, message_id="m1", correlation_id="c1")
    bury(amqp, message_id="m2", body=b"\xff not JSON")
    shown = dead("show")["messages"]
    assert shown[0]["body"] == {"char_id": 101, "mode": "1v1"}
    assert {k: shown[0][k] for k in ("message_id", "correlation_id", "routing_key", "code", "stage", "attempt")} == {
        "message_id": "m1",
        "correlation_id": "c1",
        "routing_key": "arena.join_queue",
        "code": "not_found",
        "stage": "handle",
        "attempt": 1,
    }
    assert shown[1]["body_text"] == "\ufffd not JSON"
    assert len(dead("show", "--id", "m2")["messages"]) == 1
    assert len(dead("show", "--limit", "1")["messages"]) == 1


def test_a_terminal_is_sent_nothing_but_text(dead, amqp, stack):
    bury(amqp, body='{"name": "Я"}'.encode())
    bury(amqp, body=b"\xff\x1b]0;owned\x07\x00" + "\x7f\u009b2J\t!\n".encode())
    bury(amqp, body={}, message_id="id\x1b[2J", headers={"g-error": "because\x1b[31m", "g-code": "odd\x07"})
    shown = stack.ctl("dead", "show", "arena").stdout
    bodies = [line.removeprefix("body").lstrip() for line in shown.splitlines() if line.startswith("body")]
    assert bodies == ['{"name": "Я"}', r"\xff\x1b]0;owned\x07\x00\x7f\xc2\x9b2J" + "\t!", "{}"]
    for words in (["show"], ["list"], ["redrive", "--dry-run"], ["purge", "--dry-run"]):
        told = stack.ctl("dead", words[0], "arena", *words[1:]).stdout
        assert told and all(c.isprintable() or c in "\t\n" for c in told), told


def test_redrive_keeps_the_message_and_drops_the_notes(dead, amqp):
    bury(amqp, message_id="m1", correlation_id="c1", headers={"CC": ["arena.leave_queue"], "mine": "stays"})
    amqp.drain(LIVE)
    depth_is(amqp, DEAD, 1)
    assert dead("redrive") == {"dry_run": False, "redriven": 1}
    again = amqp.get(LIVE)
    assert again.routing_key == "arena.join_queue"
    assert again.body == {"char_id": 101, "mode": "1v1"}
    properties = again.properties
    assert (properties.message_id, properties.correlation_id) == ("m1", "c1")
    assert (properties.type, properties.delivery_mode, properties.content_type) == ("join_queue", 2, "application/json")
    assert set(again.headers) - {"x-delivery-count"} == {"traceparent", "mine"}
    assert amqp.try_get(LIVE) is None
    depth_is(amqp, DEAD, 0)


def test_redrive_uses_the_original_key(dead, amqp):
    bury(amqp, command="unknown", headers={"g-routing-key": "arena.jion_queue"}, message_id="m1")
    dead("redrive")
    assert amqp.get(LIVE).routing_key == "arena.jion_queue"


def test_redrive_takes_only_what_was_asked_for(dead, amqp):
    for i in range(4):
        bury(amqp, message_id=f"a{i}", code="not_found" if i % 2 else "internal")
    assert dead("redrive", "--code=internal")["redriven"] == 2
    assert {m.properties.message_id for m in (amqp.get(LIVE), amqp.get(LIVE))} == {"a0", "a2"}
    depth_is(amqp, DEAD, 2)
    assert dead("redrive", "--id", "a3")["redriven"] == 1
    depth_is(amqp, DEAD, 1)
    assert dead("redrive", "--limit", "1")["redriven"] == 1
    depth_is(amqp, DEAD, 0)


def test_a_dry_run_says_which_and_changes_nothing(dead, amqp):
    for i in range(3):
        bury(amqp, message_id=f"a{i}")
    for verb in ("redrive", "purge"):
        told = dead(verb, "--dry-run")
        assert told["dry_run"] is True
        assert [m["message_id"] for m in told["messages"]] == ["a0", "a1", "a2"]
        depth_is(amqp, DEAD, 3)
    assert amqp.depth(LIVE) == 0


def test_purge_deletes_what_was_asked_for(dead, amqp):
    for i in range(3):
        bury(amqp, message_id=f"a{i}", code="internal" if i else "conflict")
    assert dead("purge", "--code", "internal")["purged"] == 2
    depth_is(amqp, DEAD, 1)
    assert dead("purge")["purged"] == 1
    depth_is(amqp, DEAD, 0)


def test_a_purge_keeps_its_rate(dead, amqp):
    for i in range(11):
        bury(amqp, message_id=f"a{i}")
    began = time.monotonic()
    assert dead("purge", "--rate", "10")["purged"] == 11
    assert 0.9 < time.monotonic() - began < 5
    depth_is(amqp, DEAD, 0)


def test_scans_do_not_wear_the_queue_out(dead, amqp):
    bury(amqp, message_id="m1")
    for _ in range(25):
        assert dead("list")["messages"] == 1


def test_what_was_only_looked_at_is_there_when_the_verb_has_ended(dead, amqp):
    for i in range(40):
        bury(amqp, message_id=f"m{i}")
    depth_is(amqp, DEAD, 40)
    for verb, words, left in (("show", (), 40), ("list", (), 40), ("purge", ("--id=m7",), 39), ("redrive", ("--id=m9",), 38)):
        dead(verb, *words)
        assert amqp.depth(DEAD) == left, verb


def test_many_messages_go_once_and_in_order(dead, amqp):
    for i in range(700):
        amqp.channel.basic_publish(
            "game.dead", "arena.join_queue", b"{}", amqp._properties("arena.join_queue", {"message_id": str(i)})
        )
    assert dead("redrive")["redriven"] == 700
    assert [int(m.properties.message_id) for m in amqp.drain(LIVE)] == list(range(700))
    depth_is(amqp, DEAD, 0)


def test_a_rate_is_kept_and_a_stop_loses_nothing(dead, amqp, stack):
    for i in range(50):
        bury(amqp, message_id=str(i))
    began = time.monotonic()
    assert dead("redrive", "--limit", "11", "--rate", "10")["redriven"] == 11
    assert 0.9 < time.monotonic() - began < 5
    process = subprocess.Popen(
        [stack.binary("garrisonctl"), "dead", "redrive", "arena", "--rate", "5", "--json"],
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: amqp.depth(LIVE) >= 13)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert re.search("run it again", err) and len(err.splitlines()) == 1
    stopped_after = json.loads(out)["redriven"]
    depth_is(amqp, LIVE, 11 + stopped_after)
    depth_is(amqp, DEAD, 39 - stopped_after)
    dead("redrive")
    assert sorted(int(m.properties.message_id) for m in amqp.drain(LIVE)) == list(range(50))


def test_nothing_is_removed_when_no_queue_takes_it(dead, amqp):
    bury(amqp, message_id="m1")
    amqp.channel.queue_unbind(LIVE, "game.commands", "arena.#")
    try:
        with pytest.raises(AssertionError) as failed:
            dead("redrive")
        assert "no queue takes arena.join_queue" in str(failed.value)
    finally:
        amqp.channel.queue_bind(LIVE, "game.commands", "arena.#")
    depth_is(amqp, DEAD, 1)
    assert dead("redrive")["redriven"] == 1


@pytest.mark.parametrize("verb", ["list", "show", "redrive", "purge"])
def test_an_unknown_service_is_named(stack, verb):
    refused = stack.ctl("dead", verb, "arenna", check=False)
    assert (refused.returncode, refused.stdout) == (64, "")
    assert refused.stderr == 'garrisonctl: no such service "arenna"; did you mean arena?\n'
