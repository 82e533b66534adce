#!/usr/bin/python3
"""Ticks a second end to end (found due, queued, taken, rewards drawn, credited) against the bare set-based SQL in the same run.

The bare SQL is what pgbench reaches with the least that a tick must do to the database: batches of 500 due sessions, found by
the index, moved, and xp and gold added to their characters. The worker is measured with rules that give just that, and with the
default rules, which also give energy and items. Rounds alternate, for the machine is never quiet; the best of each counts.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from lib.fleet import Fleet
from lib.servers import ROOT, Servers
from lib.stack import Stack
from lib.tick import Tick
from lib.wait import wait_for

SESSIONS = int(os.environ.get("BENCH_SESSIONS", 300_000))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 3))
BATCH = 500
IDLE_S = 5
CHURN_SESSIONS = 15_000
CHURN_S = 60

LOAD = f"""
TRUNCATE characters CASCADE;
INSERT INTO characters (id, name) SELECT n, 'bench' FROM generate_series(1, {SESSIONS}) n;
INSERT INTO auto_sessions (player_id, active_category, started_at, last_tick_at, next_tick_at)
	SELECT n, (ARRAY['exploration', 'crafting', 'trade', 'general'])[1 + n %% 4], t, t, t + interval '6 min'
	FROM generate_series(1, {SESSIONS}) n,
		LATERAL (SELECT date_trunc('milliseconds', now()) - interval '6 min 60 s' - n::bigint * 7919 %% 240000 * interval '1 ms' AS t) x;
"""

BARE = f"""
WITH due AS (SELECT player_id FROM auto_sessions WHERE next_tick_at <= now() ORDER BY next_tick_at, player_id
	LIMIT {BATCH} FOR NO KEY UPDATE SKIP LOCKED),
moved AS (UPDATE auto_sessions s SET last_tick_at = s.next_tick_at, next_tick_at = s.next_tick_at + interval '6 min',
	ticks = s.ticks + 1, total_xp = s.total_xp + 10, total_gold = s.total_gold + 3
	FROM due WHERE s.player_id = due.player_id RETURNING s.player_id)
