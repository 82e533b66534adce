"""A broker that is killed; on servers of its own, whose queues may be without a leader afterwards."""

import json
import time

import pytest

from lib.arena import Arena
from lib.load import effects
from lib.wait import wait_for

ONE_BUILD = "last"  # what takes long here is servers


def test_the_broker_killed_and_back(own_stack, own_fleet):
    own = own_stack
    own.add_service("fixture")
    worker = own_fleet.start("fixture")
    amqp = own.amqp()
    for i in range(500):
        amqp.publish("fixture.note", {"key": f"b{i}"})
    own.servers.kill("rabbitmq")
    wait_for(lambda: not worker.ready())
    own.servers.start("rabbitmq")
    wait_for(worker.ready, 40)
    amqp = own.amqp()
    for i in range(500, 600):
        amqp.publish("fixture.note", {"key": f"b{i}"})
    wait_for(lambda: set(effects(own.redis)) == {f"b{i}" for i in range(600)}, 20)
    assert amqp.send_and_wait("fixture.note", {"key": "end"}).ok
    assert amqp.depth("game.fixture.dead") == 0


@pytest.mark.services("arena")
def test_what_ends_while_the_broker_is_away_is_told_once(own_stack, own_fleet):
    """Though it stays away for longer than a worker may keep to itself what is to be told."""
    lease_s = 1
    settings = {"arena_request_ttl": "2s", "arena_announce_lease": f"{lease_s}s"}
    workers = [own_fleet.start("arena", **settings) for _ in range(2)]
    amqp = own_stack.amqp()
    amqp.channel.queue_declare("told", durable=True)
    amqp.channel.queue_bind("told", "game.events", "arena.request_expired")
    arena = Arena(own_stack, amqp)
    assert arena.join(arena.character()).ok
    arena.close()
    own_stack.servers.kill("rabbitmq")
    wait_for(lambda: own_stack.redis.zcard("arena:announce") == 1)
    time.sleep(3 * lease_s)
    own_stack.servers.start("rabbitmq")
    for worker in workers:
        wait_for(worker.ready, 40)
    wait_for(lambda: own_stack.redis.zcard("arena:announce") == 0)
    amqp = own_stack.amqp()
    wait_for(lambda: amqp.depth("told") == 1)
    amqp.close()


def lost_leader(stack, worker):
    """A queue deleted, declared again and, before RabbitMQ has written down where its data lie, killed; whether that came about."""
    amqp = stack.amqp()
    amqp.publish("tick.delete_auto_session", {"player_id": 1})
    amqp.channel.queue_delete("game.tick")
    wait_for(lambda: not worker.ready())
    stack.ctl("topology", "apply")
    stack.servers.kill("rabbitmq")
    stack.servers.start("rabbitmq")
    return wait_for(lambda: [stack.management.queue("game.tick")])[0]["leader"] is None


@pytest.mark.services("tick", "ctl")
def test_a_queue_without_a_leader_is_named_and_made_anew_under_its_worker(own_stack, own_fleet):
    worker = own_fleet.start("tick")
    if not any(lost_leader(own_stack, worker) for _ in range(4)):
        pytest.skip("this broker was quick to write it down")
    assert not worker.ready()
    checked = own_stack.ctl("topology", "check", "--json", check=False)
    (found,) = json.loads(checked.stdout)["differences"]
    assert checked.returncode == 1 and found["name"] == "game.tick" and "has no leader" in found["problem"]
    assert own_stack.ctl("audit", "--section=broker", "--patience=0s", check=False).returncode == 1
    own_stack.management.delete(f"queues/{own_stack.management.vhost}/game.tick")
    own_stack.ctl("topology", "apply")
    wait_for(worker.ready)
    assert own_stack.ctl("topology", "check").returncode == 0
    amqp = own_stack.amqp()
    assert amqp.send_and_wait("tick.delete_auto_session", {"player_id": 1}).result["deleted"] is False
    amqp.close()
