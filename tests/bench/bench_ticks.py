#!/usr/bin/python3
"""Ticks a second end to end (found due, queued, taken, rewards drawn, credited) against the bare set-based SQL.

The bare SQL is what pgbench reaches with the least that a tick must do to the database: batches of 500 due sessions, found by
the index, moved, and xp and gold added to their characters. The worker is measured with rules that give just that, and with the
default rules, which also give energy and items.
"""

import time

from lib.bench import ROOT, pgbench, run
from lib.tick import Tick
from lib.usage import resident_mib
from lib.wait import wait_for

SESSIONS = 300_000
BATCH = 500
CHURN_SESSIONS = 15_000
CHURN_S = 30

# Their foreign key is not asked for while they are loaded; it holds.
LOAD = """
SET session_replication_role = replica;
TRUNCATE characters CASCADE;
INSERT INTO characters (id, name) SELECT n, 'bench' FROM generate_series(1, {sessions}) n;
INSERT INTO auto_sessions (player_id, active_category, started_at, last_tick_at, next_tick_at)
	SELECT n, (ARRAY['exploration', 'crafting', 'trade', 'general'])[1 + n %% 4], t, t, t + interval '6 min'
	FROM generate_series(1, {sessions}) n, LATERAL (SELECT date_trunc('milliseconds', now()) - interval '{age_s} s'
		- n::bigint * 7919 %% 240000 * interval '1 ms' AS t) x;
SET session_replication_role = origin;
"""
ALL_DUE_S = 6 * 60 + 60
NONE_DUE_S = 0

BARE = f"""
WITH due AS (SELECT player_id FROM auto_sessions WHERE next_tick_at <= now() ORDER BY next_tick_at, player_id
	LIMIT {BATCH} FOR NO KEY UPDATE SKIP LOCKED),
moved AS (UPDATE auto_sessions s SET last_tick_at = s.next_tick_at, next_tick_at = s.next_tick_at + interval '6 min',
	ticks = s.ticks + 1, total_xp = s.total_xp + 10, total_gold = s.total_gold + 3
	FROM due WHERE s.player_id = due.player_id RETURNING s.player_id)
UPDATE characters c SET xp = c.xp + 10, gold = c.gold + 3, updated_at = now() FROM moved m WHERE c.id = m.player_id;
"""
BARE_OPTIONS = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"



def fill(tick, sessions, age_s=ALL_DUE_S):
    tick.sql(LOAD.format(sessions=sessions, age_s=age_s))
    tick.sql("VACUUM (ANALYZE) characters")
    tick.sql("VACUUM (ANALYZE) auto_sessions")
    tick.sql("CHECKPOINT")
    tick.redis.flushdb()


def bare(stack, tick, sessions, clients):
    fill(tick, sessions)
    batches = max(1, sessions // BATCH // clients * 8 // 10)
    return BATCH * pgbench(stack, BARE, "-c", clients, "-j", clients, "-t", batches, options=BARE_OPTIONS)


def worker_rate(fleet, tick, sessions):
    """From a tenth to nine tenths of the sessions, so that neither the start nor the last batch counts; and memory at the end."""
    fill(tick, sessions)
    worker = fleet.start("tick", log_level="warn")
    seen = []

    def nine_tenths():
        seen.append((time.monotonic(), worker.metrics()["garrison_tick_advanced_total"]))
        return seen[-1][1] >= sessions * 0.9

    wait_for(nine_tenths, 300, interval=0.02, what="the ticks")
    begin = next(point for point in seen if point[1] >= sessions * 0.1)
    rate = (seen[-1][1] - begin[1]) / max(seen[-1][0] - begin[0], 1e-3)
    wait_for(lambda: tick.value("SELECT count(*) FROM auto_sessions WHERE ticks = 0") == 0, 60, what="the last ticks")
    resident = resident_mib(worker.pid)
    worker.stop()
    return rate, resident


def plain_rules(tick):
    tick.sql("UPDATE tick_rules SET energy = 0, loot = '[]'")


def default_rules(tick):
    text = (ROOT / "deploy/migrations/0003_default_data.sql").read_text()
    tick.sql("DELETE FROM tick_rules")
    tick.sql(text[text.index("INSERT INTO tick_rules") :])


def churn(bench, tick, sessions, seconds):
    """Every session moves once a second, as no real one does: what that leaves behind in table and index."""
    fill(tick, sessions, NONE_DUE_S)
    tick.sql("UPDATE auto_sessions SET (started_at, last_tick_at, next_tick_at) = (SELECT t, t, t + interval '1 s' FROM (VALUES"
        " (date_trunc('milliseconds', now()) - player_id %% 1000 * interval '1 ms')) x (t))")
    tick.sql("SELECT pg_stat_reset()")
    worker = bench.fleet.start("tick", tick_interval="1s", log_level="warn")
    lags, begun = [], time.monotonic()
    while time.monotonic() < begun + seconds:
        time.sleep(0.25)
        if time.monotonic() > begun + seconds / 3:
            lags.append(worker.metrics()["garrison_tick_lag_seconds"])
    worker.stop()
    hot = tick.sql("SELECT relname, 100.0 * n_tup_hot_upd / greatest(1, n_tup_upd) FROM pg_stat_user_tables")
    what = f"{sessions:,} sessions due every second"
    bench.figure(f"{what}: lag, the longest after {seconds / 3:.0f} s", "s", [max(lags)], at_most=1)
    for table in ("auto_sessions", "characters"):
        bench.figure(f"{what}: HOT updates of {table}", "%", [dict(hot)[table]])
        size = tick.value(f"SELECT pg_table_size('{table}') / 1e6")
        bench.figure(f"{what}: {table} after {seconds:.0f} s", "MB", [size])


def main(bench):
    tick, sessions = Tick(bench.stack, None), bench.size(SESSIONS, 4 * BATCH)
    beside, plains, defaults = [], [], []
    for _ in range(bench.runs):
        beside.append(max(bare(bench.stack, tick, sessions, clients) for clients in (1, 2)))
        plain_rules(tick)
        plains.append(worker_rate(bench.fleet, tick, sessions)[0])
        default_rules(tick)
        rate, resident = worker_rate(bench.fleet, tick, sessions)
        defaults.append(rate)
    ceiling = {f"bare set-based SQL, batches of {BATCH}, best of 1 and 2 clients": beside}
    bench.figure("ticks, one worker, xp and gold as in the bare SQL", "a second", plains, ceiling, ratio_at_least=0.6)
    bench.figure("ticks, one worker, default rules: also energy and items", "a second", defaults, ceiling)
    bench.figure(f"tick's memory after {sessions:,} ticks", "MiB", [resident], at_most=12)
    churn(bench, tick, bench.size(CHURN_SESSIONS, 100), max(3, CHURN_S * bench.scale))
    tick.close()


if __name__ == "__main__":
    run(main)
