#!/usr/bin/python3
"""Gateway: auto sessions started a second over HTTP with 32 connections, beside what its parts do alone."""

import json
import os
import subprocess

from lib.bench import ROOT, TOOLS, bare_responder, pgbench, run
from lib.fleet import free_address, http_get
from lib.gateway import Gateway, Issuer
from lib.usage import resident_mib, servers_pids, tree_cpu_s
from lib.wait import wait_for

SECONDS = 4
CONNECTIONS = 32
CHARACTERS = 1_000_000  # ids for each of wrk's two threads
REQUESTS = 60_000
TOKEN = "bench-token-of-32-bytes-or-longer"
STARTS = f"auto sessions started over HTTP, {CONNECTIONS} connections"
BARE_PARTS = "HTTP, request and reply, and the INSERT, each bare, one after the other"
# What 6,000 a second were of that where they became the goal: 103,000, 22,571 and 14,945 a second make 8,270.
OF_BARE_PARTS = 0.73
INSERT = """\\set n :n + 1
\\set id :first + :client_id * :share + :n
INSERT INTO auto_sessions (player_id, active_category, started_at, last_tick_at, next_tick_at)
VALUES (:id, 'trade', now(), now(), now() + interval '6 min') ON CONFLICT DO NOTHING;
"""


def load(url, first, seconds, token=TOKEN, rate=0):
    """wrk; its summary."""
    done = subprocess.run(
        ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", ROOT / "tests/bench/start.lua", url],
        env={**os.environ, "START_FIRST": str(first), "CONNECTIONS": str(CONNECTIONS), "RATE": f"{rate:.0f}", "TOKEN": token},
        capture_output=True,
        text=True,
        check=True,
    )
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    assert summary["errors"] == 0, summary
    summary["rate"] = summary["requests"] / summary["seconds"]
    return summary


def bare_requests(stack, key, first, n):
    """Requests and replies a second over the broker, with what a start says, no HTTP."""
    bodies = "".join('{"player_id":%d,"active_category":"trade"}\n' % (first + i) for i in range(n))
    words = [TOOLS / "bare_amqp", "request", stack.amqp_url, key, key.split(".")[1], str(n), str(CONNECTIONS)]
    return n / float(subprocess.run(words, input=bodies, capture_output=True, text=True, check=True).stdout.split()[0])


def bare_http(seconds):
    address = free_address()
    server = subprocess.Popen([TOOLS / "bare_http", address.rpartition(":")[2]], stdin=subprocess.PIPE)
    try:
        wait_for(lambda: http_get(f"http://{address}/"), what="bare_http")
        return load(f"http://{address}", 1, seconds)["rate"]
    finally:
        server.stdin.close()
        server.wait(10)


def bare_inserts(stack, first, room, seconds):
    words = ("-c", CONNECTIONS, "-j", 2, "-T", seconds, "-D", "n=0", "-D", f"first={first}", "-D", f"share={2 * room // CONNECTIONS}")
    return pgbench(stack, INSERT, *words)


def one_after_the_other(*parts):
    """What is left of the machine for each when all of them have to be done, each as fast as it goes: a second, run by run."""
    return [1 / sum(1 / rate for rate in rates) for rates in zip(*parts, strict=True)]


class Ids:
    """Fresh characters for each load: room for wrk's first thread, and as many a million further on for its second."""

    def __init__(self, stack, room):
        self.database, self.room, self.next = stack.database(), room, 10_000_000

    def take(self, in_a_row=False):
        first, self.next = self.next, self.next + 2 * CHARACTERS
        with self.database.cursor() as cursor:
            for begin in (first, first + (self.room if in_a_row else CHARACTERS)):
                cursor.execute(
                    "INSERT INTO characters (id, name) SELECT generate_series(%s, %s), ''", (begin, begin + self.room - 1)
                )
            # What making them leaves to be done is not the load's: cleaning up, and WAL segments to be used again.
            cursor.execute("VACUUM (ANALYZE) characters")
            cursor.execute("CHECKPOINT")
        return first


class Costs:
    """Microseconds of processor time a start, of everybody who takes part in one."""

    def __init__(self, servers, **workers):
        pids = servers_pids(servers)
        self.pids = {"RabbitMQ": pids["rabbitmq"], "PostgreSQL": pids["postgres"], **{name: w.pid for name, w in workers.items()}}
        self.seen = {name: [] for name in self.pids}

    def load(self, *arguments, **options):
        before = {name: tree_cpu_s(pid) for name, pid in self.pids.items()}
        summary = load(*arguments, **options)
        for name, pid in self.pids.items():
            self.seen[name].append(1e6 * (tree_cpu_s(pid) - before[name]) / summary["requests"])
        return summary

    def figures(self, bench, when):
        for name, values in self.seen.items():
            bench.figure(f"processor time of {name} a start{when}", "µs", values)


def start_service(bench, **tick_settings):
    """The tick worker, the gateway, and its address; ready."""
    tick = bench.fleet.start("tick", log_level="warn", **tick_settings)
    worker = bench.fleet.start("gateway", service_token=TOKEN, log_level="warn")
    gateway = Gateway(worker)
    issuer = Issuer(bench.stack.database())
    wait_for(lambda: issuer.kid in gateway.get("/.well-known/jwks.json").text, what="the key to be known")
    return tick, worker, gateway.url


def main(bench):
    seconds = max(1, round(SECONDS * bench.scale))
    ids = Ids(bench.stack, seconds * 16_000)
    tick, worker, url = start_service(bench)
    load(url, ids.take(), 1)
    starts, halves, requests, nothing, https, inserts = [], [], [], [], [], []
    at_peak, at_half = (Costs(bench.stack.servers, tick=tick, gateway=worker) for _ in range(2))
    n = min(bench.size(REQUESTS, 1000), 2 * ids.room)
    with bare_responder(bench.stack) as key:
        for _ in range(bench.runs):
            starts.append(at_peak.load(url, ids.take(), seconds))
            halves.append(at_half.load(url, ids.take(), seconds, rate=starts[-1]["rate"] / 2))
            first = ids.take(in_a_row=True)
            requests.append(bare_requests(bench.stack, "tick.start_auto_session", first, n))
            nothing.append(bare_requests(bench.stack, key, first, n))
            https.append(bare_http(seconds))
            inserts.append(bare_inserts(bench.stack, ids.take(in_a_row=True), ids.room, seconds))
    beside = {
        f"request and reply, no HTTP, {CONNECTIONS} in flight": requests,
        f"request and reply with nothing done, bare librabbitmq, {CONNECTIONS} in flight": nothing,
        "the bare INSERT": inserts,
        "libmicrohttpd, constant": https,
    }
    rates = [s["rate"] for s in starts]
    bench.figure(STARTS, "a second", rates, beside, at_least=6000)
    bench.figure(STARTS, "a second", rates, {BARE_PARTS: one_after_the_other(https, nothing, inserts)}, ratio_at_least=OF_BARE_PARTS)
    bench.figure("p50 of that", "ms", [s["p50_ms"] for s in starts])
    bench.figure("p99 of that", "ms", [s["p99_ms"] for s in starts])
    at_peak.figures(bench, "")
    bench.figure("p50 at half of that rate", "ms", [s["p50_ms"] for s in halves])
    bench.figure("p99 at half of that rate", "ms", [s["p99_ms"] for s in halves], at_most=5)
    at_half.figures(bench, " at half of that rate")
    bench.figure("the gateway's memory afterwards", "MiB", [resident_mib(worker.pid)], at_most=12)


if __name__ == "__main__":
    run(main)
