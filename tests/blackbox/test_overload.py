"""Twice the rate that can be served: `make overload` runs this for ten minutes, `make test` for some seconds (OVERLOAD_SECONDS)."""

import http.client
import os
import subprocess
import threading
import time
from urllib.parse import urlsplit

import pytest

from lib.gateway import SERVICE_TOKEN, Gateway, Stub, ok
from lib.overload import CAPACITY, CONCURRENCY, WAITS_MS, Lane, Memory, percentile
from lib.wait import wait_for

SECONDS = int(os.environ.get("OVERLOAD_SECONDS", "10"))
GROWTH_MAX_MIB = 3
DRAINED_WITHIN = 60
ONE_BUILD = "first"  # it is the release's memory that must be flat

pytestmark = pytest.mark.timeout(SECONDS * 4 + 120)


def counted(worker, command, lane, outcome="ok"):
    name = f'garrison_messages_total{{service="fixture",command="{command}",lane="{lane}",outcome="{outcome}"}}'
    return int(worker.metrics().get(name, 0))


def test_both_lanes_of_a_worker(stack, fleet, amqp):
    """Each lane alone is offered what the worker can do at most: together they are offered twice that."""
    stack.add_service("fixture")
    worker = fleet.start("fixture", max_concurrent_tasks=CONCURRENCY, log_level="error")
    requests = Lane(stack, "game.rpc", "fixture.query", CAPACITY, SECONDS, expiration_ms=WAITS_MS)
    commands = Lane(stack, "game.commands", "fixture.sleep", CAPACITY, SECONDS)
    memory = Memory(worker=worker.pid)
    began = time.monotonic()
    for lane in (requests, commands):
        lane.start()
    for lane in (requests, commands):
        lane.join()
    seconds = time.monotonic() - began
    memory.stop()
    served = len(requests.latencies_ms)
    done = counted(worker, "sleep", "durable")
    waiting = amqp.depth("game.fixture") + int(worker.metrics()["garrison_in_flight"])
    print(
        f"{SECONDS} s: {requests.sent} requests offered, {served} served within p99"
        f" {percentile(requests.latencies_ms, 0.99):.0f} ms, {requests.unanswered} expired, others {requests.codes};"
        f" {commands.sent} commands offered, {done} done, {waiting} queued;"
        f" {(served + done) / seconds:.0f}/s of {CAPACITY:.0f}/s;"
        f" resident {memory.peak('worker'):.1f} MiB, grown by {memory.growth('worker'):.1f}"
    )
    assert requests.sent + commands.sent > 1.8 * CAPACITY * SECONDS, "too little was offered to overload anybody"
    # Whom it keeps waiting too long it does not serve, nor does it serve nobody else for that.
    assert max(requests.latencies_ms) < 2 * WAITS_MS
    assert served > 0.2 * CAPACITY * SECONDS and done > 0.2 * CAPACITY * SECONDS
    assert requests.unanswered + served + sum(n for code, n in requests.codes.items() if code != "ok") == requests.sent
    assert set(requests.codes) <= {"ok", "timeout", "unavailable"}
    assert memory.growth("worker") < GROWTH_MAX_MIB
    # Afterwards: a request is served at once, beside what is still queued, and of that nothing is lost.
    wait_for(lambda: amqp.depth("game.fixture.rpc") == 0, 5, what="the requests' queue to be empty")

    def quick():
        asked = time.monotonic()
        assert amqp.call("fixture.query", {"ms": 1}).ok
        return time.monotonic() - asked < 0.5

    wait_for(quick, 5, what="a quick answer")
    if SECONDS > DRAINED_WITHIN:  # the backlog would take as long again
        left = amqp.depth("game.fixture") + counted(worker, "sleep", "durable") + int(worker.metrics()["garrison_in_flight"])
        assert abs(left - commands.sent) <= CONCURRENCY * 20, "what went on between the three looks is less than that"
        amqp.purge("game.fixture")
        return
    wait_for(lambda: counted(worker, "sleep", "durable") == commands.sent, SECONDS * 2 + 30, what="all to be done")
    assert amqp.depth("game.fixture.dead") == 0 and amqp.depth("game.fixture") == 0


