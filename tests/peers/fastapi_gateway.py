"""The start of an auto session over HTTP with FastAPI, SQLAlchemy and asyncpg: one service instead of a gateway and a worker.

    POOL=16 uvicorn fastapi_gateway:app --workers 2 --loop uvloop --http httptools --no-access-log

POOL is connections to the database, of each of the processes. The insert is one statement and commits by itself, so a start is one
round trip; the foreign key says whether there is such a character.
"""

import hmac
import os
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Optional

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import UJSONResponse
from pydantic import BaseModel, Field, conint
from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

INTERVAL = timedelta(minutes=6)
TOKEN = "Bearer " + os.environ["SERVICE_TOKEN"]
POOL = int(os.environ.get("POOL", 16))

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=POOL,
    max_overflow=0,
    isolation_level="AUTOCOMMIT",
)
sessions = Table(
    "auto_sessions",
    MetaData(),
    Column("player_id", BigInteger, primary_key=True),
    Column("active_category", Text),
    Column("started_at", DateTime(timezone=True)),
    Column("last_tick_at", DateTime(timezone=True)),
    Column("next_tick_at", DateTime(timezone=True)),
    Column("ticks", BigInteger),
    Column("total_xp", BigInteger),
    Column("total_gold", BigInteger),
    Column("total_items", BigInteger),
)
app = FastAPI()


class Category(str, Enum):
    exploration = "exploration"
    crafting = "crafting"
    trade = "trade"
    general = "general"


class Start(BaseModel):
    player_id: conint(strict=True, ge=1, le=2**53 - 1)
    active_category: Category = Field(...)


async def service_only(authorization: Optional[str] = Header(None)):
    if not hmac.compare_digest((authorization or "").encode(), TOKEN.encode()):
        raise HTTPException(401, "unauthorized")


def view(row):
    return {
        "player_id": row.player_id,
        "active_category": row.active_category,
        "started_at": row.started_at.isoformat(timespec="milliseconds"),
        "last_tick_at": row.last_tick_at.isoformat(timespec="milliseconds"),
        "next_tick_at": row.next_tick_at.isoformat(timespec="milliseconds"),
        "ticks": row.ticks,
        "totals": {"xp": row.total_xp, "gold": row.total_gold, "items": row.total_items},
    }


@app.post("/system/tick/auto-session/start", dependencies=[Depends(service_only)])
async def start(request: Start):
    now = datetime.now(timezone.utc)
    new = insert(sessions).values(
        player_id=request.player_id,
        active_category=request.active_category.value,
        started_at=now,
        last_tick_at=now,
        next_tick_at=now + INTERVAL,
    )
    async with engine.connect() as db:
        try:
            row = (await db.execute(new.on_conflict_do_nothing().returning(*sessions.c))).first()
        except IntegrityError:
            raise HTTPException(404, f"there is no character {request.player_id}") from None
        started = row is not None
        if not started:
            row = (await db.execute(select(sessions).where(sessions.c.player_id == request.player_id))).first()
    return UJSONResponse({"started": started, "session": view(row)}, 201 if started else 200)
