"""The same start as fastapi_gateway.py, as the libraries' own tutorials would have it: mapped classes, a session and a transaction for
each request, a response model.

    POOL=16 uvicorn fastapi_orm_gateway:app --workers 2 --loop uvloop --http httptools --no-access-log
"""

import os
from datetime import datetime, timezone

from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi_gateway import INTERVAL, POOL, Category, Start, service_only
from pydantic import BaseModel
from sqlalchemy import BigInteger, Column, DateTime, Text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import declarative_base, sessionmaker

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"), pool_size=POOL, max_overflow=0
)
new_session = sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
Base = declarative_base()
app = FastAPI()


class Character(Base):
    __tablename__ = "characters"
    id = Column(BigInteger, primary_key=True)


class AutoSession(Base):
    __tablename__ = "auto_sessions"
    player_id = Column(BigInteger, primary_key=True)
    active_category = Column(Text)
    started_at = Column(DateTime(timezone=True))
    last_tick_at = Column(DateTime(timezone=True))
    next_tick_at = Column(DateTime(timezone=True))
    ticks = Column(BigInteger)
    total_xp = Column(BigInteger)
    total_gold = Column(BigInteger)
    total_items = Column(BigInteger)


class Totals(BaseModel):
    xp: int
    gold: int
    items: int


class SessionView(BaseModel):
    player_id: int
    active_category: Category
    started_at: datetime
    last_tick_at: datetime
    next_tick_at: datetime
    ticks: int
    totals: Totals


class Started(BaseModel):
    started: bool
    session: SessionView


async def database():
    async with new_session() as session, session.begin():
        yield session


def view(row):
    totals = Totals(xp=row.total_xp, gold=row.total_gold, items=row.total_items)
    same = {name: getattr(row, name) for name in SessionView.__fields__ if name != "totals"}
    return SessionView(**same, totals=totals)


@app.post(
    "/system/tick/auto-session/start", response_model=Started, status_code=201, dependencies=[Depends(service_only)]
)
async def start(request: Start, response: Response, db: AsyncSession = Depends(database)):
    if await db.get(Character, request.player_id) is None:
        raise HTTPException(404, f"there is no character {request.player_id}")
    now = datetime.now(timezone.utc)
    new = insert(AutoSession).values(
        player_id=request.player_id,
        active_category=request.active_category.value,
        started_at=now,
        last_tick_at=now,
        next_tick_at=now + INTERVAL,
    )
    started = (await db.execute(new.on_conflict_do_nothing())).rowcount == 1
    row = await db.get(AutoSession, request.player_id)
    if not started:
        response.status_code = 200
    return Started(started=started, session=view(row))