class Probe(threading.Thread):
    """One caller, twenty times a second."""

    def __init__(self, gateway, path):
        super().__init__(daemon=True)
        self.gateway, self.path, self.seen = gateway, path, []
        self.done = threading.Event()
        self.start()

    def run(self):
        while not self.done.wait(0.05):
            response = self.gateway.get(self.path)
            self.seen.append((response.status_code, response.elapsed.total_seconds() * 1000, response))


@pytest.mark.services("gateway", "arena")
def test_the_gateway(stack, fleet):
    """A service that does at most 200 requests a second, and callers that come with many times that."""
    pause = threading.Event()
    stub = Stub(stack, "arena", lambda request: pause.wait(0.005) or ok({}))
    worker = fleet.start(
        "gateway", service_token=SERVICE_TOKEN, gateway_max_in_flight=16, gateway_max_connections_per_address=1000,
        log_level="error",
    )
    gateway, path = Gateway(worker), "/arena/queue/status?char_id=1"
    assert gateway.get(path).status_code == 200
    memory = Memory(gateway=worker.pid)
    probe = Probe(Gateway(worker), path)
    try:
        done = subprocess.run(
            ["wrk", "-t1", "-c128", f"-d{SECONDS}s", "--timeout", "10s", "-H", f"Authorization: Bearer {SERVICE_TOKEN}",
             worker.url + path],
            capture_output=True, text=True, check=True, timeout=SECONDS + 60,
        )  # fmt: skip
        probe.done.set()
        probe.join()
        memory.stop()
        metrics = worker.metrics()
        served = sum(n for name, n in metrics.items() if "http_requests_total{" in name and '2xx"' in name)
        refused = sum(n for name, n in metrics.items() if "http_requests_total{" in name and '5xx"' in name)
        good = [ms for status, ms, _ in probe.seen if status == 200]
        bad = [ms for status, ms, _ in probe.seen if status != 200]
        print(
            f"{SECONDS} s: {served:.0f} served, {refused:.0f} refused; one caller among them: {len(good)} served within p99"
            f" {percentile(good, 0.99):.0f} ms, {len(bad)} refused within p99 {percentile(bad, 0.99):.0f} ms;"
            f" resident {memory.peak('gateway'):.1f} MiB, grown by {memory.growth('gateway'):.1f}"
        )
        assert "Socket errors" not in done.stdout, done.stdout
        assert refused > served > 10 * SECONDS, done.stdout
        assert {status for status, _, _ in probe.seen} <= {200, 503, 429}
        assert all("Retry-After" in response.headers for status, _, response in probe.seen if status != 200)
        assert max(good, default=0) < 2000 and max(bad, default=0) < 2000
        assert memory.growth("gateway") < GROWTH_MAX_MIB

        def quick():
            response = gateway.get(path)
            return response.status_code == 200 and response.elapsed.total_seconds() < 0.2

        wait_for(quick, 5, what="a quick answer")
    finally:
        stub.stop()


@pytest.mark.services("gateway", "state-backup")
def test_the_gateway_outlives_a_service_that_stays_away(stack, fleet):
    """For each such request it asks the broker whether anybody consumes; every answer is forgotten again."""
    asked = 33_000  # so many answers of 32 bytes are more than the 1 MiB that a connection keeps of one message
    worker = fleet.start("gateway", service_token=SERVICE_TOKEN, log_level="error")
    connection = http.client.HTTPConnection(urlsplit(worker.url).netloc)
    headers = {"Authorization": f"Bearer {SERVICE_TOKEN}", "Content-Type": "application/json"}
    for _ in range(asked):
        connection.request("POST", "/commands/state-backup/backup_full_state?wait=5000", '{"char_id": 1}', headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 503
    connection.close()
    assert worker.ready()
