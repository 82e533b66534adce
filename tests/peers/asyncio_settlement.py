#!/usr/bin/python3
"""Settlement with aio-pika and asyncpg: what a Python shop that goes asynchronous would write.

    PREFETCH=64 POOL=16 asyncio_settlement.py

Takes Garrison's own queue and messages; acks a message when its effects are committed and its event is confirmed. PREFETCH fights are
in the air at once, on POOL connections to the database. uvloop. One process uses one core; run several.
"""

import asyncio
import hashlib
import json
import logging
import os
import signal
from datetime import datetime, timezone

import aio_pika
import asyncpg
import redis.asyncio as redis
import uvloop

PREFETCH = int(os.environ.get("PREFETCH", 64))
POOL = int(os.environ.get("POOL", 16))
TOMBSTONE_MS = 24 * 3600 * 1000

CLAIM = """
INSERT INTO combat_history (session_id, participant_ids, finished_at, settlement_status, result_payload, doc_hash, settled_at)
VALUES ($1, $2, $3, 'processed', $4, $5, now()) ON CONFLICT (session_id) DO NOTHING RETURNING session_id
"""
LOCK = """
SELECT id, vitals, last_combat_at, last_combat_session_id::text FROM characters WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
"""
CHANGE = """
UPDATE characters SET xp = xp + $2, gold = gold + $3, vitals = $4, last_combat_at = $5, last_combat_session_id = $6,
	hp_set_at = $5, hp_set_by = $6, energy_set_at = $5, energy_set_by = $6,
	game_stage = CASE WHEN game_stage = 'combat' THEN 'idle' ELSE game_stage END, updated_at = now()
WHERE id = $1
"""
CONSUME = """
UPDATE inventory i SET quantity = i.quantity - least(i.quantity, d.qty)
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[]) AS d (id, owner, template, qty)
WHERE i.id = d.id AND i.character_id = d.owner AND i.item_template_id = d.template RETURNING i.id, i.quantity
"""
STACK = """
UPDATE inventory i SET quantity = i.quantity + d.qty FROM unnest($1::bigint[], $2::text[], $3::int[]) AS d (owner, template, qty)
WHERE i.id = (SELECT min(s.id) FROM inventory s WHERE s.character_id = d.owner AND s.item_template_id = d.template
	AND NOT s.is_equipped) RETURNING d.owner, d.template
"""
WEAR = """
UPDATE inventory i SET durability = greatest(0, i.durability - d.loss)
FROM unnest($1::bigint[], $2::text[], $3::int[]) AS d (owner, template, loss)
WHERE i.id = (SELECT min(s.id) FROM inventory s WHERE s.character_id = d.owner AND s.item_template_id = d.template AND s.is_equipped)
"""


class Conflict(Exception):
    """The same session with another document."""


def columns(rows):
    return [list(column) for column in zip(*rows, strict=True)]


async def change_characters(db, session, ended, people):
    rows = []
    for id, text, last_at, last_session in await db.fetch(LOCK, sorted(people)):
        person, vitals = people[id], json.loads(text)
        if last_at is None or (last_at, last_session) < (ended, session):  # else a newer fight has set the vitals
            last_at, last_session = ended, session
            for name in ("hp", "energy"):
                vitals[name]["cur"] = min(person["state_snapshot"][name], vitals[name]["max"])
        changes = person["changes"]
        rows.append((id, changes["xp_gained"], changes["gold_gained"], json.dumps(vitals), last_at, last_session))
    if len(rows) != len(people):
        raise LookupError("an unknown character")
    await db.executemany(CHANGE, rows)  # pipelined


async def change_items(db, people):
    used = [
        (item["inventory_id"], id, item["item_template_id"], item["qty"])
        for id, person in people.items()
        for item in person["changes"].get("items_consumed", [])
    ]
    gained = {
        (id, item["item_template_id"]): item["qty"]
        for id, person in people.items()
        for item in person["changes"].get("items_gained", [])
    }
    worn = [
        (id, key.partition(":")[2], loss)
        for id, person in people.items()
        for key, loss in person["changes"].get("durability_loss", {}).items()
    ]
    if used:
        used_up = [id for id, quantity in await db.fetch(CONSUME, *columns(used)) if quantity == 0]
        if used_up:
            await db.execute("DELETE FROM inventory WHERE id = ANY($1)", used_up)
    if gained:
        stacked = await db.fetch(STACK, *columns([(*key, qty) for key, qty in gained.items()]))
        new = [(*key, qty) for key, qty in gained.items() if key not in {tuple(row) for row in stacked}]
        if new:
            await db.executemany("INSERT INTO inventory (character_id, item_template_id, quantity) VALUES ($1, $2, $3)", new)
    if worn:
        await db.execute(WEAR, *columns(worn))


