#!/usr/bin/python3
"""Settlement of two-player fights, queue to ack: Garrison's worker, a Celery worker, an aio-pika + asyncpg worker."""

import json
import os
import random

import pika
from bench.bench_settlement import QUEUE, SERVICE, document, encoded, fill, publish_all
from kombu.serialization import dumps
from lib.bench import run, sql
from lib.wait import wait_for
from peer import HERE, Ours, Peer, best_of, rate_of, told

OURS, THEIRS, TRIAL, CHECKED = 30_000, 4_000, 1_500, 200
CELERY = [
    {"concurrency": concurrency, "prefetch": prefetch} for concurrency, prefetch in ((2, 16), (4, 16), (8, 4), (8, 16), (16, 4))
]
ASYNCIO = [
    {"processes": processes, "prefetch": prefetch, "pool": pool}
    for processes, prefetch, pool in ((1, 64, 16), (2, 32, 8), (2, 64, 16), (2, 128, 32), (3, 64, 8))
]


class Garrison:
    queue = QUEUE

    def start(self, bench, _=None):
        return Ours(bench, SERVICE)

    def publish(self, amqp, documents):
        publish_all(amqp, [encoded(fight) for fight in documents])


class Asyncio(Garrison):
    def start(self, bench, settings):
        return Peer(bench, HERE / "asyncio_settlement.py", **settings)


class Celery:
    queue = "peer.settlement"

    def __init__(self, bench, amqp):
        """The queue is as Garrison's, but for a dead letter's way."""
        amqp.channel.queue_declare(self.queue, durable=True, arguments={"x-queue-type": "quorum"})
        os.environ["AMQP_URL"] = bench.stack.amqp_url
        from celery_settlement import app

        self.messages = app.amqp

    def start(self, bench, settings):
        words = ["-m", "celery", "-A", "celery_settlement", "worker", "--concurrency", settings["concurrency"], "-O", "fair"]
        words += ["--loglevel", "warning", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        return Peer(bench, *map(str, words), prefetch=settings["prefetch"])

    def publish(self, amqp, documents):
        """As Celery writes a task, sent by the same client as the others' messages."""
        channel = amqp.connection.channel()
        for fight in documents:
            id = fight["session_id"]
            task = self.messages.as_task_v2(id, "settle_combat", args=(fight,))
            content_type, encoding, body = dumps(task.body, "json")
            properties = pika.BasicProperties(
                content_type, encoding, task.headers, delivery_mode=2, correlation_id=id, reply_to=task.properties["reply_to"]
            )
            channel.basic_publish("", self.queue, body, properties)
        wait_for(lambda: amqp.depth(self.queue) == len(documents), 60, interval=0.1, what="the fights to be queued")


def settle(bench, amqp, who, settings, n, seed=7):
    """Fights a second; then all of them are settled, each once."""
    rng = random.Random(seed)
    fill(bench.stack)
    bench.stack.redis.flushdb()
    who.publish(amqp, [document(rng) for _ in range(n)])
    running, rate, _ = rate_of(n, lambda: n - amqp.depth(who.queue), lambda: who.start(bench, settings))

    def all_told():
        running.check()
        return bench.stack.redis.dbsize() >= n and amqp.depth(who.queue) == 0

    wait_for(all_told, 60, interval=0.05, what="all fights to be settled")
    running.stop()
    found = sql(bench.stack, "SELECT sum(xp), (SELECT count(*) FROM combat_history) FROM characters")[0]
    assert found == (n * 1300, n), f"not every fight was settled once: {found}; {running.log_text}"
    assert amqp.depth(who.queue) == 0, f"a fight came back to the queue: {running.log_text}"
    return rate


ROWS = (
    "SELECT id, xp, gold, vitals, game_stage, last_combat_session_id, last_combat_at, hp_set_at, hp_set_by, energy_set_at,"
    " energy_set_by FROM characters ORDER BY id",
    "SELECT character_id, item_template_id, quantity, is_equipped, durability FROM inventory ORDER BY 1, 2, 3",
    "SELECT session_id, ARRAY(SELECT unnest(participant_ids) ORDER BY 1), finished_at, settlement_status, result_payload,"
    " doc_hash IS NOT NULL, failure, settled_at IS NOT NULL FROM combat_history ORDER BY session_id",
)


def effects(bench, amqp, who, settings):
    """What a few fights leave behind: rows, tombstones, events."""
    listening = bench.stack.amqp()
    heard = listening.events(SERVICE + ".settled")
    settle(bench, amqp, who, settings, CHECKED, seed=5)
    left = [sql(bench.stack, query) for query in ROWS]
    keys = sorted(bench.stack.redis.scan_iter(count=1000))
    tombstones = {key: json.loads(bench.stack.redis.get(key)) for key in keys}
    assert all(bench.stack.redis.pttl(key) > 0 for key in keys)
    events = {}
    while len(events) < CHECKED:
        event = heard.next()
        events[event.properties.message_id] = (event.body, event.properties.delivery_mode)
    listening.close()
    return [*left, tombstones, events]


def check_alike(bench, amqp, peers):
    ours = effects(bench, amqp, Garrison(), None)
    for who, settings in peers:
        theirs = effects(bench, amqp, who, settings)
        for what, a, b in zip(("characters", "inventory", "combat_history", "tombstones", "events"), ours, theirs, strict=True):
            assert a == b, f"{type(who).__name__} leaves other {what}: {first_difference(a, b)}"


def first_difference(a, b):
    if isinstance(a, dict):
        a, b = sorted(a.items()), sorted(b.items())
    return next((pair for pair in zip(a, b, strict=True) if pair[0] != pair[1]), None)


def main(bench):
    amqp = bench.stack.amqp()
    celery, ours, asyncio = Celery(bench, amqp), Garrison(), Asyncio()
    check_alike(bench, amqp, [(celery, CELERY[0]), (asyncio, ASYNCIO[0])])
    trial, n = bench.size(TRIAL, 300), bench.size(THEIRS, 300)
    as_celery = best_of("Celery", CELERY, lambda settings: settle(bench, amqp, celery, settings, trial))
    as_asyncio = best_of("aio-pika", ASYNCIO, lambda settings: settle(bench, amqp, asyncio, settings, trial))
    mine, celeries, asyncios = [], [], []
    for _ in range(bench.runs):
        mine.append(settle(bench, amqp, ours, None, bench.size(OURS, 2000)))
        celeries.append(settle(bench, amqp, celery, as_celery, n))
        asyncios.append(settle(bench, amqp, asyncio, as_asyncio, n))
    beside = {
        f"Celery + psycopg2 ({told(as_celery)})": celeries,
        f"aio-pika + asyncpg ({told(as_asyncio)})": asyncios,
    }
    bench.figure("two-player fights settled, queue to ack", "fights/s", mine, beside, ratio_at_least=15)


if __name__ == "__main__":
    run(main)
