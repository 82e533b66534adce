"""What the listener does when handlers, workers and servers fail; on the service of the tests' own."""

import os
import signal
import time
from pathlib import Path

import pytest

from lib.load import EFFECTS, Publisher, effects
from lib.wait import wait_for

ONE_BUILD = "last"  # what takes long here is servers


@pytest.fixture(scope="module")
def fixture_service(stack):
    stack.add_service("fixture")


@pytest.fixture
def clean(fixture_service, redis, amqp):
    redis.delete(EFFECTS)
    amqp.purge("game.fixture")
    amqp.purge("game.fixture.dead")


def deliver_in_vain(stack, times, messages=1):
    """The messages are taken and never acked, so often: their counts rise."""
    connection = stack.amqp()
    for _ in range(times):
        for _ in range(messages):
            wait_for(lambda: connection.channel.basic_get("game.fixture", auto_ack=False)[0])
        connection.channel.close()
        connection.channel = connection.connection.channel()
    connection.close()


def children(process):
    found = []
    for thread in Path(f"/proc/{process}/task").iterdir():
        try:
            found += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:
            pass  # the thread has ended
    return found


# Workers that die ---------------------------------------------------------------------------------------------------


def test_only_the_poison_is_condemned_and_its_neighbours_are_done(stack, clean, fleet, amqp, redis):
    amqp.publish("fixture.note", {"key": "poison", "poison": True}, message_id="poison")
    for i in range(30):
        amqp.publish("fixture.note", {"key": f"n{i}"})
    worker = fleet.start("fixture", ready=False)
    deaths = 0

    def condemned():
        nonlocal worker, deaths
        if not worker.running:
            deaths += 1
            worker.expect_exit = -9
            worker = fleet.start("fixture", ready=False)
        return amqp.depth("game.fixture.dead") == 1

    wait_for(condemned, 30, what="the poison to be dead")
    dead = amqp.dead("fixture")
    assert (dead.properties.message_id, dead.headers["g-stage"]) == ("poison", "crash")
    assert "signal 9" in dead.headers["g-error"]
    assert deaths == 3  # the fourth delivery ran in a child
    wait_for(lambda: set(effects(redis)) == {f"n{i}" for i in range(30)})
    worker.wait_ready()
    assert amqp.send_and_wait("fixture.note", {"key": "after"}).ok


def test_a_suspect_that_is_innocent_is_done_alone_and_answered(stack, clean, fleet, amqp, redis):
    reply = amqp.request("fixture.note", {"key": "innocent"}, exchange="game.commands", message_id="innocent")
    deliver_in_vain(stack, 3)
    worker = fleet.start("fixture")
    assert amqp.requests.wait(reply, 10).result["key"] == "innocent"
    assert effects(redis) == ["innocent"]
    assert worker.wait_for_log(event="suspect")
    assert amqp.depth("game.fixture.dead") == 0


def test_other_commands_have_their_turn_between_suspects(stack, clean, fleet, amqp, redis):
    """They are no batch, which would keep its thread until the last of them is done."""
    for i in range(60):
        amqp.publish("fixture.note_batch", {"key": f"n{i}"})
    deliver_in_vain(stack, 3, messages=60)
    fleet.start("fixture", max_concurrent_tasks=1, ready=False)
    wait_for(lambda: len(effects(redis)) >= 5, what="a batch to be under way, if there is one")
    assert amqp.call("fixture.echo", {"text": "between"}).ok
    assert len(effects(redis)) < 60
    wait_for(lambda: len(effects(redis)) == 60, 30)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda stop: stop.name)
def test_a_stop_of_the_whole_process_group_does_not_condemn_a_suspect(stack, clean, fleet, amqp, stop):
    reply = amqp.request("fixture.doze", {"ms": 300}, exchange="game.commands")
    deliver_in_vain(stack, 3)
    worker = fleet.start("fixture", ready=False)
    (child,) = wait_for(lambda: children(worker.pid), interval=0, what="the suspect's process")
    for process in (child, worker.pid):  # in its first moments, when it has not set up anything
        os.kill(process, stop)
    assert worker.wait() == 0
    assert amqp.requests.wait(reply, 10).result == {"ms": 300}
    assert amqp.depth("game.fixture.dead") == 0


