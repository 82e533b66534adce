#!/usr/bin/python3
"""What fillfactor does to the tables that ticks write, and what the index on next_tick_at costs and gives.

Every session ticks every INTERVAL_S, with the default rules, for ROUNDS rounds, on tables of one fillfactor; autovacuum looks as often
in a round as its default makes it in the service's six minutes. Then the worker is held back for one interval, so that all sessions are
due: how fast it catches up is the rate on tables that have been in use. BENCH_FILLFACTORS=100,90,80,70.
"""

import os
import re
import statistics
import time

from lib.bench import run
from lib.tick import Tick
from lib.wait import wait_for

SESSIONS = 40_000
FILLFACTORS = [int(n) for n in os.environ.get("BENCH_FILLFACTORS", "100,90,80,70").split(",")]
INTERVAL_S, ROUNDS, NAPTIME_S = 4, 6, 1
SHIPPED = 90
INDEX = "auto_sessions_next_tick_at_player_id_idx"

LOAD = f"""
TRUNCATE characters CASCADE;
INSERT INTO characters (id, name) SELECT n, 'bench' FROM generate_series(1, {{n}}) n;
INSERT INTO auto_sessions (player_id, active_category, started_at, last_tick_at, next_tick_at)
	SELECT n, (ARRAY['exploration', 'crafting', 'trade', 'general'])[1 + n %% 4], t, t, t + interval '{INTERVAL_S} s'
	FROM generate_series(1, {{n}}) n,
		LATERAL (SELECT now() - n::bigint * 7919 %% ({INTERVAL_S} * 1000) * interval '1 ms') x (t);
"""
LOOK = """
EXPLAIN (ANALYZE, TIMING off) SELECT player_id, next_tick_at, started_at, active_category FROM auto_sessions
WHERE next_tick_at <= now() - interval '1 day' ORDER BY next_tick_at, player_id LIMIT 2000
"""
SIZES = f"""
SELECT pg_relation_size('auto_sessions') / 1e6, coalesce(pg_relation_size(to_regclass('{INDEX}')), 0) / 1e6,
	pg_relation_size('characters') / 1e6
"""
HOT = "SELECT relname, 100.0 * n_tup_hot_upd / greatest(1, n_tup_upd) FROM pg_stat_user_tables"


def load(tick, sessions, fillfactor):
    for table in ("auto_sessions", "characters"):
        tick.sql(f"ALTER TABLE {table} SET (fillfactor = {fillfactor})")
    tick.sql(LOAD.format(n=sessions))
    for table in ("auto_sessions", "characters"):
        tick.sql(f"VACUUM (ANALYZE) {table}")
    tick.sql("CHECKPOINT")
    tick.redis.flushdb()
    tick.sql("SELECT pg_stat_reset()")


def advanced(worker):
    return worker.metrics()["garrison_tick_advanced_total"]


def catch_up(worker, sessions):
    """Sessions moved a second when all are due, between a tenth and nine tenths of them."""
    worker.pause()
    time.sleep(INTERVAL_S)
    worker.resume()
    begun, seen = advanced(worker), []

    def nine_tenths():
        seen.append((time.monotonic(), advanced(worker) - begun))
        return seen[-1][1] >= sessions * 0.9

    wait_for(nine_tenths, 60, interval=0.01, what="the ticks")
    first = next(point for point in seen if point[1] >= sessions * 0.1)
    return (seen[-1][1] - first[1]) / max(seen[-1][0] - first[0], 1e-3)


def look_ms(tick):
    """What PostgreSQL does for a scheduler when nothing is due."""
    texts = [tick.sql(LOOK)[-1][0] for _ in range(21)]
    return statistics.median(float(re.search(r"Execution Time: ([\d.]+) ms", text)[1]) for text in texts)


def measure(bench, tick, label, fillfactor):
    sessions = bench.size(SESSIONS, 2000)
    load(tick, sessions, fillfactor)
    before, lsn = tick.sql(SIZES)[0], tick.value("SELECT pg_current_wal_lsn()")
    worker = bench.fleet.start("tick", tick_interval=f"{INTERVAL_S}s", log_level="warn")
    time.sleep(max(1, ROUNDS * bench.scale) * INTERVAL_S)
    wal = float(tick.value("SELECT pg_current_wal_lsn() - %s::pg_lsn", lsn)) / advanced(worker)
    rates = [catch_up(worker, sessions) for _ in range(bench.runs)]
    worker.stop()
    time.sleep(1)  # the last of the statistics
    hot, after = dict(tick.sql(HOT)), tick.sql(SIZES)[0]
    bench.figure(f"{label}: ticks, all due", "a second", rates)
    bench.figure(f"{label}: WAL", "bytes a tick", [wal])
    for table in ("auto_sessions", "characters"):
        bench.figure(f"{label}: HOT updates of {table}", "%", [hot[table]])
    for name, old, new in zip(("auto_sessions", "index on next_tick_at", "characters"), before, after, strict=True):
        bench.figure(f"{label}: {name}", "MB", [float(new)], {"loaded": [float(old)]} if old else None)
    bench.figure(f"{label}: a look when nothing is due", "ms", [look_ms(tick)])


def main(bench):
    tick = Tick(bench.stack, None)
    tick.sql(f"ALTER SYSTEM SET autovacuum_naptime = '{NAPTIME_S}s'")
    tick.sql("SELECT pg_reload_conf()")
    try:
        for fillfactor in FILLFACTORS:
            measure(bench, tick, f"fillfactor {fillfactor}", fillfactor)
        tick.sql(f"DROP INDEX {INDEX}")
        measure(bench, tick, f"fillfactor {SHIPPED}, no index", SHIPPED)
    finally:
        tick.sql("ALTER SYSTEM RESET autovacuum_naptime")
        tick.sql("SELECT pg_reload_conf()")
        tick.close()


if __name__ == "__main__":
    run(main)
