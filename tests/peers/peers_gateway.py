#!/usr/bin/python3
"""Auto sessions started over HTTP: Garrison's gateway and tick worker, and FastAPI with SQLAlchemy and asyncpg; the same wrk."""

import requests
from bench.bench_gateway import CONNECTIONS, SECONDS, TOKEN, Ids, load, start_service
from lib.bench import run
from lib.fleet import free_address, http_get
from lib.wait import wait_for
from peer import Peer, best_of, told

POOLS = [{"pool": pool} for pool in (4, 8, 16, 32)]
ROOM_OURS, ROOM_THEIRS = 10_000, 3_000  # characters a second for each of wrk's two threads
START = "/system/tick/auto-session/start"


def start_peer(bench, settings):
    """Uvicorn with two workers: the machine's two cores."""
    host, _, port = free_address().partition(":")
    words = ["-m", "uvicorn", "fastapi_gateway:app", "--host", host, "--port", port, "--workers", "2", "--loop", "uvloop"]
    words += ["--http", "httptools", "--no-access-log", "--log-level", "warning"]
    peer = Peer(bench, *words, service_token=TOKEN, **settings)
    peer.url = f"http://{host}:{port}"

    def up():
        peer.check()
        return http_get(peer.url + "/openapi.json")

    wait_for(up, 30, what="FastAPI to answer")
    return peer


def answers(url, first):
    """What a start is answered when it is new, again, of nobody, without a category, with a wrong one, without a token."""
    session = requests.Session()
    session.trust_env = False
    allowed = {"Authorization": "Bearer " + TOKEN}
    bodies = [
        ({"player_id": first, "active_category": "trade"}, allowed),
        ({"player_id": first, "active_category": "general"}, allowed),
        ({"player_id": 5, "active_category": "trade"}, allowed),
        ({"player_id": first}, allowed),
        ({"player_id": first, "active_category": "sleep"}, allowed),
        ({"player_id": 0, "active_category": "trade"}, allowed),
        ({"player_id": first, "active_category": "trade"}, {}),
    ]
    found = []
    for body, headers in bodies:
        answer = session.post(url + START, json=body, headers=headers, timeout=10)
        said = answer.json()
        if answer.ok:
            for name in ("started_at", "last_tick_at", "next_tick_at", "player_id"):
                assert said["session"].pop(name), said
        found.append((answer.status_code, said if answer.ok else None))
    return found


def measure(bench, ids, settings, seconds):
    peer = start_peer(bench, settings)
    try:
        load(peer.url, ids.take(), 1)
        return load(peer.url, ids.take(), seconds)
    finally:
        peer.stop()


def main(bench):
    seconds = max(1, round(SECONDS * bench.scale))
    ours, theirs = Ids(bench.stack, seconds * ROOM_OURS), Ids(bench.stack, seconds * ROOM_THEIRS)
    theirs.next += 500_000_000
    _, _, url = start_service(bench)
    peer = start_peer(bench, POOLS[0])
    try:
        a, b = answers(url, ours.take()), answers(peer.url, theirs.take())
        assert a == b, f"FastAPI answers otherwise: {a} and {b}"
    finally:
        peer.stop()
    best = best_of("FastAPI", POOLS, lambda settings: measure(bench, theirs, settings, max(1, seconds // 2))["rate"])
    mine, fastapi = [], []
    load(url, ours.take(), 1)
    for _ in range(bench.runs):
        mine.append(load(url, ours.take(), seconds))
        fastapi.append(measure(bench, theirs, best, seconds))
    name = f"FastAPI + SQLAlchemy + asyncpg, uvicorn with 2 workers ({told(best)} each)"
    rates = {name: [summary["rate"] for summary in fastapi]}
    work = f"auto sessions started over HTTP, {CONNECTIONS} connections"
    bench.figure(work, "starts/s", [summary["rate"] for summary in mine], rates, ratio_at_least=10)
    for percent in ("p50", "p99"):
        beside = {name: [summary[percent + "_ms"] for summary in fastapi]}
        bench.figure(f"{percent} of that", "ms", [summary[percent + "_ms"] for summary in mine], beside)


if __name__ == "__main__":
    run(main)