def test_a_stuck_handler_ends_the_process_and_the_others_messages_are_done(clean, fleet, amqp, redis):
    worker = fleet.start("fixture")
    worker.expect_exit = 70
    amqp.publish("fixture.sleep", {"ms": 3600000}, message_id="stuck")  # soft limit 500 ms, hard limit 2 s
    for i in range(20):
        amqp.publish("fixture.note", {"key": f"n{i}"})
    wait_for(lambda: len(effects(redis)) == 20, 2)
    assert worker.wait(10) == 70
    for _ in range(2):
        again = fleet.start("fixture", ready=False)
        again.expect_exit = 70
        assert again.wait(10) == 70
    fleet.start("fixture")
    dead = amqp.dead("fixture")
    assert (dead.properties.message_id, dead.headers["g-stage"]) == ("stuck", "timeout")
    assert sorted(set(effects(redis))) == sorted(f"n{i}" for i in range(20))


def test_nothing_confirmed_is_lost_while_workers_are_killed(stack, clean, fleet, amqp, redis):
    with Publisher(stack) as publisher:
        for _ in range(6):
            worker = fleet.start("fixture")
            time.sleep(0.3)
            worker.kill()
    fleet.start("fixture")
    wait_for(lambda: set(effects(redis)) >= set(publisher.sent), 20)
    assert set(effects(redis)) == set(publisher.sent)
    wait_for(lambda: amqp.depth("game.fixture") == 0)
    assert amqp.depth("game.fixture.dead") == 0


def test_clean_stops_under_load_lose_nothing_and_do_nothing_twice(stack, clean, fleet, amqp, redis):
    with Publisher(stack) as publisher:
        for _ in range(6):
            worker = fleet.start("fixture")
            time.sleep(0.3)
            worker.stop()
    fleet.start("fixture")
    wait_for(lambda: len(effects(redis)) >= len(publisher.sent), 20)
    assert sorted(effects(redis)) == sorted(publisher.sent)


def test_a_stop_answers_requests_not_begun_and_finishes_those_begun(clean, fleet, amqp):
    worker = fleet.start("fixture", max_concurrent_tasks=1)
    begun = amqp.request("fixture.sleep", {"ms": 700})
    wait_for(lambda: worker.metrics()["garrison_in_flight"] == 1)
    waiting = amqp.request("fixture.echo", {"text": "x"})
    wait_for(lambda: worker.metrics()["garrison_in_flight"] == 2)
    worker.terminate()
    assert amqp.requests.wait(waiting, 0.6).code == "unavailable"
    assert not worker.ready()
    assert amqp.requests.wait(begun, 3).ok
    assert worker.wait(5) == 0


def test_what_outlasts_the_grace_goes_back_to_its_queue(clean, fleet, amqp):
    worker = fleet.start("fixture", shutdown_grace="200ms")
    amqp.publish("fixture.sleep", {"ms": 1900}, message_id="long")
    wait_for(lambda: worker.metrics()["garrison_in_flight"] == 1)
    stopped = time.monotonic()
    worker.terminate()
    assert worker.wait(5) == 0 and time.monotonic() - stopped < 1.6
    wait_for(lambda: amqp.depth("game.fixture") == 1)


# Connections --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", ["game.rpc", "game.commands"])
def test_an_answer_waits_for_the_publishers_connection(stack, clean, fleet, amqp, exchange):
    """As at a start, when the consumer happens to be connected first."""
    worker = fleet.start("fixture")
    amqp.requests  # noqa: B018 # a channel of an open connection

    def cut_off():
        stack.management.close_publishers()
        return any(log["event"] == "publisher_lost" for log in worker.logs)

    stack.management.limit_connections(0)
    try:
        wait_for(cut_off, 20, interval=0.2)
        asked = amqp.request("fixture.echo", {"text": "x"}, exchange=exchange)
        worker.wait_for_log(command="echo", outcome="done")
        worker.wait_for_log(event="publisher_connect_failed")
    finally:
        stack.management.limit_connections(None)
    assert amqp.requests.wait(asked, 10).result == {"text": "x"}


# Servers that go away -----------------------------------------------------------------------------------------------


@pytest.fixture
def own(own_stack, own_fleet):
    """A fixture worker on servers of this module's own, which may be harmed."""
    if not hasattr(own_stack, "fixture_added"):
        own_stack.add_service("fixture")
        own_stack.fixture_added = True
    own_stack.redis.delete(EFFECTS)
    amqp = own_stack.amqp()
    amqp.purge("game.fixture.dead")
    amqp.close()
    return own_stack


def test_connections_closed_by_force(own, own_fleet):
    worker = own_fleet.start("fixture")
    before = worker.metrics()["garrison_consumer_connects_total"]
    with Publisher(own, every=0.002) as publisher:
        for _ in range(3):
            own.management.close_connections(3)
            wait_for(worker.ready)
    # What was cut off before its confirm may be there all the same.
    wait_for(lambda: set(effects(own.redis)) >= set(publisher.sent), 20)
    assert worker.metrics()["garrison_consumer_connects_total"] > before


