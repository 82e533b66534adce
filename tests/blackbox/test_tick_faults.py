"""tick while workers die and stall, Redis is emptied and servers go down: no due tick lost, none credited twice.

A trigger notes every move of a session. Energy never reaches its bounds here, so that twice or never would show in it, too.
"""

import json
import os
import random
import time

import pytest

from lib.fleet import Fleet
from lib.tick import CATEGORIES, Tick
from lib.wait import wait_for

ONE_BUILD = "last"  # what takes long here is waiting for ticks that are due

pytestmark = pytest.mark.services("tick", "ctl")

SECONDS = float(os.environ.get("GARRISON_FAULT_SECONDS", "8"))
LOOT = '[{"item_template_id": "herb_sage", "weight": 1}, {"item_template_id": null, "weight": 1}]'
ENERGY = 3
VITALS = json.dumps({"hp": {"cur": 1, "max": 2}, "energy": {"cur": 0, "max": 10**9}})
NO_LIMIT = 1000  # of catching up: then every due time shows in the sums


def prepare(stack, amqp, sessions, interval_s=1):
    """Characters with live caches and sessions; returns the Tick."""
    stack.redis.flushdb()
    tick = Tick(stack, amqp)
    tick.sql("TRUNCATE characters CASCADE")
    tick.keep_ledger()
    tick.sql("TRUNCATE ledger, tick_events")
    tick.rules(energy=ENERGY, loot=LOOT)
    add_sessions(tick, sessions, interval_s)
    return tick


def add_sessions(tick, sessions, interval_s=1):
    tick.sql("INSERT INTO characters (vitals) SELECT %s FROM generate_series(1, %s)", VITALS, sessions)
    tick.sql(
        "INSERT INTO auto_sessions (player_id, active_category, started_at, last_tick_at, next_tick_at)"
        " SELECT id, (%s::text[])[1 + id %% 4], t, t, t + %s * interval '1 s'"
        " FROM characters, LATERAL (SELECT now() - id %% 10 * interval '100 ms' AS t) x",
        list(CATEGORIES), interval_s,
    )  # fmt: skip
    cache_all(tick)


def cache_all(tick):
    pipeline = tick.redis.pipeline()
    for (char_id,) in tick.sql("SELECT id FROM characters"):
        pipeline.hset(f"ac:{char_id}", mapping={"state": "idle", "bio": "{}", "vitals": VITALS})
    pipeline.execute()


def check_all(tick, interval_s=1, cached=True):
    """The ledger without a gap, every due time credited, energy in database and cache the same."""
    moves = tick.check_ledger(interval_s, NO_LIMIT)
    wrong = tick.sql(
        "SELECT player_id, ticks, last_tick_at - started_at FROM auto_sessions"
        " WHERE ticks * %s * interval '1 s' <> last_tick_at - started_at",
        interval_s,
    )
    assert not wrong, f"due times and ticks differ: {wrong[:10]}"
    wrong = tick.sql(
        "SELECT id, vitals, ticks FROM characters JOIN auto_sessions ON player_id = id"
        " WHERE (vitals #>> '{energy,cur}')::int <> ticks * %s",
        ENERGY,
    )
    assert not wrong, f"energy and ticks differ: {wrong[:10]}"
    for char_id, vitals in tick.sql("SELECT id, vitals FROM characters") if cached else ():
        live = json.loads(tick.redis.hget(f"ac:{char_id}", "vitals"))
        assert live == vitals, f"{char_id}: cache and database differ"
        assert tick.redis.sismember("dirty_accounts", char_id)
    return moves


# Workers --------------------------------------------------------------------------------------------------------------


class Faults:
    """Workers that are treated badly, for a while."""

    def __init__(self, stack, fleet, tick, kinds):
        self.stack, self.fleet, self.tick, self.kinds = stack, fleet, tick, kinds
        self.done = dict.fromkeys(kinds, 0)
        self.random = random.Random(20250101)
        self.workers = [self.start() for _ in range(3)]

    def start(self):
        return self.fleet.start("tick", tick_interval="1s", tick_catchup_max=NO_LIMIT, tick_batch_size=20, ready=False)

    def kill(self):
        number = self.random.randrange(3)
        self.workers[number].kill()
        self.workers[number] = self.start()

    def pause(self):
        worker = self.random.choice(self.workers)
        worker.pause()
        time.sleep(self.random.uniform(0.05, 1.5))
        worker.resume()

    def empty(self):
        self.stack.redis.flushdb()

    def queues(self):
        self.stack.redis.delete(*[f"tick:queue:{category}" for category in CATEGORIES])

    def terminate(self):
        self.tick.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND random() < 0.7"
        )

    def cut(self):
        self.stack.redis.client_kill_filter(_type="normal", skipme=True)

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            kind = self.random.choice(self.kinds)
            getattr(self, kind)()
            self.done[kind] += 1
            time.sleep(self.random.uniform(0, 0.4))
        assert all(self.done.values()), f"a fault never came: {self.done}"


