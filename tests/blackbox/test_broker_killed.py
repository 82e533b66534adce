"""A broker that is killed; on servers of its own, whose queues may be without a leader for a while afterwards."""

from lib.load import effects
from lib.wait import wait_for


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