def test_a_queue_deleted_under_the_consumer_is_noticed_and_taken_up_again(own, own_fleet):
    worker = own_fleet.start("fixture")
    amqp = own.amqp()
    amqp.channel.queue_delete("game.fixture")
    wait_for(lambda: not worker.ready())
    own.add_service("fixture")
    wait_for(worker.ready)
    assert amqp.send_and_wait("fixture.echo", {"text": "x"}).ok


def forget_queue(stack, name):
    """What each of RabbitMQ's nodes does with a queue of a node that was lost, in its own time: maybe after it was declared anew."""
    stack.servers.rabbitmqctl(
        "eval", f'rabbit_amqqueue:internal_delete(rabbit_misc:r(<<"{stack.name}">>, queue, <<"{name}">>), <<"a test">>).'
    )


def unbind(stack, name):
    amqp = stack.amqp()
    amqp.channel.queue_unbind(name, "game.rpc", "fixture.#")
    amqp.close()


@pytest.mark.parametrize("spoil", [forget_queue, unbind], ids=lambda spoil: spoil.__name__)
def test_requests_arrive_again_where_a_cluster_has_forgotten_their_queue(own, own_fleet, spoil):
    """The worker's consumer is told nothing of it."""
    worker = own_fleet.start("fixture", amqp_url=f"{own.amqp_url},{own.amqp_url}")
    assert own.amqp().call("fixture.echo", {"text": "before"}).ok
    spoil(own, "game.fixture.rpc")

    def answered():
        amqp = own.amqp()
        try:
            return amqp.call("fixture.echo", {"text": "after"}, timeout=0.5).ok
        finally:
            amqp.close()

    assert worker.running
    wait_for(answered, 10)


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_a_store_away_spends_nobodys_attempts(own, own_fleet, store):
    worker = own_fleet.start("fixture", command_processing_timeout="1s")
    amqp = own.amqp()
    command, body = ("note", {"key": "k"}) if store == "redis" else ("query", {"ms": 1})
    own.servers.kill(store)
    waiting = [amqp.request("fixture." + command, body, exchange="game.commands") for _ in range(20)]
    wait_for(lambda: not worker.ready())
    reply = amqp.call("fixture." + command, body)  # the request lane goes on, and says so at once
    assert (reply.code, reply.error["retryable"]) == ("unavailable", True)
    # Who asks may be a player: which store it is, but not where.
    assert reply.error["message"] == {"redis": "Redis", "postgres": "PostgreSQL"}[store] + " is out of reach; ask again later"
    wait_for(lambda: amqp.consumers("game.fixture") == 0)
    assert amqp.depth("game.fixture.retry.1s") == 0
    own.servers.start(store)
    wait_for(worker.ready, 20)
    for request in waiting:
        assert amqp.requests.wait(request, 10).ok
    assert amqp.depth("game.fixture.dead") == 0


def test_a_broker_that_takes_no_publications(own, own_fleet):
    """Under a memory alarm acks still go out, copies and replies wait, and all of it is made good afterwards."""
    worker = own_fleet.start("fixture")
    amqp = own.amqp()
    requests = [amqp.request("fixture.note", {"key": f"a{i}"}, exchange="game.commands") for i in range(20)]
    for request in requests:
        assert amqp.requests.wait(request, 10).ok
    for i in range(50):
        amqp.publish("fixture.query", {"ms": 3000}, message_id=f"slow{i}")
    own.servers.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1MB")
    time.sleep(2)
    assert worker.running
    own.servers.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
    amqp = own.amqp()
    wait_for(lambda: amqp.depth("game.fixture.dead") == 50, 60)
    wait_for(worker.ready)


def test_a_frozen_redis_is_noticed_and_spends_no_more_than_one_attempt(own, own_fleet):
    worker = own_fleet.start("fixture")
    amqp = own.amqp()
    own.servers.pause("redis")
    waiting = [amqp.request("fixture.note", {"key": "k"}, exchange="game.commands") for _ in range(40)]
    wait_for(lambda: not worker.ready(), 15)  # the row's deadline is 2 s, and the probe's as long
    own.servers.resume("redis")
    wait_for(worker.ready, 20)
    for request in waiting:
        assert amqp.requests.wait(request, 20).ok
    assert amqp.depth("game.fixture.dead") == 0


def test_one_lost_connection_is_no_outage(own, own_fleet):
    worker = own_fleet.start("fixture")
    amqp, database = own.amqp(), own.database()
    for _ in range(10):
        assert amqp.send_and_wait("fixture.query", {"ms": 1}).ok
        with database.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'garrison-fixture'"
            )
    assert amqp.send_and_wait("fixture.query", {"ms": 1}).ok
    assert worker.ready()
    assert not [line for line in worker.logs if line["event"] == "store_down"]
