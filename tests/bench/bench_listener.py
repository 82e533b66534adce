#!/usr/bin/python3
"""The skeleton itself: empty commands through the durable lane beside a bare consumer that only acks; memory; time to readiness."""

import os
import statistics
import subprocess
import tempfile
import time

from lib.fleet import Fleet
from lib.servers import ROOT, Servers
from lib.stack import Stack
from lib.wait import wait_for

BARE = ROOT / "build/tests/bare_amqp"
MESSAGES = int(os.environ.get("BENCH_MESSAGES", 60000))
RUNS = int(os.environ.get("BENCH_RUNS", 3))
MILLION = int(os.environ.get("BENCH_MILLION", 1_000_000))
BODY = '{"text":"' + "x" * 280 + '"}'


def bare(stack, *words):
    """Seconds that the bare client needed."""
    words = [words[0], stack.amqp_url, *map(str, words[1:])]
    return float(subprocess.run([BARE, *words], check=True, capture_output=True, text=True).stdout)


def publish(stack, n):
    return bare(stack, "publish", "fixture.echo", "echo", n, BODY)


def handled(worker):
    name = 'garrison_messages_total{service="fixture",command="echo",lane="durable",outcome="ok"}'
    return worker.metrics().get(name, 0)


def drain(stack, fleet, n):
    """Seconds from the first delivery until the worker has done n and the broker holds none, and the worker."""
    publish(stack, n)
    amqp = stack.amqp()
    worker = fleet.start("fixture", ready=False, log_level="warn")
    wait_for(lambda: worker.ready() and handled(worker) > 0, interval=0.001)
    start, first = time.monotonic(), handled(worker)
    wait_for(lambda: handled(worker) >= n, 600, interval=0.005)
    seconds = time.monotonic() - start
    amqp.close()
    return (n - first) / seconds, worker


def main():
    stack = Stack(Servers(os.environ["GARRISON_TEST_STACK"]), ROOT / "build/bin").create()
    stack.add_service("fixture")
    rows = {"bare, acking each, prefetch 64": [], "bare, acking every 64th, prefetch 512": [], "the listener": []}
    with tempfile.TemporaryDirectory() as logs:
        fleet = Fleet(stack, logs)
        for _ in range(RUNS):
            publish(stack, MESSAGES)
            rows["bare, acking each, prefetch 64"].append(
                MESSAGES / bare(stack, "consume", "game.fixture", MESSAGES, 64, 1)
            )
            publish(stack, MESSAGES)
            rows["bare, acking every 64th, prefetch 512"].append(
                MESSAGES / bare(stack, "consume", "game.fixture", MESSAGES, 512, 64)
            )
            rate, worker = drain(stack, fleet, MESSAGES)
            rows["the listener"].append(rate)
            worker.stop()
        medians = {name: statistics.median(values) for name, values in rows.items()}
        print(f"empty commands of {len(BODY)} bytes from a quorum queue, a second; median (lowest to highest) of {RUNS}:")
        for name, values in rows.items():
            share = medians["the listener"] / medians[name]
            print(f"  {name:40} {medians[name]:9,.0f}  ({min(values):,.0f} to {max(values):,.0f})  listener/this {share:.2f}")

        ready = []
        for _ in range(9):
            begun = time.monotonic()
            worker = fleet.start("fixture", ready=False)
            wait_for(worker.ready, interval=0.001)
            ready.append((time.monotonic() - begun) * 1000)
            worker.stop()
        print(f"start to ready: median {statistics.median(ready):.0f} ms, highest {max(ready):.0f} ms of {len(ready)}")

        worker = fleet.start("fixture", log_level="warn")
        seen = []
        while handled(worker) < MILLION:
            publish(stack, 50000)
            wait_for(lambda: handled(worker) >= 50000 * (len(seen) + 1), 60)
            seen.append(worker.resident_bytes() / 2**20)
        print(
            f"resident after 50,000 / {MILLION // 2:,} / {MILLION:,} messages:"
            f" {seen[0]:.1f} / {seen[len(seen) // 2]:.1f} / {seen[-1]:.1f} MiB, highest {max(seen):.1f}"
        )
        fleet.stop()
    stack.remove()


main()
