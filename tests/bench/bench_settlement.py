#!/usr/bin/python3
"""Settlement: a preloaded queue drained by one worker process, next to pgbench settling one fight a transaction.

Servers and their addresses come from the environment, as bench.sh gives them. FIGHTS (60000) and CHARACTERS (20000) may be set.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pika
import psycopg2

SERVICE = "combat-settlement"
KEY = SERVICE + ".settle_combat"
FIGHTS = int(os.environ.get("FIGHTS", 60000))
CHARACTERS = int(os.environ.get("CHARACTERS", 20000))
RATE, RATE_SECONDS = 1000, 20
PGBENCH_SECONDS = int(os.environ.get("PGBENCH_SECONDS", 8))
BIN = Path(os.environ.get("GARRISON_BIN", "build/bin"))

# One fight a transaction: the statements of settlement_sql.c for one fight, two of whose effects name rows.
PGBENCH = r"""
\set a random(1, :characters)
\set b random(1, :characters)
\set end 1700000000 + random(1, 30000000)
BEGIN;
INSERT INTO combat_history AS h (session_id, participant_ids, finished_at, settlement_status, result_payload, doc_hash, settled_at)
 VALUES (gen_random_uuid(), ARRAY[:a::bigint, :b::bigint], to_timestamp(:end::bigint), 'processed', '%(document)s', '\x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff', now())
 ON CONFLICT (session_id) DO UPDATE SET settlement_status = 'processed', failure = NULL, settled_at = now()
 WHERE h.settlement_status IN ('failed', 'pending') AND h.doc_hash = excluded.doc_hash;
