"""garrisonctl topology: the contract's names are made, differences are named, an export makes the same broker."""

import json

import pytest

from lib.stack import Stack
from lib.wait import wait_for

SERVICES = ["arena", "auth", "combat-settlement", "state-backup", "tick"]
DELAYS = {"1s": 1000, "10s": 10000, "60s": 60000, "10m": 600000}


@pytest.fixture
def own(servers, build):
    """A vhost of this test alone, without topology."""
    stack = Stack(servers, build)
    stack.management.create_vhost()
    yield stack
    stack.management.delete_vhost()


def differences(stack, **settings):
    done = stack.ctl("topology", "check", "--json", check=False, **settings)
    found = json.loads(done.stdout)
    lasting = [d for d in found["differences"] if not d["may_pass"]]
    assert done.returncode == (1 if lasting else 0)
    assert found["ok"] == (not lasting)
    return {(d["kind"], d["name"], d["problem"]) for d in found["differences"]}


def test_apply_makes_what_the_contract_names(own):
    own.ctl("topology", "apply")
    exchanges = own.management.exchanges()
    for name in ["game.commands", "game.rpc", "game.events", "game.dead", *(f"game.retry.{d}" for d in DELAYS)]:
        assert (exchanges[name]["type"], exchanges[name]["durable"]) == ("topic", True), name
    queues = own.management.queues()
    bindings = {(b["source"], b["destination"], b["routing_key"]) for b in own.management.bindings() if b["source"]}
    for service in SERVICES:
        assert queues[f"game.{service}"]["arguments"]["x-queue-type"] == "quorum"
        assert queues[f"game.{service}.dead"]["arguments"] == {"x-queue-type": "quorum"}
        rpc = queues[f"game.{service}.rpc"]["arguments"]
        assert rpc["x-queue-type"] == "classic" and rpc["x-max-length"] and rpc["x-message-ttl"]
        assert ("game.commands", f"game.{service}", f"{service}.#") in bindings
        assert ("game.rpc", f"game.{service}.rpc", f"{service}.#") in bindings
        assert ("game.dead", f"game.{service}.dead", f"{service}.#") in bindings
        for delay, ttl in DELAYS.items():
            rung = queues[f"game.{service}.retry.{delay}"]["arguments"]
            assert (rung["x-queue-type"], rung["x-message-ttl"]) == ("quorum", ttl)
            assert rung["x-dead-letter-exchange"] == "game.commands" and "x-dead-letter-routing-key" not in rung
            assert (f"game.retry.{delay}", f"game.{service}.retry.{delay}", f"{service}.#") in bindings
    assert len(queues) == len(SERVICES) * 7


def test_apply_again_changes_nothing_and_check_agrees(own):
    for _ in range(2):
        own.ctl("topology", "apply")
    assert differences(own) == set()


def test_a_rung_brings_a_message_back_with_its_key(own):
    own.ctl("topology", "apply", RETRY_DELAYS="100ms")
    amqp = own.amqp()
    amqp.publish("tick.anything", {}, exchange="game.retry.100ms", message_id="m1")
    message = amqp.get("game.tick")
    assert (message.routing_key, message.properties.message_id) == ("tick.anything", "m1")
    amqp.close()


def test_a_message_that_expires_lies_in_the_dead_queue(own):
    own.ctl("topology", "apply")
    amqp = own.amqp()
    amqp.publish("tick.anything", {}, expiration="1", message_id="m1")
    assert amqp.dead("tick").properties.message_id == "m1"
    amqp.close()


def test_check_names_everything_on_an_empty_broker(own):
    found = differences(own)
    assert len(found) == 8 + len(SERVICES) * 7
    assert {problem for _, _, problem in found} == {"is missing"}


@pytest.mark.parametrize(
    "words",
    [
        ["publish", "arena.get_gear_score", '{"char_id": 1}'],
        ["call", "arena.get_gear_score", '{"char_id": 1}'],
        ["dead", "list", "arena"],
        ["dead", "redrive", "arena"],
    ],
)
def test_what_needs_the_topology_names_the_command_that_applies_it(own, words):
    told = own.ctl(*words, check=False)
    assert (told.returncode, told.stdout) == (69, "")
    assert "garrisonctl topology apply" in told.stderr and len(told.stderr.splitlines()) == 1


