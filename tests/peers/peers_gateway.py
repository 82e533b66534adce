#!/usr/bin/python3
"""Auto sessions started over HTTP: Garrison's gateway and tick worker, and FastAPI with SQLAlchemy and asyncpg; the same wrk."""

import requests
from bench.bench_gateway import CONNECTIONS, SECONDS, TOKEN, Ids, load, start_service
from lib.bench import run
from lib.fleet import free_address, http_get
from lib.wait import wait_for
from peer import Peer, best_of, told

POOLS = [{"pool": pool} for pool in (4, 8, 16, 32)]
LEAN, ORM = "fastapi_gateway", "fastapi_orm_gateway"
ROOM_OURS, ROOM_THEIRS = 10_000, 3_000  # characters a second for each of wrk's two threads
START = "/system/tick/auto-session/start"


def start_peer(bench, module, settings):
    """Uvicorn with two workers: the machine's two cores."""
    host, _, port = free_address().partition(":")
    words = ["-m", "uvicorn", f"{module}:app", "--host", host, "--port", port, "--workers", "2", "--loop", "uvloop"]
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


def check_alike(bench, module, ours, first):
    peer = start_peer(bench, module, POOLS[0])
    try:
        theirs = answers(peer.url, first)
        assert ours == theirs, f"{module} answers otherwise: {ours} and {theirs}"
    finally:
        peer.stop()


def measure(bench, ids, module, settings, seconds):
    peer = start_peer(bench, module, settings)
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
    for module in (LEAN, ORM):
        check_alike(bench, module, answers(url, ours.take()), theirs.take())
    best = {
        module: best_of(module, POOLS, lambda settings: measure(bench, theirs, module, settings, max(1, seconds // 2))["rate"])  # noqa: B023
        for module in (LEAN, ORM)
    }
    mine, peers = [], {LEAN: [], ORM: []}
    load(url, ours.take(), 1)
    for _ in range(bench.runs):
        mine.append(load(url, ours.take(), seconds))
        for module, summaries in peers.items():
            summaries.append(measure(bench, theirs, module, best[module], seconds))
    names = {
        LEAN: f"FastAPI, one statement that commits by itself ({told(best[LEAN])} each)",
        ORM: f"FastAPI, mapped classes in a transaction ({told(best[ORM])} each)",
    }

    def beside(name):
        return {names[module]: [summary[name] for summary in summaries] for module, summaries in peers.items()}

    work = f"auto sessions started over HTTP, {CONNECTIONS} connections"
    bench.figure(work, "starts/s", [summary["rate"] for summary in mine], beside("rate"), ratio_at_least=10)
    bench.figure("p50 of that", "ms", [summary["p50_ms"] for summary in mine], beside("p50_ms"))
    bench.figure("p99 of that", "ms", [summary["p99_ms"] for summary in mine], beside("p99_ms"))


if __name__ == "__main__":
    run(main)
