#!/usr/bin/python3
"""Every service at rest: start to readiness, resident memory, and what it takes of a core when nobody asks anything.

The tick service is shown with few and with many sessions, each of which ticked a moment ago, so that the index on next_tick_at is as
full of dead entries as after a real round.
"""

import time

from lib.bench import run
from lib.tick import Tick
from lib.usage import idle_percent, resident_mib
from lib.wait import wait_for

STARTS = 7
IDLE_S = 9
SESSIONS = (10_000, 2_000_000)

# Their foreign key is not asked for while they are loaded; it holds.
LOAD = """
SET session_replication_role = replica;
TRUNCATE characters CASCADE;
INSERT INTO characters (id, name) SELECT n, 'bench' FROM generate_series(1, {n}) n;
INSERT INTO auto_sessions (player_id, started_at, last_tick_at, next_tick_at)
	SELECT n, t, t, t + interval '6 min' FROM generate_series(1, {n}) n, LATERAL (SELECT now() - interval '361 s') x (t);
UPDATE auto_sessions SET ticks = 1, last_tick_at = next_tick_at, next_tick_at = now() + interval '5 min' + player_id * interval '1 microsecond';
SET session_replication_role = origin;
"""


def services(bench):
    programs = (file.name for file in bench.stack.bin_dir.glob("garrison-*"))
    return sorted(name.removeprefix("garrison-") for name in programs)


def start(bench, service):
    begun = time.monotonic()
    worker = bench.fleet.start(service, ready=False, log_level="warn")
    wait_for(worker.ready, interval=0.001)
    return worker, 1000 * (time.monotonic() - begun)


def start_ms(bench, service):
    worker, taken = start(bench, service)
    worker.stop()
    return taken


def at_rest(bench, worker):
    """Percent of a core, a value for each run."""
    time.sleep(2)  # what a start does afterwards
    return [idle_percent(worker.pid, max(1, IDLE_S * bench.scale) / bench.runs) for _ in range(bench.runs)]


def main(bench):
    for service in services(bench):
        times = [start_ms(bench, service) for _ in range(bench.size(STARTS, 2))]
        bench.figure(f"{service}: start to ready", "ms", times, at_most=100)
        worker, _ = start(bench, service)
        bench.figure(f"{service}: processor time at rest", "% of a core", at_rest(bench, worker), at_most=0.2)
        bench.figure(f"{service}: memory at rest", "MiB", [resident_mib(worker.pid)], at_most=12)
        worker.stop()
    tick, shares = Tick(bench.stack, None), {}
    for n in SESSIONS:
        sessions = bench.size(n, 100)
        tick.sql(LOAD.format(n=sessions))
        tick.sql("ANALYZE")
        tick.redis.flushdb()
        worker, _ = start(bench, "tick")
        shares[f"with {sessions:,}"] = at_rest(bench, worker)
        worker.stop()
    tick.close()
    (few, beside), (many, values) = shares.items()
    bench.figure(f"tick at rest {many} sessions, none due", "% of a core", values, {few: beside}, ratio_at_most=1.1)


if __name__ == "__main__":
    run(main)
