"""Dirty characters a second: backed up by the drain, restored in bulk. Beside them, the same by one command each."""

import json
import os
import subprocess
import tempfile
import time

import psycopg2
import redis

from lib.fleet import Worker
from lib.stack import Stack
from lib.servers import ROOT, Servers
from lib.wait import wait_for

CHARACTERS = int(os.environ.get("BENCH_CHARACTERS", "200000"))
IN_SESSION = 10  # one in so many is in a fight that is saved with him


def fill(cache, ids, round_number):
    with cache.pipeline(transaction=False) as pipeline:
        for n, char_id in enumerate(ids):
            fields = {
                "state": "exploring",
                "location": '{"current": "forest_%d", "prev": "town"}' % round_number,
                "bio": '{"name": "Character %d", "gender": "female", "created_at": "2025-03-01T10:20:30.123Z"}' % char_id,
                "stats": '{"strength": %d, "agility": 12, "stamina": 9, "skills": ["sword", "bow", "herbs"]}' % round_number,
                "vitals": '{"hp": {"cur": %d, "max": 120}, "energy": {"cur": 7, "max": 80}}' % round_number,
            }
            if n % IN_SESSION == 0:
                session = "%08x-0000-4000-8000-%012x" % (n, char_id)
                fields.update(state="combat", combat_session_id=session)
                pipeline.set(f"combat:session:{session}", json.dumps({"round": 3, "log": ["x" * 40] * 20}), ex=7200)
            pipeline.hset(f"ac:{char_id}", mapping=fields)
            if n % 2000 == 1999:
                pipeline.execute()
        pipeline.execute()


def mark(cache, ids):
    for first in range(0, len(ids), 10000):
        cache.sadd("dirty_accounts", *ids[first : first + 10000])


def drained(cache):
    return not cache.exists("dirty_accounts") and not any(cache.scan_iter("dirty_accounts:processing:*", count=10000))


def drain(stack, cache, log_dir, workers):
    """Seconds from the first worker's readiness until no mark is left."""
    cache.set("dirty_accounts:lease:bench", 1)
    started = [
        Worker(stack, "state-backup", log_dir, backup_interval="1h", log_level="warn") for _ in range(workers)
    ]
    begin = time.monotonic()
    while not drained(cache):
        time.sleep(0.005)
    taken = time.monotonic() - begin
    resident = max(worker.resident_bytes() for worker in started)
    for worker in started:
        worker.stop()
    return taken, resident


def main():
    stack = Stack(Servers(os.environ["GARRISON_TEST_STACK"]), ROOT / "build/bin")
    stack.create()
    cache = redis.Redis.from_url(stack.redis_url)
    cursor = stack.database().cursor()
    with tempfile.TemporaryDirectory() as log_dir:
        cursor.execute("INSERT INTO characters (name) SELECT 'n' FROM generate_series(1, %s) RETURNING id", (CHARACTERS,))
        ids = [row[0] for row in cursor.fetchall()]
        print(f"{CHARACTERS} characters, one in {IN_SESSION} in a fight of 0.9 kB")
        for round_number, workers in enumerate((1, 1, 2), start=1):
            fill(cache, ids, round_number)
            mark(cache, ids)
            taken, resident = drain(stack, cache, log_dir, workers)
            cursor.execute("SELECT count(*) FROM characters WHERE location_id = %s", (f"forest_{round_number}",))
            assert cursor.fetchone()[0] == CHARACTERS
            kind = "first save" if round_number == 1 else "saved again"
            print(
                f"backed up by {workers} worker{'s' * (workers > 1)} ({kind}): {CHARACTERS / taken:,.0f} characters/s,"
                f" {resident / 2**20:.1f} MB resident"
            )
        for workers in (1, 2):
            cache.flushdb()
            started = [Worker(stack, "state-backup", log_dir, backup_interval="1h", log_level="warn") for _ in range(workers)]
            for worker in started:
                worker.wait_ready()
            begin = time.monotonic()
            done = json.loads(stack.ctl("restore", "--all", "--json", timeout=300).stdout)
            taken = time.monotonic() - begin
            assert done["restored"] == CHARACTERS, done
            assert cache.dbsize() >= CHARACTERS + CHARACTERS // IN_SESSION
            resident = max(worker.resident_bytes() for worker in started)
            print(
                f"restored by garrisonctl restore --all, {workers} worker{'s' * (workers > 1)}:"
                f" {CHARACTERS / taken:,.0f} characters/s, {resident / 2**20:.1f} MB resident"
            )
            for worker in started:
                worker.stop()
    stack.remove()


main()
