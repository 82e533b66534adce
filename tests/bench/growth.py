#!/usr/bin/python3
"""What a piece of work costs with BENCH_POPULATION characters: processor time of workers and servers together.

The work is the same at every population, in rounds where there are too few characters for it. Each character has an auto session,
four kinds of things, saved stats, and every second one a fight behind him; and so many wait in the arena.
"""

import json
import os
import random
import subprocess
import time

import pika

from bench_arena import MODE, preload
from bench_gateway import CONNECTIONS, TOKEN, start_service
from bench_settlement import document, encoded
from bench_state import fields_of
from lib.bench import ROOT, run
from lib.usage import Meter, backends_scheduled_s, resident_mib, scheduled_s
from lib.wait import wait_for

POPULATION = int(os.environ["BENCH_POPULATION"])
TICKS, FIGHTS, JOINS, SAVES = 10_000, 10_000, 5000, 10_000  # a run
IDLE_S = 4
HTTP_S = 2

# What must not have been looked at while it is loaded: foreign keys hold, and indexes are made at the end.
LOAD = f"""
SET session_replication_role = replica;
TRUNCATE characters, combat_history CASCADE;
DROP INDEX combat_history_participant_ids_idx;
INSERT INTO characters (id, name) SELECT n, 'Character ' || n FROM generate_series(1, {POPULATION}) n;
INSERT INTO character_stats (character_id, stats) SELECT n, '{{"strength": 1, "agility": 12}}' FROM generate_series(1, {POPULATION}) n;
INSERT INTO item_templates (id, gear_score) SELECT 'gear_' || n, n FROM generate_series(50, 2049) n;
INSERT INTO inventory (id, character_id, item_template_id, quantity, is_equipped, slot, durability)
	SELECT {POPULATION} * k + n, n, CASE k WHEN 0 THEN 'hp_pot_small' WHEN 1 THEN 'wolf_pelt' WHEN 2 THEN 'sword_epic'
		ELSE 'gear_' || 50 + n::bigint * 7919 % 2000 END, CASE k WHEN 0 THEN 1000000000 ELSE 1 END, k <> 1,
		(ARRAY['belt_1', NULL, 'weapon', 'body'])[k + 1], CASE k WHEN 2 THEN 2000000000 END
	FROM generate_series(1, {POPULATION}) n, generate_series(0, 3) k;
INSERT INTO auto_sessions (player_id, active_category, started_at, last_tick_at, next_tick_at)
	SELECT n, (ARRAY['exploration', 'crafting', 'trade', 'general'])[1 + n % 4], t, t, t + interval '1 day'
	FROM generate_series(1, {POPULATION}) n, LATERAL (SELECT now() - n::bigint * 7919 % 240000 * interval '1 ms' AS t) x;
INSERT INTO combat_history (session_id, participant_ids, finished_at, settlement_status, result_payload)
	SELECT gen_random_uuid(), ARRAY[n, n + 1], now() - interval '1 day', 'processed', '{{}}'
	FROM generate_series(1, {POPULATION}, 4) n;
CREATE INDEX combat_history_participant_ids_idx ON combat_history USING gin (participant_ids) WITH (gin_pending_list_limit = 64);
SET session_replication_role = origin;
"""
ALL_SERVERS = ("rabbitmq", "redis", "postgres")
INTERVAL = "1d"  # so that what is loaded is due tomorrow, and what was ticked the day after