def test_check_names_each_difference_and_apply_what_it_can(own):
    own.ctl("topology", "apply")
    management, vhost = own.management, own.management.vhost
    management.delete(f"queues/{vhost}/game.tick.retry.1s")
    management.put(
        f"queues/{vhost}/game.tick.retry.1s",
        {"durable": True, "arguments": {"x-queue-type": "quorum", "x-message-ttl": 5000, "x-expires": 1000000}},
    )
    management.delete(f"exchanges/{vhost}/game.events")
    management.put(f"exchanges/{vhost}/game.events", {"type": "fanout", "durable": False})
    management.delete(f"queues/{vhost}/game.arena.dead")
    management.delete(f"bindings/{vhost}/e/game.rpc/q/game.auth.rpc/auth.%23")
    management._do("POST", f"bindings/{vhost}/e/game.commands/q/game.arena", json={"routing_key": "tick.#"})
    management.put(f"queues/{vhost}/game.auth.retry.30s", {"durable": True})
    found = differences(own)
    rung = "game.tick.retry.1s"
    cannot_apply = {
        ("exchange", "game.events", "its type is fanout, not topic"),
        ("exchange", "game.events", "is not durable"),
        ("queue", rung, "x-message-ttl is 5000, not 1000"),
        ("queue", rung, 'x-dead-letter-exchange is not set, not "game.commands"'),
        ("queue", rung, 'x-dead-letter-strategy is not set, not "at-least-once"'),
        ("queue", rung, 'x-overflow is not set, not "reject-publish"'),
        ("queue", rung, "has an argument x-expires"),
        ("binding", rung, 'is not bound to game.retry.1s by "tick.#"'),
        ("binding", "game.arena", 'is bound to game.commands by "tick.#" as well'),
        ("queue", "game.auth.retry.30s", "is a rung that RETRY_DELAYS does not name"),
    }
    assert found == cannot_apply | {
        ("queue", "game.arena.dead", "is missing"),
        ("binding", "game.auth.rpc", 'is not bound to game.rpc by "auth.#"'),
    }
    applied = own.ctl("topology", "apply", "--json", check=False)
    assert applied.returncode == 1 and len(applied.stderr.splitlines()) == 1
    problems = json.loads(applied.stdout)["problems"]
    assert len(problems) == 2 and "game.events" in problems[0] and rung in problems[1]
    assert "delete it" in problems[1]
    assert differences(own) == cannot_apply


def test_check_names_a_policy_that_breaks_a_promise(own):
    own.ctl("topology", "apply")
    own.management.put(
        f"policies/{own.management.vhost}/limit",
        {"pattern": "dead$", "definition": {"delivery-limit": 3}, "apply-to": "queues"},
    )
    expected = {("queue", f"game.{s}.dead", 'policy "limit" sets delivery-limit') for s in SERVICES}
    wait_for(lambda: differences(own) == expected, 15, interval=0.3)


def test_check_names_messages_that_cannot_leave_a_rung(own):
    own.ctl("topology", "apply", RETRY_DELAYS="100ms")
    amqp = own.amqp()
    amqp.channel.queue_unbind("game.tick", "game.commands", "tick.#")
    amqp.publish("tick.anything", {}, exchange="game.retry.100ms")
    expected = {
        ("binding", "game.tick", 'is not bound to game.commands by "tick.#"'),
        ("queue", "game.tick.retry.100ms", "has 1 expired messages that wait to be dead-lettered"),
    }
    wait_for(lambda: differences(own, RETRY_DELAYS="100ms") == expected, 20, interval=0.3)
    amqp.close()


def test_another_ladder_is_another_topology(own):
    own.ctl("topology", "apply", RETRY_DELAYS="200ms,2s")
    assert differences(own, RETRY_DELAYS="200ms,2s") == set()
    found = differences(own)
    assert ("queue", "game.tick.retry.1s", "is missing") in found
    assert ("queue", "game.tick.retry.200ms", "is a rung that RETRY_DELAYS does not name") in found


def test_an_import_of_the_export_makes_the_same(own):
    exported = json.loads(own.ctl("topology", "export").stdout)
    own.management._do("POST", "definitions", json=exported)
    assert differences(own) == set()
