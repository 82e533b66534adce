#!/usr/bin/python3
"""Gateway: auto sessions started a second over HTTP with 32 connections, beside what its parts do alone, in one run.

BENCH_SECONDS=5 for each; BENCH_ROUNDS=3, each ratio taken within its round, the best round is shown.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

from lib.fleet import Fleet, free_address, http_get
from lib.gateway import Gateway, Issuer
from lib.servers import ROOT, Servers
from lib.stack import Stack
from lib.wait import wait_for

SECONDS = float(os.environ.get("BENCH_SECONDS", 5))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 3))
CONNECTIONS = 32
CHARACTERS = 1_000_000  # for each of wrk's two threads
REQUESTS = 60_000
TOKEN = "bench-token-of-32-bytes-or-longer"
INSERT = """\\set n :n + 1
\\set id :first + :client_id * :share + :n
INSERT INTO auto_sessions (player_id, active_category, started_at, last_tick_at, next_tick_at)
VALUES (:id, 'trade', now(), now(), now() + interval '6 min') ON CONFLICT DO NOTHING;
"""


def load(url, first, token=TOKEN, rate=0):
    """wrk for SECONDS; its summary."""
    done = subprocess.run(
        ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{SECONDS:g}s", "-s", ROOT / "tests/bench/start.lua", url],
        env={**os.environ, "START_FIRST": str(first), "CONNECTIONS": str(CONNECTIONS), "RATE": f"{rate:.0f}", "TOKEN": token},
        capture_output=True,
        text=True,
        check=True,
    )
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    summary["rate"] = summary["requests"] / summary["seconds"]
    return summary


def bare_requests(stack, first):
    """Request and reply over the broker, the same command, no HTTP."""
    bodies = "".join('{"player_id":%d,"active_category":"trade"}\n' % (first + i) for i in range(REQUESTS))
    key = "tick.start_auto_session"
    done = subprocess.run(
        [ROOT / "build/tests/bare_amqp", "request", stack.amqp_url, key, key.split(".")[1], str(REQUESTS), str(CONNECTIONS)],
        input=bodies,
        capture_output=True,
        text=True,
        check=True,
    )
    return REQUESTS / float(done.stdout.split()[0])


def bare_http():
    address = free_address()
    server = subprocess.Popen([ROOT / "build/tests/bare_http", address.rpartition(":")[2]], stdin=subprocess.PIPE)
    try:
        wait_for(lambda: http_get(f"http://{address}/"), what="bare_http")
        return load(f"http://{address}", 1)["rate"]
    finally:
        server.stdin.close()
        server.wait(10)


def bare_inserts(stack, first, room):
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(INSERT)
        script.flush()
        done = subprocess.run(
            ["/usr/lib/postgresql/15/bin/pgbench", "-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "2", "-T", f"{SECONDS:.0f}"]
            + ["-D", "n=0", "-D", f"first={first}", "-D", f"share={room // CONNECTIONS}", "-f", script.name, stack.database_url],
            capture_output=True,
            text=True,
            check=True,
        )
    return float(next(line.split()[2] for line in done.stdout.splitlines() if line.startswith("tps")))


def make_characters(stack, first, n):
    database = stack.database()
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO characters (id, name) SELECT generate_series(%s, %s), ''", (first, first + n - 1))
        cursor.execute("ANALYZE characters")
    database.close()


def cpu_us(worker, requests, before):
    return 1e6 * (worker.metrics()["process_cpu_seconds_total"] - before) / requests


def main():
    stack = Stack(Servers(os.environ["GARRISON_TEST_STACK"]), ROOT / "build/bin").create()
    fleet = Fleet(stack, tempfile.mkdtemp(prefix="garrison-bench-"))
    try:
        room = int(SECONDS * 16_000)
        firsts = [10_000_000 + i * 2 * CHARACTERS for i in range(3 * ROUNDS + 2)]
        for first in firsts:
            make_characters(stack, first, room)
            make_characters(stack, first + CHARACTERS, room)
        tick = fleet.start("tick")
        worker = fleet.start("gateway", service_token=TOKEN)
        gateway = Gateway(worker)
        issuer = Issuer(stack.database())
        wait_for(lambda: issuer.kid in gateway.get("/.well-known/jwks.json").text, what="the key to be known")
        load(gateway.url, firsts.pop())
        best = None
        for _ in range(ROUNDS):
            before, tick_before = (w.metrics()["process_cpu_seconds_total"] for w in (worker, tick))
            whole = load(gateway.url, firsts.pop())
            whole["gateway_us"], whole["tick_us"] = cpu_us(worker, whole["requests"], before), cpu_us(tick, whole["requests"], tick_before)
            whole["half"] = load(gateway.url, firsts.pop(), rate=whole["rate"] / 2)
            whole["bare_requests"] = bare_requests(stack, firsts.pop())
            if best is None or whole["rate"] > best["rate"]:
                best = whole
        best["bare_http"] = bare_http()
        best["bare_inserts"] = bare_inserts(stack, firsts.pop(), room)
        show(best, worker)
    finally:
        fleet.stop()
        stack.remove()


def show(best, worker):
    half = best["half"]
    print(f"starts over HTTP, {CONNECTIONS} connections   {best['rate']:8.0f}/s   p50 {best['p50_ms']:.2f} ms, p99 {best['p99_ms']:.2f} ms, errors {best['errors']}")
    print(f"  CPU a start: gateway {best['gateway_us']:.0f} us, tick {best['tick_us']:.0f} us")
    print(f"at half of that                     {half['rate']:8.0f}/s   p50 {half['p50_ms']:.2f} ms, p99 {half['p99_ms']:.2f} ms, errors {half['errors']}")
    print(f"bare request/reply, {CONNECTIONS} in flight      {best['bare_requests']:8.0f}/s   the gateway reaches {best['rate'] / best['bare_requests']:.2f} of it")
    print(f"libmicrohttpd, constant answer      {best['bare_http']:8.0f}/s")
    print(f"the bare INSERT, {CONNECTIONS} clients          {best['bare_inserts']:8.0f}/s")
    print(f"gateway's resident memory           {worker.resident_bytes() / 2**20:8.1f} MiB")
    print(f"load average {os.getloadavg()[0]:.1f}, at {time.strftime('%H:%M')}")
    sys.exit(0 if best["errors"] + half["errors"] == 0 else 1)


main()