UPDATE characters c SET xp = c.xp + 1250, gold = c.gold + 100,
 vitals = c.vitals || jsonb_build_object('hp', (c.vitals -> 'hp') || jsonb_build_object('cur', least(450, (c.vitals #>> '{hp,max}')::bigint)))
  || jsonb_build_object('energy', (c.vitals -> 'energy') || jsonb_build_object('cur', least(20, (c.vitals #>> '{energy,max}')::bigint))),
 last_combat_session_id = gen_random_uuid(), last_combat_at = to_timestamp(:end::bigint),
 hp_set_at = to_timestamp(:end::bigint), hp_set_by = gen_random_uuid(), energy_set_at = to_timestamp(:end::bigint), energy_set_by = gen_random_uuid(),
 game_stage = CASE WHEN c.game_stage = 'combat' THEN 'idle' ELSE c.game_stage END, updated_at = now()
 WHERE id IN (least(:a::bigint, :b::bigint), greatest(:a::bigint, :b::bigint));
UPDATE inventory SET quantity = quantity - 2 WHERE id = :a::bigint AND character_id = :a::bigint AND item_template_id = 'hp_pot_small' AND quantity > 0;
UPDATE inventory SET quantity = quantity - 1 WHERE id = :b::bigint AND character_id = :b::bigint AND item_template_id = 'hp_pot_small' AND quantity > 0;
UPDATE inventory i SET quantity = i.quantity + 1 WHERE i.id = (SELECT min(s.id) FROM inventory s WHERE s.character_id = :a::bigint
 AND s.item_template_id = 'wolf_pelt' AND NOT s.is_equipped AND s.quantity > 0);
UPDATE inventory i SET durability = i.durability - least(i.durability, 5) WHERE i.id = (SELECT min(s.id) FROM inventory s
 WHERE s.character_id = :a::bigint AND s.item_template_id = 'sword_epic' AND s.is_equipped);
DELETE FROM session_snapshots WHERE kind = 'combat' AND character_id IN (:a::bigint, :b::bigint);
COMMIT;
"""

LOAD = """
TRUNCATE characters, combat_history CASCADE;
INSERT INTO characters (id) SELECT generate_series(1, %(n)s);
INSERT INTO inventory (id, character_id, item_template_id, quantity, is_equipped, slot)
 SELECT g, g, 'hp_pot_small', 1000000000, true, 'belt_1' FROM generate_series(1, %(n)s) g;
INSERT INTO inventory (id, character_id, item_template_id, quantity)
 SELECT %(n)s + g, g, 'wolf_pelt', 1 FROM generate_series(1, %(n)s) g;
INSERT INTO inventory (id, character_id, item_template_id, quantity, is_equipped, slot, durability)
 SELECT 2 * %(n)s + g, g, 'sword_epic', 1, true, 'weapon', 2000000000 FROM generate_series(1, %(n)s) g;
"""


def document(rng, session=None):
    winner, loser = rng.sample(range(1, CHARACTERS + 1), 2)

    def participant(char_id, wins, qty):
        changes = {
            "xp_gained": 1250 if wins else 50,
            "gold_gained": 100 if wins else 0,
            "items_consumed": [{"inventory_id": char_id, "item_template_id": "hp_pot_small", "qty": qty}],
            "items_gained": [{"item_template_id": "wolf_pelt", "qty": 1}] if wins else [],
            "durability_loss": {"item:sword_epic": 5} if wins else {},
        }
        loot = [{"name": "Шкура волка", "qty": 1}] if wins else []
        return {
            "is_winner": wins,
            "state_snapshot": {"hp": rng.randrange(100), "energy": rng.randrange(100)},
            "changes": changes,
            "ui_report": {"damage_dealt": 5000, "loot_obtained": loot},
        }

    return {
        "session_id": session or str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "meta": {"end_timestamp": 1700000000 + rng.randrange(30000000), "winner_team": "blue", "finish_reason": "victory"},
        "participants": {str(winner): participant(winner, True, 2), str(loser): participant(loser, False, 1)},
        "replay_log": [],
    }


def database():
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    connection.autocommit = True
    return connection.cursor()


def settled(cursor):
    cursor.execute("SELECT count(*) FROM combat_history WHERE settlement_status = 'processed'")
    return cursor.fetchone()[0]


def load():
    cursor = database()
    cursor.execute(LOAD % {"n": CHARACTERS})
    cursor.execute("VACUUM ANALYZE")
    cursor.execute("CHECKPOINT")
    return cursor


def broker():
    parameters = pika.URLParameters(os.environ["AMQP_URL"])
    parameters.heartbeat = 0
    return pika.BlockingConnection(parameters)


def start_worker(**settings):
    log = tempfile.NamedTemporaryFile(prefix="settlement-", suffix=".log")
    environment = {**os.environ, "LOG_LEVEL": "warn", **settings}
    process = subprocess.Popen([BIN / ("garrison-" + SERVICE)], env=environment, stderr=log)
    return process, log


def resident_mib(pid, peak=False):
    name = "VmHWM" if peak else "VmRSS"
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0


def stop(process):
    process.terminate()
    process.wait(40)


def pgbench(clients):
    """Transactions a second."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        text = json.dumps(document(random.Random(1)), ensure_ascii=False)
        script.write(PGBENCH % {"document": text.replace("'", "''").replace(":", ": ")})
        script.flush()
        done = subprocess.run(
            ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(PGBENCH_SECONDS),
             "-D", f"characters={CHARACTERS}", "-f", script.name, os.environ["DATABASE_URL"]],
            capture_output=True, text=True,
        )
    if done.returncode != 0:
        sys.exit(f"pgbench: {done.stderr}")
    return float(next(line.split()[2] for line in done.stdout.splitlines() if line.startswith("tps")))


def publish_all(documents):
    """Preload, quickly: unconfirmed but for the end, which the queue's depth proves."""
    connection = broker()
    channel = connection.channel()
    channel.queue_purge("game." + SERVICE)
    properties = pika.BasicProperties(type="settle_combat", delivery_mode=2, content_type="application/json")
    for body in documents:
        channel.basic_publish("game.commands", KEY, body, properties)
    while channel.queue_declare("game." + SERVICE, passive=True).method.message_count < len(documents):
        time.sleep(0.1)
    connection.close()


def count_events(stop_counting):
    """A consumer, so that events are not simply dropped; returns the list that holds the running number."""
    counted = [0]

    def run():
        connection = broker()
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "game.events", SERVICE + ".settled")
        for _ in channel.consume(queue, auto_ack=True, inactivity_timeout=0.2):
            if _[0]:
                counted[0] += 1
            elif stop_counting.is_set():
                break
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return counted, thread


def drain():
    """Fights a second, and the worker's peak of resident memory."""
    rng = random.Random(7)
    publish_all([json.dumps(document(rng), ensure_ascii=False).encode() for _ in range(FIGHTS)])
    cursor = load()
    connection = broker()
    channel = connection.channel()
    process, log = start_worker()
    samples = []
    began = None
    while True:
        done = channel.queue_declare("game." + SERVICE, passive=True).method.message_count
        now = time.monotonic()
        if done < FIGHTS and began is None:
            began = now
        if done == 0 and settled(cursor) == FIGHTS:
            break
        if began:
            samples.append(resident_mib(process.pid))
        if process.poll() is not None:
            sys.exit(f"the worker ended: {Path(log.name).read_text()[-2000:]}")
        time.sleep(0.05)
    elapsed = time.monotonic() - began
    peak = resident_mib(process.pid, peak=True)
    connection.close()
    stop(process)
    cursor.execute("SELECT sum(xp) FROM characters")
    assert cursor.fetchone()[0] == FIGHTS * 1300, "not every fight was settled once"
    return FIGHTS / elapsed, statistics.mean(samples), peak


def latency():
    """Milliseconds from publish to the event, at RATE a second: the sorted list."""
    load()
    process, log = start_worker()
    sent, taken = {}, {}
    listening = threading.Event()

    def listen():
        connection = broker()
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "game.events", SERVICE + ".settled")
        listening.set()
        for method, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=3):
            if method is None:
                break
            taken[json.loads(body)["session_id"]] = time.monotonic()
        connection.close()

    thread = threading.Thread(target=listen)
    thread.start()
    listening.wait()
    rng = random.Random(8)
    documents = [document(rng) for _ in range(RATE * RATE_SECONDS)]
    bodies = [(d["session_id"], json.dumps(d, ensure_ascii=False).encode()) for d in documents]
    connection = broker()
    channel = connection.channel()
    properties = pika.BasicProperties(type="settle_combat", delivery_mode=2)
    while channel.queue_declare("game." + SERVICE, passive=True).method.consumer_count == 0:
        time.sleep(0.05)
    began = time.monotonic()
    for i, (session, body) in enumerate(bodies):
        wait = began + i / RATE - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        sent[session] = time.monotonic()
        channel.basic_publish("game.commands", KEY, body, properties)
    thread.join()
    connection.close()
    stop(process)
    # The first second warms connections, plans and caches.
    return sorted((taken[s] - sent[s]) * 1000 for s, _ in bodies[RATE:])


def main():
    baseline = {}
    for clients in (1, 8, 16):
        load()
        baseline[clients] = pgbench(clients)
        print(f"pgbench, one fight a transaction, {clients:2d} clients: {baseline[clients]:8.0f} fights/s", flush=True)
    best = max(baseline.values())
    rate, mean, peak = drain()
    print(f"one worker, queue to ack, {FIGHTS} fights:      {rate:8.0f} fights/s  = {rate / best:.2f} x pgbench's best")
    print(f"its resident memory while draining: mean {mean:.1f} MiB, peak {peak:.1f} MiB", flush=True)
    times = latency()
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(f"publish to settled event at {RATE}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {times[-1]:.1f} ms ({len(times)} fights)")


if __name__ == "__main__":
    main()
