"""The gateway while the broker or a service is away."""

import threading
import time

import pytest

from lib.gateway import SERVICE_TOKEN, Gateway, Stub, assert_problem, ok
from lib.wait import wait_for

ONE_BUILD = "last"  # what takes long here is servers

pytestmark = pytest.mark.services("gateway", "arena", "tick")

PATH = "/arena/queue/status?char_id=1"
COMMAND = "/commands/arena/leave_queue"
BODY = {"char_id": 1, "mode": "1v1"}


@pytest.fixture
def gateway(own_fleet):
    return Gateway(own_fleet.start("gateway", service_token=SERVICE_TOKEN))


def in_background(calls):
    """Runs the calls at once, each in a thread; wait() gives their responses."""
    results = [None] * len(calls)

    def run(i, call):
        results[i] = call()

    threads = [threading.Thread(target=run, args=(i, call)) for i, call in enumerate(calls)]
    for thread in threads:
        thread.start()

    def wait():
        for thread in threads:
            thread.join(30)
        return results

    return wait


def test_nobody_consumes(gateway):
    for _ in range(2):
        response = gateway.get(PATH)
        assert_problem(response, 503, "unavailable")
        assert response.headers["Retry-After"] == "1"
        assert response.elapsed.total_seconds() < 3


def test_a_service_that_comes_back(own_stack, gateway):
    assert gateway.get(PATH).status_code == 503
    stub = Stub(own_stack, "arena", lambda request: ok({}))
    try:
        assert gateway.get(PATH).status_code == 200, "what was known of the queue is old: it must be asked again"
    finally:
        stub.stop()


def test_a_worker_that_stops_answers_what_it_has_in_hand(own_stack, own_fleet, gateway):
    """Nobody takes requests any more then, but this one is not waiting for anybody to."""
    worker = own_fleet.start("arena")
    amqp, holder = own_stack.amqp(), own_stack.database()
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("INSERT INTO characters (name) VALUES ('') RETURNING id")
        (char_id,) = cursor.fetchone()
        holder.commit()
        cursor.execute("LOCK TABLE characters IN ACCESS EXCLUSIVE MODE")
        wait = in_background([lambda: gateway.post("/commands/arena/get_gear_score?wait=20000", {"char_id": char_id})])
        looker = own_stack.database()
        with looker.cursor() as look:

            def is_held_up():
                look.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
                return look.fetchone()[0]

            wait_for(is_held_up, what="the worker to wait for the table")
        worker.terminate()
        wait_for(lambda: amqp.consumers("game.arena.rpc") == 0)
        time.sleep(2.5)  # so long an unserved one would not be left waiting
    holder.rollback()
    (response,) = wait()
    assert (response.status_code, response.json()) == (200, {"gear_score": 100})
    for connection in (looker, holder, amqp):
        connection.close()


def test_late_replies_are_counted_and_dropped(own_stack, gateway):
    gate = threading.Event()

    def answer(request):
        gate.wait(20)
        return ok({"late": True})

    stub = Stub(own_stack, "arena", answer)
    try:
        assert_problem(gateway.post("/commands/arena/get_gear_score?wait=200", {"char_id": 1}), 504, "timeout")
        assert gateway.worker.metrics()["garrison_replies_late_total"] == 0
        gate.set()
        wait_for(lambda: gateway.worker.metrics()["garrison_replies_late_total"] == 1, what="the late reply")
        assert gateway.get(PATH).status_code == 200
    finally:
        gate.set()
        stub.stop()


def test_what_waits_is_told_at_once_when_the_broker_is_lost(own_stack, gateway):
    stub = Stub(own_stack, "arena", lambda request: None)
    wait = in_background([lambda: Gateway(gateway.worker).get(PATH) for _ in range(8)])
    wait_for(lambda: gateway.worker.metrics()["garrison_http_requests_in_flight"] == 8, what="all to wait")
    lost_at = time.monotonic()
    own_stack.servers.kill("rabbitmq")
    try:
        for response in wait():
            assert_problem(response, 503, "unavailable")
            assert "Retry-After" in response.headers
        assert time.monotonic() - lost_at < 5
        # And those that come while it is away; by either lane.
        for response in (gateway.get(PATH), gateway.post(COMMAND, BODY), gateway.post(COMMAND + "?wait=5000", BODY)):
            assert_problem(response, 503, "unavailable")
            assert response.elapsed.total_seconds() < 1
        assert_problem(gateway.get("/readyz"), 503, "unavailable")
        assert gateway.get("/healthz").status_code == 200
        assert gateway.get("/docs").status_code == 200
    finally:
        own_stack.servers.start("rabbitmq")
        stub.stop()
    wait_for(lambda: gateway.get("/readyz").status_code == 200, timeout=30, what="the gateway to be ready again")
    assert gateway.post(COMMAND, BODY).status_code == 202


def test_a_frozen_broker_is_no_frozen_gateway(own_stack, gateway):
    own_stack.servers.pause("rabbitmq")
    try:
        wait = in_background(
            [
                lambda: Gateway(gateway.worker).post(COMMAND + "?wait=500", BODY),
                lambda: Gateway(gateway.worker).post(COMMAND, BODY),
            ]
        )
        assert gateway.get("/healthz").elapsed.total_seconds() < 1
        asked, published = wait()
        assert asked.status_code in (503, 504) and asked.elapsed.total_seconds() < 3
        assert published.status_code in (503, 504) and published.elapsed.total_seconds() < 25
    finally:
        own_stack.servers.resume("rabbitmq")
    wait_for(lambda: gateway.post(COMMAND, BODY).status_code == 202, timeout=30, what="the broker to be back")



def test_a_stop_while_the_broker_is_away(own_stack, own_fleet):
    gateway = Gateway(own_fleet.start("gateway", service_token=SERVICE_TOKEN, shutdown_grace="3s"))
    own_stack.servers.kill("rabbitmq")
    try:
        wait_for(lambda: gateway.get("/readyz").status_code == 503, what="the loss to be seen")
        began = time.monotonic()
        assert gateway.worker.stop() == 0
        assert time.monotonic() - began < 6
    finally:
        own_stack.servers.start("rabbitmq")


def test_two_gateways_are_one(own_stack, own_fleet):
    """No state: what one began, the other goes on with."""
    one, two = (Gateway(own_fleet.start("gateway", service_token=SERVICE_TOKEN)) for _ in range(2))
    own_fleet.start("tick")
    with own_stack.database().cursor() as cursor:
        cursor.execute("INSERT INTO characters (name) VALUES ('x') RETURNING id")
        char_id = cursor.fetchone()[0]
    body = {"player_id": char_id, "active_category": "trade"}
    wait_for(lambda: one.get("/system/tick/auto-session/status?player_id=1").status_code == 200, what="tick to be seen")
    assert one.post("/system/tick/auto-session/start", body).status_code == 201
    assert two.post("/system/tick/auto-session/start", body).status_code == 200
    assert two.delete("/system/tick/auto-session/delete", {"player_id": char_id}).json() == {"deleted": True}