UPDATE characters c SET xp = c.xp + 10, gold = c.gold + 3, updated_at = now() FROM moved m WHERE c.id = m.player_id;
"""
BARE_OPTIONS = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"


def load(tick):
    tick.sql(LOAD)
    tick.sql("VACUUM (ANALYZE) characters")
    tick.sql("VACUUM (ANALYZE) auto_sessions")
    tick.sql("CHECKPOINT")
    tick.redis.flushdb()


def bare(stack, tick, clients):
    load(tick)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(BARE)
        script.flush()
        transactions = SESSIONS // BATCH // clients * 8 // 10
        begun = time.monotonic()
        subprocess.run(
            ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(clients), "-t", str(transactions),
             "-f", script.name, stack.database_url],
            env={**os.environ, "PGOPTIONS": BARE_OPTIONS}, check=True, capture_output=True,
        )  # fmt: skip
        seconds = time.monotonic() - begun
    return tick.value("SELECT sum(ticks)::bigint FROM auto_sessions") / seconds


def worker_rate(fleet, tick):
    """From a tenth to nine tenths of the sessions, so that neither the start nor the last batch counts."""
    load(tick)
    worker = fleet.start("tick", log_level="warn")
    seen = []

    def nine_tenths():
        seen.append((time.monotonic(), worker.metrics()["garrison_tick_advanced_total"]))
        return seen[-1][1] >= SESSIONS * 0.9

    wait_for(nine_tenths, 300, interval=0.02, what="the ticks")
    begin = next(point for point in seen if point[1] >= SESSIONS * 0.1)
    rate = (seen[-1][1] - begin[1]) / (seen[-1][0] - begin[0])
    wait_for(lambda: tick.value("SELECT count(*) FROM auto_sessions WHERE ticks = 0") == 0, 60, what="the last ticks")
    resident = worker.resident_bytes()
    worker.stop()
    return rate, resident


def plain_rules(tick):
    tick.sql("UPDATE tick_rules SET energy = 0, loot = '[]'")


def default_rules(tick):
    text = (ROOT / "deploy/migrations/0003_default_data.sql").read_text()
    tick.sql("DELETE FROM tick_rules")
    tick.sql(text[text.index("INSERT INTO tick_rules") :])


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(fleet, tick):
    load(tick)
    tick.sql("UPDATE auto_sessions SET next_tick_at = now() + interval '5 min'")
    worker = fleet.start("tick", log_level="warn")
    time.sleep(2)
    begun = cpu_s(worker.pid)
    time.sleep(IDLE_S)
    used = cpu_s(worker.pid) - begun
    worker.stop()
    return used / IDLE_S


def churn(fleet, tick):
    """Every session moves once a second, as no real one does: what that leaves behind in table and index."""
    tick.sql("TRUNCATE characters CASCADE")
    tick.sql("INSERT INTO characters (id, name) SELECT n, 'bench' FROM generate_series(1, %s) n", CHURN_SESSIONS)
    tick.sql(
        "INSERT INTO auto_sessions (player_id, started_at, last_tick_at, next_tick_at)"
        " SELECT n, t, t, t + interval '1 s' FROM generate_series(1, %s) n,"
        " LATERAL (SELECT now() - n %% 1000 * interval '1 ms' AS t) x",
        CHURN_SESSIONS,
    )
    tick.redis.flushdb()
    tick.sql("SELECT pg_stat_reset()")
    worker = fleet.start("tick", tick_interval="1s", log_level="warn")
    time.sleep(CHURN_S)
    metrics = worker.metrics()
    worker.stop()
    hot = dict(
        tick.sql("SELECT relname, round(100.0 * n_tup_hot_upd / greatest(1, n_tup_upd)) FROM pg_stat_user_tables")
    )
    sizes = tick.sql(
        "SELECT pg_relation_size('auto_sessions') / 1e6, pg_relation_size('auto_sessions_next_tick_at_player_id_idx') / 1e6,"
        " pg_relation_size('characters') / 1e6"
    )[0]
    print(
        f"{CHURN_SESSIONS:,} sessions every second for {CHURN_S} s: {metrics['garrison_tick_credited_total']:,.0f} ticks,"
        f" {metrics['garrison_tick_stale_total']:.0f} stale, lag at the end {metrics['garrison_tick_lag_seconds']:.3f} s; HOT"
        f" updates: auto_sessions {hot['auto_sessions']} %, characters {hot['characters']} %; MB at the end: auto_sessions"
        f" {sizes[0]:.1f}, its index on next_tick_at {sizes[1]:.1f}, characters {sizes[2]:.1f}"
    )


def main():
    servers = Servers(os.environ["GARRISON_TEST_STACK"])
    stack = Stack(servers, ROOT / "build/bin").create()
    fleet = Fleet(stack, Path(tempfile.mkdtemp(prefix="bench-ticks-")))
    tick = Tick(stack, None)
    bares, plains, defaults, resident = [], [], [], 0
    try:
        for number in range(ROUNDS):
            bares += [bare(stack, tick, 1), bare(stack, tick, 2)]
            plain_rules(tick)
            plain, _ = worker_rate(fleet, tick)
            default_rules(tick)
            default, resident = worker_rate(fleet, tick)
            plains.append(plain)
            defaults.append(default)
            print(
                f"round {number + 1}: bare SQL {bares[-2]:,.0f}/s (1 client) {bares[-1]:,.0f}/s (2 clients); worker, the"
                f" same work {plain:,.0f}/s, default rules {default:,.0f}/s",
                flush=True,
            )
        print(f"bare set-based SQL, batches of {BATCH}, best of {2 * ROUNDS}: {max(bares):,.0f}/s")
        print(f"one worker, the same work: {max(plains):,.0f}/s = {max(plains) / max(bares):.2f} of it")
        print(f"one worker, default rules (energy, items): {max(defaults):,.0f}/s = {max(defaults) / max(bares):.2f} of it")
        print(f"resident after {SESSIONS:,} ticks: {resident / 2**20:.1f} MiB")
        print(f"idle with {SESSIONS:,} sessions, none due: {100 * idle(fleet, tick):.1f} % of a core")
        churn(fleet, tick)
    finally:
        fleet.stop()
        tick.close()
        stack.remove()


if __name__ == "__main__":
    main()
