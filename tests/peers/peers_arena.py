#!/usr/bin/python3
"""Joins with matching on, until the battles are told: Garrison's worker, and aio-pika with redis-py. Counts who is in two battles."""

import json
import time
from collections import Counter

from bench.bench_arena import FIRST, MODE, make_characters, publish_joins
from lib.bench import run
from lib.wait import wait_for
from peer import FROM, HERE, Ours, Peer, best_of, rate_of, told

OURS, THEIRS, TRIAL = 40_000, 6_000, 3_000
QUEUE = "game.arena"
CHAIN = [
    {"processes": processes, "prefetch": prefetch, "pool": pool}
    for processes, prefetch, pool in ((1, 64, 16), (2, 16, 8), (2, 64, 16), (2, 128, 32))
]


def battles(redis):
    keys = list(redis.scan_iter("arena:battle:*", count=10_000))
    found = []
    for i in range(0, len(keys), 1000):
        found += redis.mget(keys[i : i + 1000])
    return found


def people(battle):
    """The two of a battle: Garrison writes "<mode> <char> <score> <char> <score> <matched>"."""
    if battle.startswith("{"):
        return [one["char_id"] for one in json.loads(battle)["participants"]]
    words = battle.split()
    return [int(words[1]), int(words[3])]


def join(bench, amqp, n, start):
    """Joins acked a second; the same until all battles are told; and how many characters are in more than one battle.

    Every join ends in a battle or in the queue. The peers tell of a battle before the ack, Garrison afterwards.
    """
    redis = bench.stack.redis
    redis.flushdb()
    publish_joins(amqp, range(FIRST, FIRST + n))
    running, rate, begun = rate_of(n, lambda: n - amqp.depth(QUEUE), start)
    wait_for(lambda: amqp.depth(QUEUE) == 0 and redis.zcard("arena:announce") == 0, 60, interval=0.01, what="all to be told")
    until_told = min(rate, n * (1 - FROM) / (time.monotonic() - begun))

    def accounted():
        running.check()
        placed = {id for battle in battles(redis) for id in people(battle)} | set(map(int, redis.zrange(f"arena:queue:{MODE}", 0, -1)))
        return len(placed) == n

    wait_for(accounted, 60, interval=0.1, what="every character to be in a battle or in the queue")
    running.stop()
    times = Counter(id for battle in battles(redis) for id in people(battle))
    assert amqp.depth(QUEUE) == 0, f"a join came back to the queue: {running.log_text}"
    return rate, until_told, sum(1 for count in times.values() if count > 1)


def main(bench):
    amqp = bench.stack.amqp()
    mine_n, n = bench.size(OURS, 2000), bench.size(THEIRS, 600)
    make_characters(bench.stack, mine_n)

    def chain(settings, claim):
        return lambda: Peer(bench, HERE / "asyncio_arena.py", claim=claim, **settings)

    best = best_of(
        "aio-pika", CHAIN, lambda settings: join(bench, amqp, bench.size(TRIAL, 600), chain(settings, "naive"))[0]
    )
    mine, naive, checked = [], [], []
    for _ in range(bench.runs):
        mine.append(join(bench, amqp, mine_n, lambda: Ours(bench, "arena")))
        naive.append(join(bench, amqp, n, chain(best, "naive")))
        checked.append(join(bench, amqp, n, chain(best, "checked")))
    name = f"aio-pika + redis-py, {told(best)}"
    kinds = {f"{name}: reads who waits, then removes him": naive, f"{name}: the opponent is whose ZREM removed him": checked}
    rates = {kind: [rate for rate, _, _ in runs] for kind, runs in kinds.items()}
    bench.figure("arena joins with matching on, until the battles are told", "joins/s", [told for _, told, _ in mine], rates)
    bench.figure("Garrison's joins, until they are acked", "joins/s", [rate for rate, _, _ in mine])
    bench.figure(f"characters in two battles, of {mine_n:,}", "characters", [twice for _, _, twice in mine], at_most=0)
    for kind, runs in kinds.items():
        bench.figure(f"the same of {n:,}, {kind}", "characters", [twice for _, _, twice in runs])


if __name__ == "__main__":
    run(main)