async def settle_in_database(pool, document, people):
    session, ended = document["session_id"], datetime.fromtimestamp(document["meta"]["end_timestamp"], timezone.utc)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.blake2b(text.encode(), digest_size=32).digest()
    async with pool.acquire() as db, db.transaction():
        if await db.fetchval(CLAIM, session, sorted(people), ended, text, digest):
            await change_characters(db, session, ended, people)
            await change_items(db, people)
            await db.execute("DELETE FROM session_snapshots WHERE kind = 'combat' AND session_id = $1", session)
        elif await db.fetchval("SELECT doc_hash FROM combat_history WHERE session_id = $1", session) != digest:
            raise Conflict(session)


def share(person):
    changes, report = person["changes"], person.get("ui_report", {})
    gained = [
        {**item, "name": told["name"]}
        for item, told in zip(changes.get("items_gained", []), report.get("loot_obtained", []), strict=True)
    ]
    return {
        "is_winner": person["is_winner"],
        "xp_gained": changes["xp_gained"],
        "gold_gained": changes["gold_gained"],
        "items_gained": gained,
        "damage_dealt": report.get("damage_dealt", 0),
    }


def summary(document):
    meta = document["meta"]
    return {
        "session_id": document["session_id"],
        "finish_reason": meta["finish_reason"],
        "winner_team": meta["winner_team"],
        "finished_at": datetime.fromtimestamp(meta["end_timestamp"], timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "participants": {id: share(person) for id, person in document["participants"].items()},
    }


async def end_session(cache, session, tombstone):
    async with cache.pipeline(transaction=False) as pipeline:
        pipeline.set(f"combat:result_cache:{session}", json.dumps(tombstone), px=TOMBSTONE_MS)
        pipeline.delete(f"combat:session:{session}", f"cs:{session}", f"combat:unknown:{session}")
        await pipeline.execute()


async def publish_settled(events, tombstone):
    about = {key: value for key, value in tombstone.items() if key != "participants"}
    participants = {}
    for id, result in tombstone["participants"].items():
        items = [{"item_template_id": item["item_template_id"], "qty": item["qty"]} for item in result["items_gained"]]
        participants[id] = {**about, **result, "items_gained": items}
    event = {"session_id": about["session_id"], "participants": participants, "shortfalls": []}
    message = aio_pika.Message(
        json.dumps(event).encode(),
        content_type="application/json",
        message_id="settled-" + about["session_id"],
        type="settled",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    await events.publish(message, "combat-settlement.settled", mandatory=False)  # returns when the broker has confirmed


async def main():
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=POOL, max_size=POOL)
    connections = redis.BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=POOL)
    cache = redis.Redis(connection_pool=connections)
    broker = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    publishing = await broker.channel(publisher_confirms=True)
    events = await publishing.get_exchange("game.events", ensure=False)
    consuming = await broker.channel()
    await consuming.set_qos(prefetch_count=PREFETCH)

    in_flight, stop = set(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def settle(message):
        in_flight.add(message.delivery_tag)
        try:
            document = json.loads(message.body)
            people = {int(id): person for id, person in document["participants"].items()}
            await settle_in_database(pool, document, people)
            tombstone = summary(document)
            await end_session(cache, document["session_id"], tombstone)
            await publish_settled(events, tombstone)
            await message.ack()
        except (ValueError, KeyError, LookupError, Conflict):
            logging.exception("to the dead queue")
            await message.reject(requeue=False)
        except (OSError, asyncpg.PostgresError, redis.RedisError, aio_pika.exceptions.AMQPError):
            logging.exception("back to the queue")
            await message.nack(requeue=True)
        finally:
            in_flight.remove(message.delivery_tag)

    queue = await consuming.get_queue("game.combat-settlement", ensure=False)
    consumer = await queue.consume(settle)
    await stop.wait()
    await queue.cancel(consumer)
    while in_flight:
        await asyncio.sleep(0.01)
    await broker.close()


uvloop.install()
asyncio.run(main())
