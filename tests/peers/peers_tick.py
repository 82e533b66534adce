#!/usr/bin/python3
"""Ticks, from due to credited: Garrison's worker, and an asyncio chain with Redis lists; the same rules, sessions and characters.

The rules give xp and gold and nothing else, which is what the chain can do; a session is moved and its character changed.
"""

from lib.bench import run
from lib.wait import wait_for
from peer import HERE, Ours, Peer, best_of, rate_of, told

OURS, ONES, ONES_TRIAL, BATCHED, BATCHED_TRIAL = 200_000, 8_000, 4_000, 100_000, 40_000
ONE_BY_ONE = [{"batch": 1, "consumers": consumers} for consumers in (1, 4)]
BATCHES = [{"batch": batch, "consumers": 1} for batch in (20, 100, 500, 1000)]

LOAD = """
TRUNCATE characters CASCADE;
INSERT INTO characters (id, name) SELECT n, 'bench' FROM generate_series(1, {n}) n;
INSERT INTO auto_sessions (player_id, active_category, started_at, last_tick_at, next_tick_at)
	SELECT n, (ARRAY['exploration', 'crafting', 'trade', 'general'])[1 + n % 4], t, t, t + interval '6 min'
	FROM generate_series(1, {n}) n,
		LATERAL (SELECT date_trunc('milliseconds', now()) - interval '6 min 60 s' - n::bigint * 7919 % 240000 * interval '1 ms' AS t) x;
UPDATE tick_rules SET energy = 0, loot = '[]';
"""
DONE = "SELECT count(*) FROM auto_sessions WHERE ticks > 0"


def fill(bench, cursor, n):
    cursor.execute(LOAD.format(n=n))
    for statement in ("VACUUM (ANALYZE) characters", "VACUUM (ANALYZE) auto_sessions", "CHECKPOINT"):
        cursor.execute(statement)
    bench.stack.redis.flushdb()


def chain(bench, settings):
    """Two processes for two cores; whichever comes first also schedules."""
    return Peer(bench, HERE / "asyncio_tick.py", processes=2, **settings)


def tick(bench, cursor, n, start):
    """Ticks a second; then every session has moved by one tick, and its character has what it gave."""
    fill(bench, cursor, n)

    def done():
        cursor.execute(DONE)
        return cursor.fetchone()[0]

    running, rate, _ = rate_of(n, done, start, interval=0.1)
    wait_for(lambda: running.check() or done() == n, 60, interval=0.1, what="the last ticks")
    running.stop()
    cursor.execute(
        "SELECT count(*) FILTER (WHERE s.ticks = 1 AND s.next_tick_at > now() AND c.xp = s.total_xp AND c.gold = s.total_gold"
        " AND c.xp > 0 AND (extract(epoch FROM s.next_tick_at - s.started_at) * 1000)::bigint % 360000 = 0)"
        " FROM auto_sessions s JOIN characters c ON c.id = s.player_id"
    )
    alike = cursor.fetchone()[0]
    assert alike == n, f"{n - alike} of {n} sessions were not credited once"
    return rate


def main(bench):
    cursor = bench.stack.database().cursor()

    def trial(n):
        return lambda settings: tick(bench, cursor, bench.size(n, 1000), lambda: chain(bench, settings))

    single = best_of("a transaction for each tick", ONE_BY_ONE, trial(ONES_TRIAL))
    batched = best_of("batches", BATCHES, trial(BATCHED_TRIAL))
    mine, singles, batches = [], [], []
    for _ in range(bench.runs):
        mine.append(tick(bench, cursor, bench.size(OURS, 5000), lambda: Ours(bench, "tick")))
        singles.append(tick(bench, cursor, bench.size(ONES, 1000), lambda: chain(bench, single)))
        batches.append(tick(bench, cursor, bench.size(BATCHED, 1000), lambda: chain(bench, batched)))
    beside = {
        f"asyncio chain, SQLAlchemy + asyncpg, 2 processes, a transaction a tick ({told(single)})": singles,
        f"the same in batches ({told(batched)})": batches,
    }
    bench.figure("ticks, due to credited", "ticks/s", mine, beside)


if __name__ == "__main__":
    run(main)
