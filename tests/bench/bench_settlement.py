#!/usr/bin/python3
"""Settlement: a preloaded queue drained by one worker process, next to pgbench settling one fight a transaction."""

import json
import os
import random
import statistics
import subprocess
import time
import uuid

import pika

from lib.bench import TOOLS, pgbench, pgbench_latencies_ms, run, sql
from lib.usage import peak_resident_mib, resident_mib
from lib.wait import wait_for

SERVICE = "combat-settlement"
KEY = SERVICE + ".settle_combat"
QUEUE = "game." + SERVICE
FIGHTS = 40_000
CHARACTERS = 20_000
CLIENTS = (8, 16)
PGBENCH_S = 4
RATE, RATE_S = 1000, 10

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


def document(rng, characters=CHARACTERS):
    winner, loser = rng.sample(range(1, characters + 1), 2)

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
        "session_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "meta": {"end_timestamp": 1700000000 + rng.randrange(30000000), "winner_team": "blue", "finish_reason": "victory"},
        "participants": {str(winner): participant(winner, True, 2), str(loser): participant(loser, False, 1)},
        "replay_log": [],
    }


def encoded(document):
    return json.dumps(document, ensure_ascii=False).encode()


def fill(stack):
    sql(stack, LOAD % {"n": CHARACTERS}, "VACUUM ANALYZE", "CHECKPOINT")


def settled(stack):
    return sql(stack, "SELECT count(*) FROM combat_history WHERE settlement_status = 'processed'")[0][0]


def script():
    text = encoded(document(random.Random(1))).decode().replace("'", "''").replace(":", ": ")
    return PGBENCH % {"document": text}


def one_by_one(stack, clients, seconds):
    """Fights a second that pgbench settles, each in a transaction of its own."""
    fill(stack)
    return pgbench(stack, script(), "-c", clients, "-j", 2, "-T", seconds, "-D", f"characters={CHARACTERS}")


def bare_latency_ms(stack, seconds):
    """The same at RATE a second: how long each takes, sorted."""
    fill(stack)
    os.sync()
    words = ("-c", CLIENTS[0], "-j", 2, "-T", seconds, "-D", f"characters={CHARACTERS}")
    return pgbench_latencies_ms(stack, script(), RATE, *words)


def publish_all(amqp, bodies):
    """Preload, quickly: unconfirmed but for the end, which the queue's depth proves."""
    channel = amqp.connection.channel()
    properties = pika.BasicProperties(type="settle_combat", delivery_mode=2, content_type="application/json")
    for body in bodies:
        channel.basic_publish("game.commands", KEY, body, properties)
    wait_for(lambda: amqp.depth(QUEUE) == len(bodies), 60, interval=0.1, what="the fights to be queued")


def drain(bench, amqp, bodies):
    """Fights a second from the first that leaves the queue until all are acked; mean and peak of resident memory."""
    publish_all(amqp, bodies)
    fill(bench.stack)
    worker = bench.fleet.start(SERVICE, ready=False, log_level="warn")
    wait_for(lambda: amqp.depth(QUEUE) < len(bodies), interval=0.01)
    begun, samples = time.monotonic(), []

    def done():
        samples.append(resident_mib(worker.pid))
        return amqp.depth(QUEUE) == 0 and settled(bench.stack) == len(bodies) and worker.metrics()["garrison_in_flight"] == 0

    wait_for(done, 120, interval=0.05, what="all fights to be settled")
    seconds = time.monotonic() - begun
    peak = peak_resident_mib(worker.pid)
    worker.stop()
    assert sql(bench.stack, "SELECT sum(xp) FROM characters") == [(len(bodies) * 1300,)], "not every fight was settled once"
    return len(bodies) / seconds, statistics.mean(samples), peak


def latency_ms(bench, seconds):
    """From the moment when a fight is due to be published, RATE a second, to its event: sorted."""
    fill(bench.stack)
    os.sync()  # what the runs before left the kernel to write would stand in this one's way
    bench.fleet.start(SERVICE, log_level="warn")
    rng = random.Random(8)
    bodies = b"".join(encoded(document(rng)) + b"\n" for _ in range(RATE * seconds))
    words = [TOOLS / "bare_amqp", "paced", bench.stack.amqp_url, KEY, "settle_combat", str(RATE), SERVICE + ".settled"]
    times = [float(line) for line in subprocess.run(words, input=bodies, stdout=subprocess.PIPE, check=True).stdout.split()]
    bench.fleet.stop()
    assert len(times) == RATE * seconds and min(times) >= 0, "not every fight was told to be settled"
    # The first second warms connections, plans and caches.
    return sorted(times[RATE:])


def main(bench):
    amqp, rng = bench.stack.amqp(), random.Random(7)
    bodies = [encoded(document(rng)) for _ in range(bench.size(FIGHTS, 500))]
    beside, drains = [], []
    for _ in range(bench.runs):
        beside.append(max(one_by_one(bench.stack, clients, max(1, round(PGBENCH_S * bench.scale))) for clients in CLIENTS))
        drains.append(drain(bench, amqp, bodies))
    rates, means, peaks = zip(*drains, strict=True)
    what = f"pgbench, one fight a transaction, best of {' and '.join(map(str, CLIENTS))} clients"
    bench.figure("fights settled, queue to ack, one worker", "a second", rates, {what: beside}, ratio_at_least=3)
    bench.figure("settlement's memory while draining, mean", "MiB", means, at_most=12)
    bench.figure("settlement's memory while draining, peak", "MiB", peaks)
    paced(bench, max(2, round(RATE_S * bench.scale)))


def paced(bench, seconds):
    ours, bare = zip(*[(latency_ms(bench, seconds), bare_latency_ms(bench.stack, seconds)) for _ in range(bench.runs)], strict=True)

    def at(share, runs):
        return [times[int(len(times) * share)] for times in runs]

    beside = f"pgbench, no broker, one fight a transaction, {CLIENTS[0]} clients"
    bench.figure(f"publish to settled event at {RATE:,}/s, p50", "ms", at(0.5, ours), {beside: at(0.5, bare)})
    bench.figure(f"publish to settled event at {RATE:,}/s, p99", "ms", at(0.99, ours), {beside: at(0.99, bare)}, at_most=20)


if __name__ == "__main__":
    run(main)
