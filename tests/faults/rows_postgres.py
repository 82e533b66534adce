"""PostgreSQL killed, paused, full, and its connections and locks taken away."""

import os
import signal
import time

import psycopg2

from lib.wait import wait_for

from .table import Skip, row


@row("PostgreSQL killed", fired="a worker is not ready", short=True)
def postgres_killed(run):
    """kill -9 of the postmaster and its children under load, then its start and recovery."""
    run.load.engine.burst(run.rng)
    run.world.signal_postgres(signal.SIGKILL)
    wait_for(lambda: not all(worker.ready() for worker in run.world.workers.values()), 20, what="workers to notice")
    run.world.servers.start("postgres")
    return 1


@row("PostgreSQL paused", fired="a worker is not ready")
def postgres_paused(run):
    """SIGSTOP to the postmaster and all its children until workers notice and 3 s more, then SIGCONT."""
    stopped = run.world.postgres_processes()
    run.world.signal_postgres(signal.SIGSTOP)
    try:
        wait_for(lambda: not all(worker.ready() for worker in run.world.workers.values()), 40, what="workers to notice")
        time.sleep(3)
    finally:
        run.world.signal_postgres(signal.SIGCONT)
    return len(stopped)


TERMINATE = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name LIKE 'garrison%%' AND random() < 0.7"
)


@row("backends terminated in a loop", fired="backends terminated, as PostgreSQL counts them", short=True)
def terminated(run):
    """pg_terminate_backend for seven in ten connections of the fleet, 15 times in 3 s."""
    fired = 0
    tick = run.world.tick()
    for _ in range(15):
        fired += tick.value(TERMINATE)
        time.sleep(run.rng.uniform(0, 0.4))
    tick.close()
    return fired


@row("locks held", fired="a backend of the fleet waits for a lock", short=True)
def locks_held(run):
    """LOCK TABLE of characters, combat_history and auto_sessions, 3 s each: longer than lock_timeout (1.5 s and 2 s) and no longer than a command's limit."""
    fired = 0
    tick = run.world.tick()
    for table in ("characters", "combat_history", "auto_sessions"):
        holder = run.world.stack.database()
        holder.autocommit = False
        holder.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        end = time.monotonic() + 3
        while time.monotonic() < end:
            fired += tick.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") > 0
            time.sleep(0.1)
        holder.rollback()
        holder.close()
    tick.close()
    return fired


@row("rows locked for update", fired="a backend of the fleet waits for a lock")
def rows_locked(run):
    """SELECT … FOR UPDATE of five random characters, 0.5 to 2 s each, six times."""
    fired = 0
    tick = run.world.tick()
    for _ in range(6):
        holder = run.world.stack.database()
        holder.autocommit = False
        holder.cursor().execute("SELECT FROM characters WHERE id = ANY (%s) FOR UPDATE", (run.rng.sample(run.load.ids, 5),))
        end = time.monotonic() + run.rng.uniform(0.5, 2)
        while time.monotonic() < end:
            fired += tick.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") > 0
            time.sleep(0.05)
        holder.rollback()
        holder.close()
    tick.close()
    return fired


@row("one row held for long", fired="fights settled meanwhile")
def one_row_held(run):
    """SELECT … FOR UPDATE of one character for 6 s: fights without that one are settled all the same."""
    tick = run.world.tick()
    settled = "SELECT count(*) FROM combat_history WHERE settlement_status = 'processed'"
    holder = run.world.stack.database()
    holder.autocommit = False
    try:
        holder.cursor().execute("SELECT FROM characters WHERE id = %s FOR UPDATE", (run.rng.choice(run.load.engine.ids),))
        before = tick.value(settled)
        run.load.engine.burst(run.rng)
        time.sleep(6)
        return tick.value(settled) - before
    finally:
        holder.close()
        tick.close()


@row("deadlocks", fired="deadlocks, as PostgreSQL logs them")
def deadlocks(run):
    """A transaction of ours holds the last fighter's row, and once a worker waits for that, wants all others, in which the worker has its hand: twice, or more until PostgreSQL has ended two of the fleet's transactions."""
    fired = 0
    ids = sorted(run.load.engine.ids)
    watcher = run.world.stack.database().cursor()
    for _ in range(8):
        before = deadlocks_logged(run)
        holder = run.world.stack.database()
        holder.autocommit = False
        cursor = holder.cursor()
        cursor.execute("SET deadlock_timeout = '20s'")  # we are not the one that is ended
        cursor.execute("SELECT FROM characters WHERE id = %s FOR UPDATE", (ids[-1],))
        run.load.engine.burst(run.rng)
        wait_for(lambda: waiting_for(watcher, holder) or fight_on(run), 10, interval=0.2, what="a worker to wait")  # noqa: B023
        cursor.execute("SELECT FROM characters WHERE id = ANY (%s) ORDER BY id FOR UPDATE", (ids[:-1],))
        holder.rollback()
        holder.close()
        fired += deadlocks_logged(run) - before
        if fired >= 2:
            break
    watcher.connection.close()
    return fired


def fight_on(run):
    """One burst in a hundred or so leaves out the fighter whose row is held."""
    run.load.engine.burst(run.rng, n=5)


def waiting_for(cursor, holder):
    cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", (holder.info.backend_pid,))
    return cursor.fetchone()[0]


def deadlocks_logged(run):
    return (run.world.postgres_data / "log/postgres.log").read_text(errors="replace").count("deadlock detected")


@row("no connection to be had", fired="a connection of our own is refused (53300)")
def connections_filled(run):
    """max_connections are filled by us, the fleet's are terminated, 5 s, ours are closed."""
    held, fired = [], 0
    tick = run.world.tick()
    try:
        for _ in range(2):
            while True:
                try:
                    held.append(psycopg2.connect(run.world.stack.database_url))
                except psycopg2.OperationalError as error:
                    fired += "too many" in str(error) or "remaining connection slots" in str(error)
                    break
            tick.sql(TERMINATE.replace("random() < 0.7", "true"))
            time.sleep(0.2)
        time.sleep(5)
    finally:
        for connection in held:
            connection.close()
        tick.close()
    return fired


@row("disk full", fired="a write of our own is refused (53100)")
def disk_full(run):
    """The disk of PostgreSQL's data (a tmpfs of its own) is filled for 5 s; then there is room again, and the server is started if it gave up."""
    if not run.world.small_disk:
        raise Skip("only root may mount a file system for it")
    data = run.world.postgres_data
    ballast = data / "ballast"
    fired = 0
    with open(ballast, "wb") as file:
        try:
            while True:
                file.write(b"\0" * (1 << 20))
        except OSError:
            pass
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            connection = psycopg2.connect(run.world.stack.database_url, connect_timeout=2)
            with connection, connection.cursor() as cursor:
                cursor.execute("CREATE TABLE ballast AS SELECT repeat('x', 8000) FROM generate_series(1, 5000)")
                cursor.execute("DROP TABLE ballast")
        except psycopg2.errors.DiskFull:
            fired += 1
        except psycopg2.Error:
            fired += "No space left" in newest_log(data)
        time.sleep(0.3)
    os.remove(ballast)
    wait_for(lambda: back(run), 60, interval=1, what="PostgreSQL to be back")
    return fired


def newest_log(data):
    return (data / "log/postgres.log").read_text(errors="replace")[-20000:]


def back(run):
    """It recovers by itself unless its postmaster has ended."""
    if not run.world.postgres_processes():
        run.world.servers.start("postgres")
    try:
        psycopg2.connect(run.world.stack.database_url, connect_timeout=2).close()
    except psycopg2.Error as error:
        raise AssertionError(str(error)) from None
    return True
