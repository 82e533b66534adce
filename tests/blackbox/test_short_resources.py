"""Too few descriptors, too little memory: a clean refusal or a clean end, and nothing half done."""

import resource
import signal
import socket
from pathlib import Path

import pytest

from lib.gateway import SERVICE_TOKEN, Gateway, read_all, status_of
from lib.wait import wait_for

# The sanitizers map terabytes of shadow, which no limit of memory allows.
ONE_BUILD = "first"
ABORTED = -signal.SIGABRT


@pytest.fixture(scope="module")
def fixture_service(stack):
    stack.add_service("fixture")
    with stack.database() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS fixture_effects (key text PRIMARY KEY, runs int NOT NULL DEFAULT 1)")


@pytest.fixture
def clean(fixture_service, amqp, sql):
    amqp.purge("game.fixture")
    amqp.purge("game.fixture.dead")
    sql("TRUNCATE fixture_effects")


def limited(**limits):
    """limited(n=20): a launcher under ulimit."""
    words = " && ".join(f"ulimit -S -{letter} {limit}" for letter, limit in limits.items())
    return ("sh", "-c", f'{words} && exec "$@"', "sh")


def descriptors(worker):
    return len(list(Path(f"/proc/{worker.pid}/fd").iterdir()))


def limit(worker, what, amount):
    _, hard = resource.prlimit(worker.pid, what)
    resource.prlimit(worker.pid, what, (amount if amount is not None else hard, hard))


def virtual_bytes(worker):
    return int(Path(f"/proc/{worker.pid}/statm").read_text().split()[0]) * resource.getpagesize()


def taken_leave_of(fleet, worker):
    """It has ended by itself, in words that need not be a log line; nobody has to answer for that any more."""
    fleet.workers.remove(worker)
    assert worker.log_text.strip(), "it ended without a word"
    return worker.wait()


def records(sql):
    return {key for (key,) in sql("SELECT key FROM fixture_effects")}


def publish(amqp, name, n, pad=0):
    """Effects that must be there once; what the broker has confirmed."""
    for i in range(n):
        amqp.publish("fixture.record", {"key": f"{name}{i}", "pad": "x" * pad}, message_id=f"{name}{i}")
    return {f"{name}{i}" for i in range(n)}


# Descriptors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 7, 10, 13, 16, 22, 40])
def test_a_worker_starts_well_or_not_at_all(fleet, clean, amqp, sql, n):
    worker = fleet.start("fixture", ready=False, launcher=limited(n=n), startup_timeout="2s")
    sent = publish(amqp, "start", 20)
    try:
        wait_for(lambda: not worker.running or records(sql) == sent, 8)
    except AssertionError:  # it has enough to go on trying, and not to say so
        limit(worker, resource.RLIMIT_NOFILE, 1024)
        wait_for(lambda: records(sql) == sent, 20, what="the work to be done once there is enough")
    if not worker.running:
        assert taken_leave_of(fleet, worker) in (64, 69, 70, 127, ABORTED)
        assert records(sql) == set() and amqp.depth("game.fixture") == 20


def test_descriptors_run_out_while_it_works(fleet, clean, amqp, sql):
    worker = fleet.start("fixture", retry_delays="1s,10s,60s,10m")
    before = publish(amqp, "before", 50)
    wait_for(lambda: records(sql) == before)
    limit(worker, resource.RLIMIT_NOFILE, 3)  # no new one, for stores and broker alike
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    during = publish(amqp, "during", 200)
    assert amqp.depth("game.fixture.dead") == 0
    assert worker.running
    limit(worker, resource.RLIMIT_NOFILE, None)
    wait_for(lambda: records(sql) == before | during, 30, what="all to be done")
    wait_for(lambda: worker.metrics()["garrison_in_flight"] == 0)
    assert amqp.depth("game.fixture.dead") == 0 and amqp.depth("game.fixture") == 0


@pytest.mark.services("gateway")
def test_a_gateway_without_descriptors_turns_callers_away(fleet):
    worker = fleet.start("gateway", service_token=SERVICE_TOKEN)
    gateway = Gateway(worker)
    assert gateway.get("/healthz").status_code == 200
    kept = descriptors(worker)
    limit(worker, resource.RLIMIT_NOFILE, kept + 8)
    callers = []
    try:
        for _ in range(60):
            try:
                callers.append(socket.create_connection(gateway.address, 5))
            except OSError:
                break
        assert worker.running and descriptors(worker) <= kept + 8
        assert gateway.get("/healthz").status_code == 200, "who was there already is served"
    finally:
        for caller in callers:
            caller.close()

    def visit():
        with gateway.connect(5) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return status_of(read_all(connection)) == 200

    wait_for(visit, 15, what="new callers to be served again")
    limit(worker, resource.RLIMIT_NOFILE, None)


# Memory -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mib", [12, 24, 48, 100, 200])
def test_a_worker_starts_with_little_memory_or_not_at_all(fleet, clean, amqp, sql, mib):
    worker = fleet.start("fixture", ready=False, launcher=limited(v=mib * 1024), startup_timeout="2s")
    sent = publish(amqp, "start", 20)
    wait_for(lambda: not worker.running or records(sql) == sent, 20, what="an end, or the work to be done")
    if not worker.running:
        taken_leave_of(fleet, worker)
        assert amqp.depth("game.fixture") + len(records(sql)) == 20


@pytest.mark.parametrize("more_kib", [0, 256, 1024, 4096, 16384])
def test_memory_runs_out_while_it_works(fleet, clean, amqp, sql, more_kib):
    worker = fleet.start("fixture")
    amqp.call("fixture.echo", {"text": "warm"})
    limit(worker, resource.RLIMIT_AS, virtual_bytes(worker) + more_kib * 1024)
    sent = publish(amqp, "m", 40, pad=900_000)
    wait_for(lambda: not worker.running or records(sql) == sent, 20, what="an end, or the work to be done")
    if not worker.running:
        assert taken_leave_of(fleet, worker) in (70, ABORTED), worker.log_text[-2000:]
        assert "memory" in worker.log_text, worker.log_text[-2000:]
        fleet.start("fixture")
    wait_for(lambda: records(sql) == sent, 30, what="all to be done")
    wait_for(lambda: amqp.depth("game.fixture") == 0)
    assert amqp.depth("game.fixture.dead") == 0


@pytest.mark.services("gateway")
@pytest.mark.parametrize("more_kib", [0, 1024, 8192])
def test_a_gateway_without_memory_refuses_or_ends(fleet, stack, amqp, more_kib):
    amqp.purge("game.arena")
    worker = fleet.start("gateway", service_token=SERVICE_TOKEN)
    gateway = Gateway(worker)
    assert gateway.get("/healthz").status_code == 200
    limit(worker, resource.RLIMIT_AS, virtual_bytes(worker) + more_kib * 1024)
    accepted = 0
    for _ in range(20):
        try:
            response = gateway.post("/commands/arena/leave_queue", {"char_id": 1, "mode": "1v1", "pad": "x" * 900_000})
        except OSError:
            break
        assert response.status_code in (202, 413, 500, 503), response.text
        accepted += response.status_code == 202

    def healthy():
        try:
            return gateway.get("/healthz").status_code == 200
        except OSError:  # it may be about to end
            return False

    wait_for(lambda: not worker.running or healthy(), what="an end, or health")
    if not worker.running:
        assert taken_leave_of(fleet, worker) in (70, ABORTED)
    assert amqp.depth("game.arena") >= accepted
    amqp.purge("game.arena")