class Town:
    """The population, and how a piece of work is measured on it."""

    def __init__(self, bench):
        self.bench, self.stack = bench, bench.stack
        self.amqp, self.database, self.redis = bench.stack.amqp(), bench.stack.database(), bench.stack.redis
        self.rng = random.Random(POPULATION)
        self.sql(LOAD)
        self.sql("VACUUM ANALYZE")

    def sql(self, statement):
        with self.database.cursor() as cursor:
            cursor.execute(statement)

    def cost_us(self, worker, work, most, prepare, done, servers):
        """Microseconds of processor time a piece. prepare(n, round) gives n pieces while the worker is held; done(so_many) tells."""
        pieces = min(self.bench.size(work, 100), most)
        rounds = max(1, self.bench.size(work, 100) // pieces)
        seconds, before = 0, done()
        for number in range(rounds):
            worker.pause()
            prepare(pieces, number)
            meter = Meter(self.stack.servers, worker, only=servers)
            worker.resume()
            wait_for(lambda: done() >= before + (number + 1) * pieces, 120, what="the work to be done")  # noqa: B023
            seconds += meter.seconds()
        return 1e6 * seconds / (pieces * rounds)

    def costs_us(self, *arguments, servers=("redis", "postgres")):
        return [self.cost_us(*arguments, servers) for _ in range(self.bench.runs)]

    def publish(self, key, bodies):
        """Onto the durable lane; returns when the broker has taken all."""
        channel = self.amqp.connection.channel()
        properties = pika.BasicProperties(type=key.partition(".")[2], delivery_mode=2, content_type="application/json")
        for body in bodies:
            channel.basic_publish("game.commands", key, body, properties)
        channel.queue_declare("game." + key.partition(".")[0], passive=True)
        channel.close()


def counter(worker, name):
    return lambda: worker.metrics().get(name, 0)


def done_counter(worker, command):
    return counter(worker, f'garrison_messages_total{{service="{worker.service}",command="{command}",lane="durable",outcome="ok"}}')


def ticks(town, bench):
    """Of a quarter of the population at most, so that the rows of a page are not all rewritten at once."""
    worker = bench.fleet.start("tick", log_level="warn", tick_interval=INTERVAL)

    def make_due(n, number):
        step = POPULATION // n
        town.sql(
            "UPDATE auto_sessions SET next_tick_at = now() - player_id % 1000 * interval '1 ms'"
            f" WHERE player_id % {step} = {number % step} AND player_id BETWEEN 1 AND {step * n}"
        )
        town.redis.delete("tick:cursor")

    advanced = counter(worker, "garrison_tick_advanced_total")
    bench.figure("a tick", "µs", town.costs_us(worker, TICKS, POPULATION // 4, make_due, advanced))
    bench.figure("memory of a tick worker", "MiB", [resident_mib(worker.pid)])
    worker.stop()


def idle_scheduler(town, bench):
    """Its own time and that of the database, to the nanosecond."""
    worker = bench.fleet.start("tick", log_level="warn", tick_interval=INTERVAL)
    time.sleep(2)
    spent = []

    def clock():
        return scheduled_s(worker.pid) + backends_scheduled_s(town.stack.servers, town.stack.name)

    for _ in range(bench.runs):
        begun, before = time.monotonic(), clock()
        time.sleep(max(1, IDLE_S * bench.scale))
        spent.append(1000 * (clock() - before) / (time.monotonic() - begun))
    bench.figure("a second of an idle scheduler", "ms", spent)
    worker.stop()


def fights(town, bench):
    worker = bench.fleet.start("combat-settlement", log_level="warn")

    def publish(n, _):
        town.publish("combat-settlement.settle_combat", [encoded(document(town.rng, POPULATION)) for _ in range(n)])

    costs = town.costs_us(worker, FIGHTS, FIGHTS, publish, done_counter(worker, "settle_combat"), servers=ALL_SERVERS)
    bench.figure("a fight settled", "µs", costs)
    worker.stop()


def joins(town, bench):
    """Each is matched at once with the nearest of all who wait; nobody sweeps meanwhile."""
    worker = bench.fleet.start("arena", log_level="warn", arena_sweep_interval="60s")
    most = max(POPULATION // 20, 100)

    def publish(n, number):
        town.redis.flushdb()
        preload(town.redis, [50 + i * 7919 % 2000 for i in range(POPULATION)])
        ids = [1 + (number * n + i) % POPULATION for i in range(n)]
        town.publish("arena.join_queue", [json.dumps({"char_id": id, "mode": MODE}).encode() for id in ids])

    costs = town.costs_us(worker, JOINS, most, publish, done_counter(worker, "join_queue"), servers=ALL_SERVERS)
    bench.figure("an arena join while all others wait", "µs", costs)
    worker.stop()
    town.redis.flushdb()


def restores(town, bench):
    """All of the population each time; what is restored last stays, for the saves."""
    worker = bench.fleet.start("state-backup", log_level="warn", backup_interval="1h")
    costs = []
    for _ in range(bench.runs if POPULATION <= 100_000 else 1):
        town.redis.flushdb()
        meter = Meter(town.stack.servers, worker, only=ALL_SERVERS)
        done = json.loads(town.stack.ctl("restore", "--all", "--json", timeout=300).stdout)
        assert done["restored"] == POPULATION, done
        costs.append(1e6 * meter.seconds() / POPULATION)
    bench.figure("a character restored", "µs", costs)
    worker.stop()


def saves(town, bench):
    """As with ticks, not of all at once."""
    worker = bench.fleet.start("state-backup", log_level="warn", backup_interval="50ms")

    def mark(n, number):
        step = POPULATION // n
        ids = range(1 + number % step, POPULATION + 1, step)[:n]
        with town.redis.pipeline(transaction=False) as pipeline:
            for id in ids:
                pipeline.hset(f"ac:{id}", mapping=fields_of(id, number))
            pipeline.execute()
        for first in range(0, n, 10000):
            town.redis.sadd("dirty_accounts", *ids[first : first + 10000])

    bench.figure("a character saved", "µs", town.costs_us(worker, SAVES, POPULATION // 4, mark, counter(worker, "garrison_backup_saved_total")))
    worker.stop()


def http(town, bench):
    tick, gateway, url = start_service(bench, tick_interval=INTERVAL)
    costs = []
    for seconds in [1] + [HTTP_S] * bench.runs:
        meter = Meter(town.stack.servers, tick, gateway)
        done = subprocess.run(
            ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", ROOT / "tests/bench/start_stop.lua", url],
            env={**os.environ, "POPULATION": str(POPULATION), "TOKEN": TOKEN}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        summary = json.loads(done.stdout.strip().splitlines()[-1])
        assert summary["errors"] == 0, summary
        costs.append(1e6 * meter.seconds() / summary["requests"])
    bench.figure("an auto session started or ended over HTTP", "µs", costs[1:])  # the first second warms up


def main(bench):
    town = Town(bench)
    for measure in (ticks, idle_scheduler, fights, joins, restores, saves, http):
        measure(town, bench)
    town.amqp.close()


if __name__ == "__main__":
    run(main)
