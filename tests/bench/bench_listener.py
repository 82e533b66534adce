#!/usr/bin/python3
"""The skeleton itself: empty commands through the durable lane beside a bare consumer that only acks; memory over a million of them."""

import subprocess
import time

from lib.bench import TOOLS, run
from lib.usage import resident_mib
from lib.wait import wait_for

MESSAGES = 60_000
MILLION = 1_000_000
PIECE = 50_000
BODY = '{"text":"' + "x" * 280 + '"}'
BARE = {"bare librabbitmq, acking each, prefetch 64": (64, 1), "bare, acking every 64th, prefetch 512": (512, 64)}


def bare(stack, *words):
    """Seconds that the bare client needed."""
    words = [words[0], stack.amqp_url, *map(str, words[1:])]
    return float(subprocess.run([TOOLS / "bare_amqp", *words], check=True, capture_output=True, text=True).stdout)


def publish(stack, n):
    return bare(stack, "publish", "fixture.echo", "echo", n, BODY)


def handled(worker):
    name = 'garrison_messages_total{service="fixture",command="echo",lane="durable",outcome="ok"}'
    return worker.metrics().get(name, 0)


def listener_rate(bench, n):
    """From the first delivery until the worker has acked n."""
    publish(bench.stack, n)
    worker = bench.fleet.start("fixture", ready=False, log_level="warn")
    wait_for(lambda: worker.ready() and handled(worker) > 0, interval=0.001)
    start, first = time.monotonic(), handled(worker)
    wait_for(lambda: handled(worker) >= n, 600, interval=0.005)
    seconds = time.monotonic() - start
    worker.stop()
    return (n - first) / seconds


def memory(bench, messages, piece):
    """Resident MiB after every piece of so many messages."""
    worker = bench.fleet.start("fixture", log_level="warn")
    seen = []
    while len(seen) * piece < messages:
        publish(bench.stack, piece)
        wait_for(lambda: handled(worker) >= piece * (len(seen) + 1), 60)
        seen.append(resident_mib(worker.pid))
    worker.stop()
    return seen


def main(bench):
    bench.stack.add_service("fixture")
    n, piece = bench.size(MESSAGES, 2000), bench.size(PIECE, 1000)
    rates, beside = [], {what: [] for what in BARE}
    for _ in range(bench.runs):
        for what, (prefetch, every) in BARE.items():
            publish(bench.stack, n)
            beside[what].append(n / bare(bench.stack, "consume", "game.fixture", n, prefetch, every))
        rates.append(listener_rate(bench, n))
    for what, values in beside.items():
        bench.figure("empty commands through the durable lane", "a second", rates, {what: values}, ratio_at_least=0.6)
    seen = memory(bench, bench.size(MILLION, 4000), piece)
    bench.figure(f"memory of a worker after {piece * len(seen):,} commands", "MiB", [seen[-1]], at_most=12)
    bench.figure(f"of that, grown since the first {piece:,}", "MiB", [seen[-1] - seen[0]], at_most=0.5)


if __name__ == "__main__":
    run(main)
