#!/usr/bin/python3
"""Arena: joins a second through the broker with matching on; a claim while many wait; what a join costs Redis as the queue grows."""

import json
import os
import sys
import tempfile
import time

import pika
from psycopg2.extras import execute_values

from lib.fleet import Fleet
from lib.servers import ROOT, Servers
from lib.stack import Stack
from lib.wait import wait_for

JOINS = int(os.environ.get("BENCH_JOINS", 60000))
CLAIMS = 3000
WAITING = (1000, 10000, 50000, 100000)
FIRST = 10_000_000
MODE = "1v1"


def make_characters(stack, n):
    """n characters of 50..2049 gear score, each wearing two items."""
    database = stack.database()
    with database.cursor() as cursor:
        execute_values(
            cursor,
            "INSERT INTO item_templates (id, gear_score) VALUES %s",
            [(f"bench_{gear}", gear) for gear in range(25, 1025)],
            page_size=1000,
        )
        cursor.execute("INSERT INTO characters (id, name) SELECT generate_series(%s, %s), ''", (FIRST, FIRST + n - 1))
        cursor.execute(
            "INSERT INTO inventory (character_id, item_template_id, is_equipped, slot)"
            " SELECT id, 'bench_' || 25 + (id::bigint * 7919 + slot * 104729) %% 1000, true, CASE slot WHEN 0 THEN 'body' ELSE 'weapon' END"
            " FROM generate_series(%s, %s) id, generate_series(0, 1) slot",
            (FIRST, FIRST + n - 1),
        )
        cursor.execute("VACUUM ANALYZE characters")
        cursor.execute("VACUUM ANALYZE inventory")
    database.close()


def publish_joins(amqp, ids):
    """With confirms only at the end: this is not what is measured."""
    channel = amqp.connection.channel()
    properties = {"type": "join_queue", "content_type": "application/json", "delivery_mode": 2}
    for id in ids:
        channel.basic_publish(
            "game.commands",
            "arena.join_queue",
            json.dumps({"char_id": id, "mode": MODE}),
            pika.BasicProperties(message_id=f"bench-{id}", **properties),
        )
    wait_for(lambda: amqp.depth("game.arena") == len(ids), 60, interval=0.1, what="the joins to be queued")


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


def script_cost(redis):
    """The server's own account of its script calls since the last reset, in µs: p50, p99, p99.9."""
    found = redis.info("latencystats")["latency_percentiles_usec_evalsha"]
    return found["p50"], found["p99"], found["p99.9"]


def count_done(worker):
    return worker.metrics()['garrison_messages_total{service="arena",command="join_queue",lane="durable",outcome="ok"}']


def bench_joins(stack, fleet, amqp):
    stack.redis.flushdb()
    publish_joins(amqp, range(FIRST, FIRST + JOINS))
    worker = fleet.start("arena", log_level="warn")
    begun, started = count_done(worker), time.monotonic()
    wait_for(lambda: count_done(worker) >= JOINS, 120, interval=0.02, what="all joins")
    seconds = time.monotonic() - started
    matched = stack.redis.zcard("arena:announce")
    wait_for(lambda: stack.redis.zcard("arena:announce") == 0, 60, what="everything to be announced")
    told = time.monotonic() - started
    waiting = stack.redis.zcard(f"arena:queue:{MODE}")
    print(f"joins with matching on, one worker: {(JOINS - begun) / seconds:,.0f}/s ({JOINS:,} joins, {waiting} left waiting)")
    print(f"  until all battles were announced, {matched:,} were still to be: {(JOINS - begun) / told:,.0f}/s")
    print(f"  resident at the end: {worker.resident_bytes() / 2**20:.1f} MiB")
    worker.stop()


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def bench_claims(stack, fleet, amqp):
    for name, scores in (("spread", [100 + i * 37 % 10000 for i in range(50000)]), ("all equal", [100] * 50000)):
        stack.redis.flushdb()
        worker = fleet.start("arena", log_level="warn", arena_sweep_interval="60s")
        preload(stack.redis, scores)
        stack.redis.config_resetstat()
        times = []
        for i in range(CLAIMS):
            begun = time.perf_counter()
            reply = amqp.call("arena.check_match", {"char_id": FIRST - 2 - i, "mode": MODE})
            times.append((time.perf_counter() - begun) * 1000)
            assert reply.result["status"] == "matched"
        print(
            f"a claim while 50,000 wait ({name}), request to reply: p50 {percentile(times, 50):.2f} ms,"
            f" p99 {percentile(times, 99):.2f} ms, max {max(times):.2f} ms"
        )
        print("  of that in Redis: p50 {:.0f} µs, p99 {:.0f} µs, p99.9 {:.0f} µs".format(*script_cost(stack.redis)))
        worker.stop()


def bench_cost(stack, fleet, amqp):
    print("what one join costs Redis, by the server's own account, the median of 500:")
    for n in WAITING:
        costs = []
        for scores in ([100 + i * 37 % 10000 for i in range(n)], [100] * n):
            stack.redis.flushdb()
            worker = fleet.start("arena", log_level="warn", arena_sweep_interval="60s")
            preload(stack.redis, scores)
            stack.redis.config_resetstat()
            ids = range(FIRST, FIRST + 500)
            sent = [amqp.request("arena.join_queue", {"char_id": id, "mode": MODE}) for id in ids]
            for id in sent:
                assert amqp.requests.wait(id, 30).ok
            costs.append(script_cost(stack.redis)[0])
            worker.stop()
        print(f"  {n:>7,} waiting: {costs[0]:.1f} µs spread, {costs[1]:.1f} µs all equal")


def main():
    stack = Stack(Servers(os.environ["GARRISON_TEST_STACK"]), ROOT / "build/bin").create()
    amqp = stack.amqp()
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(stack, folder)
        try:
            make_characters(stack, JOINS)
            for bench in (bench_joins, bench_claims, bench_cost):
                bench(stack, fleet, amqp)
        finally:
            fleet.stop()
            amqp.close()
            stack.remove()


if __name__ == "__main__":
    sys.exit(main())