@pytest.mark.parametrize(
    "kinds", (["kill"], ["pause"], ["empty"], ["queues"], ["terminate"], ["kill", "pause", "empty", "terminate"]),
    ids="-".join,
)  # fmt: skip
def test_every_due_time_is_credited_once(stack, fleet, amqp, kinds):
    tick = prepare(stack, amqp, 200)
    faults = Faults(stack, fleet, tick, kinds)
    faults.run(SECONDS)
    for worker in faults.workers:
        worker.wait_ready()
    wait_for(lambda: tick.overdue(1) == 0, 30, what="all that is due to be credited")
    fleet.stop()
    moves = check_all(tick, cached="empty" not in kinds)
    assert moves >= 200 * 3
    print(f"{faults.done}: {moves} moves")
    tick.close()


def blocked(tick):
    return tick.value(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )


@pytest.mark.parametrize("table", ("tick_rules", "auto_sessions", "inventory", "tick_events"))
def test_a_worker_dies_at_each_step(stack, tmp_path, amqp, table):
    """Held up by a lock, then killed: before the transaction, at its beginning, after the change of the cache, before the commit."""
    tick = prepare(stack, amqp, 8)
    tick.rules(energy=ENERGY, loot='[{"item_template_id": "herb_sage", "weight": 1}]')
    fleet = Fleet(stack, tmp_path)
    settings = {"tick_interval": "1s", "tick_catchup_max": NO_LIMIT, "tick_events": "on"}
    holder = stack.database()
    holder.autocommit = False
    for _ in range(3):
        holder.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        worker = fleet.start("tick", ready=False, **settings)
        wait_for(lambda: blocked(tick) > 0, 20, what="the worker to be held up")
        if table != "auto_sessions":  # where the scheduler is held up as well
            wait_for(lambda: not tick.redis.exists(*[f"tick:queue:{name}" for name in CATEGORIES]), what="taken ticks")
        worker.kill()
        holder.rollback()
    fleet.start("tick", **settings)
    wait_for(lambda: tick.value("SELECT min(ticks) FROM auto_sessions") > 3, 30, what="ticks")
    wait_for(lambda: tick.overdue(1) == 0, 30, what="all that is due to be credited")
    fleet.stop()
    holder.close()
    check_all(tick)
    tick.close()


def told_xp(events):
    """By character, from what has arrived; the same message id counts once."""
    xp = {}
    for body in {event.properties.message_id: event.body for event in events.all()}.values():
        for character in body["characters"]:
            xp[character["char_id"]] = xp.get(character["char_id"], 0) + character["xp"]
    return xp


def test_events_tell_of_every_tick_through_kills(stack, fleet, amqp):
    """At least once, by the same message id; of what was committed and nothing else."""
    tick = prepare(stack, amqp, 50)
    events = amqp.events("tick.completed")
    settings = {"tick_interval": "1s", "tick_catchup_max": NO_LIMIT, "tick_events": "on"}
    worker = fleet.start("tick", **settings)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(random.uniform(0.3, 1.5))
        worker.kill()
        worker = fleet.start("tick", **settings)
    wait_for(lambda: tick.overdue(1) == 0, 30, what="all that is due to be credited")
    tick.sql("DELETE FROM auto_sessions")
    wait_for(lambda: tick.value("SELECT count(*) FROM tick_events") == 0, 30, what="all events to be published")
    assert told_xp(events) == dict(tick.sql("SELECT id, xp FROM characters"))
    tick.close()


# Servers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ("postgres", "redis"))
def test_a_server_is_killed_and_comes_back(own_stack, own_fleet, server):
    tick = prepare(own_stack, None, 100)
    worker = own_fleet.start("tick", tick_interval="1s", tick_catchup_max=NO_LIMIT)
    wait_for(lambda: tick.value("SELECT min(ticks) FROM auto_sessions") >= 1, what="ticks")
    own_stack.servers.kill(server)
    wait_for(lambda: not worker.ready(), 20, what="the worker to notice")
    own_stack.servers.start(server)
    worker.wait_ready()
    if server == "postgres":
        tick.close()
        tick.database = own_stack.database()
    before = tick.value("SELECT sum(ticks) FROM auto_sessions")
    wait_for(lambda: tick.value("SELECT sum(ticks) FROM auto_sessions") > before + 100, 30, what="ticks")
    wait_for(lambda: tick.overdue(1) == 0, 30, what="all that is due to be credited")
    own_fleet.stop()
    check_all(tick, cached=server == "postgres")
    tick.close()


def test_ticks_go_on_without_a_broker_and_their_events_wait(own_stack, own_fleet):
    tick = prepare(own_stack, None, 0)
    settings = {"tick_interval": "1s", "tick_catchup_max": NO_LIMIT, "tick_events": "on"}
    worker = own_fleet.start("tick", **settings)
    own_stack.servers.kill("rabbitmq")
    wait_for(lambda: not worker.ready(), 20, what="the worker to notice")
    add_sessions(tick, 20)
    wait_for(lambda: tick.value("SELECT min(ticks) FROM auto_sessions") >= 3, 20, what="ticks")
    worker.kill()
    given = dict(tick.sql("SELECT id, xp FROM characters"))
    own_stack.servers.start("rabbitmq")
    amqp = own_stack.amqp()
    events = amqp.events("tick.completed")
    tick.sql("UPDATE auto_sessions SET next_tick_at = 'infinity'")  # no more of them
    own_fleet.start("tick", **{**settings, "tick_interval": "1000d"})
    wait_for(lambda: tick.value("SELECT count(*) FROM tick_events") == 0, 30, what="the events to be published")
    assert told_xp(events) == given
    tick.close()
    amqp.close()
