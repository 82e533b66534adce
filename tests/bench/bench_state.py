#!/usr/bin/python3
"""Characters a second saved by the draining of dirty marks and restored in bulk, beside the bare statements and the bare cache."""

import json
import time

from lib.bench import pgbench, redis_benchmark, run, sql
from lib.usage import peak_resident_mib

CHARACTERS = 200_000
IN_SESSION = 10  # one in so many is in a fight that is saved with him
BATCH = 1000
SERVICE = "state-backup"

# The least that a save must do to the database: what was read goes into two tables, a thousand at a time.
BARE_SAVE = f"""
\\set n :n + 1
\\set first :base + (:n * :clients + :client_id) * {BATCH} % :characters
UPDATE characters c SET game_stage = d.stage, location_id = d.location, prev_location_id = 'town', name = d.name, gender = 'female',
	vitals = d.vitals, updated_at = now()
	FROM (SELECT id, 'exploring' AS stage, 'forest' AS location, 'Character ' || id AS name,
		'{{"hp": {{"cur": 50, "max": 120}}, "energy": {{"cur": 7, "max": 80}}}}'::jsonb AS vitals
		FROM generate_series(:first, :first + {BATCH - 1}) id) d WHERE c.id = d.id;
INSERT INTO character_stats (character_id, stats) SELECT id, '{{"strength": 1, "agility": 12, "stamina": 9}}'
	FROM generate_series(:first, :first + {BATCH - 1}) id ON CONFLICT (character_id) DO UPDATE SET stats = excluded.stats;
"""


def fields_of(char_id, round_number):
    return {
        "state": "exploring",
        "location": '{"current": "forest_%d", "prev": "town"}' % round_number,
        "bio": '{"name": "Character %d", "gender": "female", "created_at": "2025-03-01T10:20:30.123Z"}' % char_id,
        "stats": '{"strength": %d, "agility": 12, "stamina": 9, "skills": ["sword", "bow", "herbs"]}' % round_number,
        "vitals": '{"hp": {"cur": %d, "max": 120}, "energy": {"cur": 7, "max": 80}}' % round_number,
    }


def fill(cache, ids, round_number):
    """Every character live, and marked as changed."""
    with cache.pipeline(transaction=False) as pipeline:
        for n, char_id in enumerate(ids):
            fields = fields_of(char_id, round_number)
            if n % IN_SESSION == 0:
                session = "%08x-0000-4000-8000-%012x" % (n, char_id)
                fields.update(state="combat", combat_session_id=session)
                pipeline.set(f"combat:session:{session}", json.dumps({"round": 3, "log": ["x" * 40] * 20}), ex=7200)
            pipeline.hset(f"ac:{char_id}", mapping=fields)
            if n % 2000 == 1999:
                pipeline.execute()
        pipeline.execute()
    for first in range(0, len(ids), 10000):
        cache.sadd("dirty_accounts", *ids[first : first + 10000])


def drained(cache):
    return not cache.exists("dirty_accounts") and not any(cache.scan_iter("dirty_accounts:processing:*", count=10000))


def drain(bench, cache):
    """Seconds from the start of one worker until no mark is left, and its peak of resident memory."""
    cache.set("dirty_accounts:lease:bench", 1)
    worker = bench.fleet.start(SERVICE, ready=False, backup_interval="1h", log_level="warn")
    begun = time.monotonic()
    while not drained(cache):
        time.sleep(0.005)
    seconds = time.monotonic() - begun
    peak = peak_resident_mib(worker.pid)
    worker.stop()
    return seconds, peak


def restore(bench, cache, n):
    """Seconds that garrisonctl restore --all needs with one worker, and the worker's peak of resident memory."""
    cache.flushdb()
    worker = bench.fleet.start(SERVICE, backup_interval="1h", log_level="warn")
    begun = time.monotonic()
    done = json.loads(bench.stack.ctl("restore", "--all", "--json", timeout=300).stdout)
    seconds = time.monotonic() - begun
    assert done["restored"] == n, done
    peak = peak_resident_mib(worker.pid)
    worker.stop()
    return seconds, peak


def bare_saves(stack, first, n, clients=2):
    words = ("-c", clients, "-j", clients, "-t", max(1, n // BATCH // clients))
    variables = {"n": -1, "base": first, "clients": clients, "characters": n}
    return BATCH * pgbench(stack, BARE_SAVE, *words, *(word for item in variables.items() for word in ("-D", "%s=%d" % item)))


def bare_writes(stack, n):
    """The same hashes written by redis-benchmark, fifty connections with a hundred commands in flight each."""
    fields = [word for item in fields_of(1, 1).items() for word in item]
    return redis_benchmark(stack, "-n", n, "-c", 50, "-P", 100, "-r", n, "HSET", "bare:__rand_int__", *fields)


def main(bench):
    cache, n = bench.stack.redis, bench.size(CHARACTERS, 2 * BATCH)
    ids = [row[0] for row in sql(bench.stack, f"INSERT INTO characters (name) SELECT 'n' FROM generate_series(1, {n}) RETURNING id")]
    saves, restores, save_beside, restore_beside, peaks = [], [], [], [], []
    for round_number in range(bench.runs):
        save_beside.append(bare_saves(bench.stack, ids[0], n))
        fill(cache, ids, round_number)
        seconds, peak = drain(bench, cache)
        saves.append(n / seconds)
        saved = sql(bench.stack, f"SELECT count(*) FROM characters WHERE location_id = 'forest_{round_number}'")
        assert saved == [(n,)], "not every character was saved"
        peaks.append(peak)
        restore_beside.append(bare_writes(bench.stack, n))
        seconds, peak = restore(bench, cache, n)
        restores.append(n / seconds)
        peaks.append(peak)
    who = f"one worker, one in {IN_SESSION} in a fight of 0.9 kB"
    bench.figure(f"characters backed up, {who}", "a second", saves, {"bare set-based SQL, batches of 1,000, 2 clients": save_beside}, at_least=25_000)
    bench.figure(f"characters restored, {who}", "a second", restores, {"redis-benchmark, the same hashes": restore_beside}, at_least=25_000)
    bench.figure("state-backup's memory meanwhile, peak", "MiB", peaks, at_most=12)


if __name__ == "__main__":
    run(main)
