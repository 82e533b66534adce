#!/usr/bin/python3
"""Ticks by an asyncio chain: a scheduler fills a Redis list of each category, a consumer of each list credits what it takes.

    BATCH=100 CONSUMERS=1 asyncio_tick.py

SQLAlchemy with asyncpg, redis-py, uvloop. BATCH ticks are one transaction; with 1 each tick is its own. CONSUMERS of each list run in
each process; of several processes one schedules. The due time in the list is the fence: a session that has moved since is left alone.
"""

import asyncio
import os
import random
import time
import uuid
from datetime import datetime, timedelta, timezone

import redis.asyncio as redis
import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

CATEGORIES = ("exploration", "crafting", "trade", "general")
INTERVAL = timedelta(minutes=6)
BATCH = int(os.environ.get("BATCH", 100))
PAGE = 1000
QUEUED_MAX = 10_000
LEASE_S = 5

DUE = text("""
SELECT player_id, active_category, next_tick_at FROM auto_sessions
WHERE next_tick_at <= now() AND (next_tick_at, player_id) > (:due, :id) ORDER BY next_tick_at, player_id LIMIT :page
""")
RULES = text("SELECT weight, xp_min, xp_max, gold_min, gold_max FROM tick_rules WHERE category = :category")
LOCK = text("""
SELECT s.player_id, s.started_at, s.next_tick_at FROM auto_sessions s JOIN characters c ON c.id = s.player_id
WHERE s.player_id = ANY(:ids) AND s.active_category = :category ORDER BY s.player_id FOR NO KEY UPDATE
""")
MOVE = text("""
UPDATE auto_sessions SET last_tick_at = :last, next_tick_at = :next, ticks = ticks + 1, total_xp = total_xp + :xp,
	total_gold = total_gold + :gold WHERE player_id = :id
""")
CREDIT = text("UPDATE characters SET xp = xp + :xp, gold = gold + :gold, updated_at = now() WHERE id = :id")


async def schedule(engine, cache):
    """Each due time goes into its list once; after a restart once more, which the fence takes care of."""
    last = {"due": datetime(1970, 1, 1, tzinfo=timezone.utc), "id": 0}
    me = str(uuid.uuid4()).encode()
    while True:
        if not await cache.set("tick:scheduler", me, nx=True, ex=LEASE_S) and await cache.get("tick:scheduler") != me:
            await asyncio.sleep(1)
            continue
        await cache.expire("tick:scheduler", LEASE_S)
        async with engine.connect() as db:
            found = (await db.execute(DUE, {**last, "page": PAGE})).all()
        entries = {category: [] for category in CATEGORIES}
        for row in found:
            entries[row.active_category].append(f"{row.player_id}:{row.next_tick_at.timestamp()!r}")
        async with cache.pipeline(transaction=False) as pipeline:
            for category, values in entries.items():
                if values:
                    pipeline.rpush(f"tick:queue:{category}", *values)
            await pipeline.execute()
        if found:
            last = {"due": found[-1].next_tick_at, "id": found[-1].player_id}
        while sum([await cache.llen(f"tick:queue:{category}") for category in CATEGORIES]) > QUEUED_MAX:
            await asyncio.sleep(0.01)
        if len(found) < PAGE:
            await asyncio.sleep(0.1)


async def credit(engine, category, rules, dues):
    moves = []
    async with engine.begin() as db:
        locked = (await db.execute(LOCK, {"ids": list(dues), "category": category})).all()
        now = datetime.now(timezone.utc)
        for row in locked:
            if row.next_tick_at.timestamp() != dues[row.player_id]:
                continue
            rule = random.choices(rules, [rule.weight for rule in rules])[0]
            passed = (now - row.started_at) // INTERVAL
            moves.append(
                {
                    "id": row.player_id,
                    "last": row.next_tick_at,
                    "next": row.started_at + (passed + 1) * INTERVAL,
                    "xp": random.randint(rule.xp_min, rule.xp_max),
                    "gold": random.randint(rule.gold_min, rule.gold_max),
                }
            )
        if moves:
            await db.execute(MOVE, moves)  # asyncpg pipelines these
            await db.execute(CREDIT, [{name: move[name] for name in ("id", "xp", "gold")} for move in moves])


async def consume(engine, cache, category):
    rules, read_at = None, 0
    while True:
        if time.monotonic() - read_at > 1:
            async with engine.connect() as db:
                rules = (await db.execute(RULES, {"category": category})).all()
            read_at = time.monotonic()
        entries = await cache.lpop(f"tick:queue:{category}", BATCH)
        if not entries:
            await asyncio.sleep(0.05)
            continue
        dues = {}
        for entry in entries:
            id, due = entry.decode().split(":")
            dues[int(id)] = float(due)
        await credit(engine, category, rules, dues)


async def main():
    engine = create_async_engine(
        os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"), pool_size=16, max_overflow=0
    )
    cache = redis.Redis.from_url(os.environ["REDIS_URL"])
    consumers = int(os.environ.get("CONSUMERS", 1))
    chain = [consume(engine, cache, category) for category in CATEGORIES for _ in range(consumers)]
    await asyncio.gather(schedule(engine, cache), *chain)


uvloop.install()
asyncio.run(main())
