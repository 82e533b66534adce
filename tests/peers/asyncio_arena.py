#!/usr/bin/python3
"""The arena with aio-pika, asyncpg and redis-py: a join looks for the nearest who waits, and waits itself if there is none.

    PREFETCH=64 POOL=16 CLAIM=naive asyncio_arena.py

CLAIM=naive     read who waits, choose, remove the opponent, write the battle: the way it is written first
CLAIM=checked   the opponent counts only for whoever's ZREM removed him, else the search begins again

Takes Garrison's own queue and messages; acks when the battle's events are confirmed. uvloop. One process uses one core; run several.
"""

import asyncio
import json
import logging
import os
import signal
import time
import uuid

import aio_pika
import asyncpg
import redis.asyncio as redis
import uvloop

PREFETCH = int(os.environ.get("PREFETCH", 64))
POOL = int(os.environ.get("POOL", 16))
CHECKED = os.environ.get("CLAIM", "naive") == "checked"
MODES = ("1v1", "ranked")
RANGE = 0.15
REQUEST_S, BATTLE_S = 300, 900

GEAR = """
SELECT coalesce(sum(t.gear_score), 0)::bigint FROM characters c LEFT JOIN inventory i ON i.character_id = c.id AND i.is_equipped
LEFT JOIN item_templates t ON t.id = i.item_template_id WHERE c.id = $1 GROUP BY c.id
"""


class Refused(Exception):
    pass


async def find_opponent(cache, queue, score):
    """Whose score lies within 15 % of ours, or ours within 15 % of his: the nearest; and his score."""
    while True:
        waiting = await cache.zrangebyscore(queue, score * (1 - RANGE), score / (1 - RANGE), withscores=True)
        if not waiting:
            return None, 0
        other, other_score = min(waiting, key=lambda found: abs(found[1] - score))
        removed = await cache.zrem(queue, other)
        if removed or not CHECKED:
            return int(other), int(other_score)


async def publish(events, key, body):
    message = aio_pika.Message(
        json.dumps(body).encode(), content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
    )
    await events.publish(message, key, mandatory=False)  # returns when the broker has confirmed


async def begin_battle(cache, events, mode, one, other):
    session = str(uuid.uuid4())
    battle = {
        "session_id": session,
        "mode": mode,
        "participants": [{"char_id": id, "gear_score": score} for id, score in (one, other)],
        "matched_at": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
    }
    async with cache.pipeline(transaction=True) as pipeline:
        pipeline.set(f"arena:battle:{session}", json.dumps(battle), ex=BATTLE_S)
        for id, _ in (one, other):
            pipeline.set(f"arena:match:{id}", session, ex=BATTLE_S)
        pipeline.delete(f"arena:request:{other[0]}")
        await pipeline.execute()
    told = [publish(events, "arena.battle_created", battle)]
    for (id, _), (opponent, _) in ((one, other), (other, one)):
        told.append(
            publish(events, "arena.match_found", {"char_id": id, "opponent_id": opponent, "session_id": session})
        )
    await asyncio.gather(*told)


async def join(pool, cache, events, char_id, mode):
    if mode not in MODES:
        raise Refused("there is no such mode")
    score = await pool.fetchval(GEAR, char_id)
    if score is None:
        raise Refused("there is no such character")
    score = score or 100
    async with cache.pipeline(transaction=False) as pipeline:
        pipeline.hget(f"arena:request:{char_id}", "mode")
        pipeline.get(f"arena:match:{char_id}")
        active, match = await pipeline.execute()
    if match or (active and active.decode() != mode):
        raise Refused("in an unfinished match, or in another queue")
    if active:
        return
    queue = f"arena:queue:{mode}"
    other, other_score = await find_opponent(cache, queue, score)
    if other is not None:
        await begin_battle(cache, events, mode, (char_id, score), (other, other_score))
        return
    async with cache.pipeline(transaction=True) as pipeline:
        pipeline.hset(
            f"arena:request:{char_id}", mapping={"mode": mode, "gear_score": score, "created_at": time.time()}
        )
        pipeline.expire(f"arena:request:{char_id}", REQUEST_S)
        pipeline.zadd(queue, {char_id: score})
        await pipeline.execute()


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

    async def take(message):
        in_flight.add(message.delivery_tag)
        try:
            body = json.loads(message.body)
            await join(pool, cache, events, body["char_id"], body["mode"])
            await message.ack()
        except (ValueError, KeyError, Refused):
            logging.exception("to the dead queue")
            await message.reject(requeue=False)
        except (OSError, asyncpg.PostgresError, redis.RedisError, aio_pika.exceptions.AMQPError):
            logging.exception("back to the queue")
            await message.nack(requeue=True)
        finally:
            in_flight.remove(message.delivery_tag)

    queue = await consuming.get_queue("game.arena", ensure=False)
    consumer = await queue.consume(take)
    await stop.wait()
    await queue.cancel(consumer)
    while in_flight:
        await asyncio.sleep(0.01)
    await broker.close()


uvloop.install()
asyncio.run(main())
