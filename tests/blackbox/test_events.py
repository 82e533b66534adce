"""Events: whoever listens is told all of them; those that nobody hears are not published each."""

import threading

import pytest

from lib.wait import wait_for

PUBLISHED = "garrison_published_total"
UNHEARD = "garrison_events_unheard_total"


@pytest.fixture(scope="module")
def fixture_service(stack):
    stack.add_service("fixture")


@pytest.fixture
def worker(fixture_service, fleet):
    return fleet.start("fixture")


def emit(amqp, n, name):
    """n events by one command; their message ids."""
    assert amqp.send_and_wait("fixture.emit", {"n": n}, message_id=name).ok
    return [f"{name}/{i}" for i in range(n)]


def stop_listening(amqp, events):
    events.channel.close()
    amqp.channel.queue_delete(events.queue)


def wait_for_unheard(worker, n):
    wait_for(lambda: worker.metrics()[UNHEARD] == n, what=f"{n} events found unheard")


def test_what_nobody_hears_is_not_published_each(worker, amqp):
    before = worker.metrics()[PUBLISHED]
    for name in "abc":
        emit(amqp, 200, name)
    wait_for_unheard(worker, 600)
    # For each command its reply, one event for those handed over until then, and one for the rest.
    assert 3 < worker.metrics()[PUBLISHED] - before <= 3 * 3


def test_a_listener_hears_all_from_the_moment_he_is_there(worker, amqp):
    for round_number in range(5):
        emit(amqp, 20, "unheard")
        events = amqp.events("fixture.emitted")
        for n in (300, 1):
            for wanted in emit(amqp, n, f"{n}-{round_number}"):
                assert events.next().properties.message_id == wanted
        stop_listening(amqp, events)


def test_that_the_listener_has_gone_is_noticed(worker, amqp):
    events = amqp.events("fixture.emitted")
    for wanted in emit(amqp, 10, "heard"):
        assert events.next().properties.message_id == wanted
    stop_listening(amqp, events)
    # The broker may confirm some more while it takes the queue away.
    wait_for(lambda: emit(amqp, 1, "gone") and worker.metrics()[UNHEARD] > 0, what="an event found unheard")
    before = worker.metrics()
    emit(amqp, 300, "gone")
    wait_for(lambda: worker.metrics()[UNHEARD] >= before[UNHEARD] + 300, what="300 events found unheard")
    assert worker.metrics()[PUBLISHED] - before[PUBLISHED] <= 3 + 1


class Unheard:
    """Events that nobody hears, without a pause, on connections of their own."""

    def __init__(self, stack, threads=3):
        self.stack, self.stopped = stack, threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self):
        amqp = self.stack.amqp()
        while not self.stopped.is_set():
            amqp.call("fixture.emit", {"n": 2})
        amqp.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def test_what_is_handed_over_after_a_binding_is_heard_whatever_was_asked_before_it(worker, stack, amqp):
    """While others' events keep being found unheard. The binding is there before the command is sent; so its events are heard."""
    with Unheard(stack):
        for round_number in range(50):
            before = worker.metrics()[UNHEARD]
            wait_for(lambda before=before: worker.metrics()[UNHEARD] > before, interval=0, what="events that nobody hears")
            events = amqp.events("fixture.emitted")
            name = f"round-{round_number}"
            for wanted in emit(amqp, 3, name):
                while events.next().properties.message_id != wanted:
                    pass
            stop_listening(amqp, events)


def test_a_refusal_is_heard(worker, amqp):
    """A queue that is full takes no event, but it is a queue: the event is kept, and offered again until there is room."""
    queue = "full"
    amqp.channel.queue_declare(queue, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    amqp.channel.queue_bind(queue, "game.events", "fixture.emitted")
    try:
        correlation_id = amqp.request("fixture.emit", {"n": 3}, exchange="game.commands", message_id="m")
        taken = [amqp.get(queue).properties.message_id for _ in range(3)]
        assert sorted(taken) == ["m/0", "m/1", "m/2"]
        assert amqp.requests.wait(correlation_id, 10).ok
    finally:
        amqp.channel.queue_delete(queue)
