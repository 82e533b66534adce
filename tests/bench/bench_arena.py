#!/usr/bin/python3
"""Arena: joins a second through the broker with matching on, beside the least that a script in Redis can do; claims while many wait."""

import json
import subprocess
import time

import pika

from lib.bench import ROOT, TOOLS, redis_benchmark, run, sql
from lib.usage import peak_resident_mib
from lib.wait import wait_for

JOINS = 40_000
CLAIMS = 2000
WAITING = 50_000
FIRST = 10_000_000
MODE = "1v1"
# What 12,000 a second were of the 105,820 of the barest script where they were reached (13,843, the table of commit 5403185).
OF_BARE_REDIS = 0.113
QUEUE = "game.arena"


def make_characters(stack, n):
    """n characters of 50..2048 gear score, each wearing two items."""
    sql(
        stack,
        "INSERT INTO item_templates (id, gear_score) SELECT 'bench_' || gear, gear FROM generate_series(25, 1024) gear",
        f"INSERT INTO characters (id, name) SELECT generate_series({FIRST}, {FIRST + n - 1}), ''",
        "INSERT INTO inventory (character_id, item_template_id, is_equipped, slot)"
        " SELECT id, 'bench_' || 25 + (id::bigint * 7919 + slot * 104729) % 1000, true, CASE slot WHEN 0 THEN 'body' ELSE 'weapon' END"
        f" FROM generate_series({FIRST}, {FIRST + n - 1}) id, generate_series(0, 1) slot",
        "VACUUM ANALYZE characters",
        "VACUUM ANALYZE inventory",
    )


def publish_joins(amqp, ids):
    """With confirms only at the end: this is not what is measured."""
    channel = amqp.connection.channel()
    properties = {"type": "join_queue", "content_type": "application/json", "delivery_mode": 2}
    for n, id in enumerate(ids):
        body = json.dumps({"char_id": id, "mode": MODE})
        channel.basic_publish("game.commands", "arena.join_queue", body, pika.BasicProperties(message_id=f"bench-{n}", **properties))
    wait_for(lambda: amqp.depth(QUEUE) == len(ids), 60, interval=0.1, what="the joins to be queued")


PRELOAD = """
for i = 2, #ARGV do
	local id, score, arrival = %d - i - ARGV[1], ARGV[i], %d + i + ARGV[1]
	redis.call('HSET', 'arena:request:' .. id, 'mode', '1v1', 'gear_score', score, 'created_us', arrival, 'expires_us',
		%d, 'join_id', '')
	redis.call('ZADD', 'arena:queue:1v1', score, id)
	redis.call('ZADD', 'arena:wait:1v1:' .. score, arrival, id)
	redis.call('ZADD', 'arena:expiry', %d, id .. ' 1v1')
end
"""


def preload(redis, scores):
    """Fills Redis as if so many had joined: with matching on they could not all wait. The first waits as FIRST - 2."""
    now_us = int(time.time() * 1e6)
    expires_ms = now_us // 1000 + 3_600_000
    script = PRELOAD % (FIRST, now_us, expires_ms * 1000, expires_ms)
    for i in range(0, len(scores), 1000):
        redis.eval(script, 0, i, *scores[i : i + 1000])


def count_done(worker):
    return worker.metrics()['garrison_messages_total{service="arena",command="join_queue",lane="durable",outcome="ok"}']


def double_booked(redis):
    """Characters in more than one of the battles that count: must be none."""
    seen, twice = set(), []
    keys = list(redis.scan_iter("arena:battle:*", count=10000))
    for i in range(0, len(keys), 10000):
        for battle in redis.mget(keys[i : i + 10000]):
            words = battle.split()
            for id in (words[1], words[3]):
                (twice.append if id in seen else seen.add)(id)
    return twice


def join_all(bench, amqp, n):
    """Joins a second until all are acked, and until every battle was announced; peak of resident memory; left waiting."""
    redis = bench.stack.redis
    redis.flushdb()
    publish_joins(amqp, range(FIRST, FIRST + n))
    worker = bench.fleet.start("arena", log_level="warn")
    before, begun = count_done(worker), time.monotonic()
    wait_for(lambda: count_done(worker) >= n, 120, interval=0.05, what="all joins")  # each look takes some ms of a core
    seconds = time.monotonic() - begun
    wait_for(lambda: redis.zcard("arena:announce") == 0, 60, what="everything to be announced")
    told = time.monotonic() - begun
    assert not double_booked(redis)
    peak = peak_resident_mib(worker.pid)
    worker.stop()
    return (n - before) / seconds, (n - before) / told, peak


def bare_joins(stack, n):
    """What redis-benchmark reaches with bare_join.lua, fifty connections with sixteen calls in flight each."""
    stack.redis.flushdb()
    script = stack.redis.script_load((ROOT / "tests/bench/bare_join.lua").read_text())
    return redis_benchmark(stack, "-n", n, "-c", 50, "-P", 16, "-r", 1_000_000, "EVALSHA", script, 0, "__rand_int__", "__rand_int__")


def claim_ms(bench, scores, n):
    """From request to reply, each of another who waits; sorted."""
    redis = bench.stack.redis
    redis.flushdb()
    worker = bench.fleet.start("arena", log_level="warn", arena_sweep_interval="60s")
    preload(redis, scores)
    bodies = "".join(json.dumps({"char_id": FIRST - 2 - i, "mode": MODE}) + "\n" for i in range(n))
    words = [TOOLS / "bare_amqp", "timed", bench.stack.amqp_url, "arena.check_match", "check_match"]
    done = subprocess.run(words, check=True, capture_output=True, text=True, input=bodies)
    assert not double_booked(redis)
    assert redis.zcard(f"arena:queue:{MODE}") <= len(scores) - n, "not every one who asked was matched"
    worker.stop()
    return sorted(float(line) for line in done.stdout.split())


def main(bench):
    amqp, n = bench.stack.amqp(), bench.size(JOINS, 500)
    make_characters(bench.stack, n)
    joins, beside = [], []
    for _ in range(bench.runs):
        beside.append(bare_joins(bench.stack, n))
        joins.append(join_all(bench, amqp, n))
    rates, told, peaks = zip(*joins, strict=True)
    work, bare = "arena joins with matching on, one worker", {"Redis alone with the barest script": beside}
    bench.figure(work, "a second", rates, at_least=12_000)
    bench.figure(work, "a second", rates, bare, ratio_at_least=OF_BARE_REDIS)
    bench.figure("the same until every battle was announced", "a second", told)
    bench.figure("arena's memory meanwhile, peak", "MiB", peaks, at_most=12)
    waiting, claims = bench.size(WAITING, 1000), bench.size(CLAIMS, 100)
    for name, scores in (("spread", [100 + i * 37 % 10000 for i in range(waiting)]), ("all equal", [100] * waiting)):
        times = claim_ms(bench, scores, claims)
        what = f"a claim while {waiting:,} wait, gear {name}"
        bench.figure(f"{what}: p50", "ms", [times[len(times) // 2]])
        bench.figure(f"{what}: p99", "ms", [times[int(len(times) * 0.99)]], at_most=10)


if __name__ == "__main__":
    run(main)
