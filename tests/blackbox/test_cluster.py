"""Bigger than one machine: the whole fleet on a RabbitMQ cluster, Redis under Sentinel and PostgreSQL with a synchronous standby, under
load, while members of them are killed. What somebody outside was told of is counted, and must be there at the end.
"""

import json
import re
import threading
import time

import pika
import pytest
import requests

from lib.amqp import Amqp
from lib.cluster import Cluster, ClusterStack, broker_errors
from lib.combat import SETTLE, fight_of, part
from lib.fleet import Fleet
from lib.servers import ROOT
from lib.tick import Tick
from lib.wait import wait_for

ONE_BUILD = "first"  # what takes long here is servers
TOKEN = "operator-token-of-the-cluster-tests"
INTERVAL_S = 1
FIGHTERS, TICKERS, WAITERS = 40, 40, 20
XP, GOLD = 7, 3
WORKS_AGAIN_WITHIN_S = 30


@pytest.fixture(scope="module")
def cluster(build):
    cluster = Cluster.private()
    try:
        cluster.wait_until_up()
        stack = ClusterStack(cluster, build).create()
        with stack.database() as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE tick_rules SET energy = 0")
        yield stack
    finally:
        cluster.release()


# The load, and what it was told ---------------------------------------------------------------------------------------


class Thread(threading.Thread):
    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack = stack
        self.over = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(30)


class Fights(Thread):
    """Publishes fights one after the other; .confirmed are those that the broker has confirmed. What was not is sent again."""

    def __init__(self, stack, fighters):
        super().__init__(stack)
        self.fighters, self.confirmed = fighters, []

    def run(self):
        amqp = None
        while not self.over.is_set():
            ids = [self.fighters[(len(self.confirmed) + i) % len(self.fighters)] for i in (0, 1)]
            document = fight_of({ids[0]: part(xp=XP, gold=GOLD), ids[1]: part(winner=False, xp=XP, gold=GOLD)})
            while True:
                try:
                    amqp = amqp or self.stack.amqp()
                    amqp.publish(SETTLE, document)
                    break
                except broker_errors():
                    amqp = None
                    time.sleep(0.05)
            self.confirmed.append((document["session_id"], ids))
            self.over.wait(0.01)
        amqp.close()


class Heard(Thread):
    """Fights that the fleet has said are settled."""

    def __init__(self, stack):
        super().__init__(stack)
        self.sessions = set()
        self.ready = threading.Event()

    def run(self):
        amqp = self.stack.amqp()
        events = amqp.events("combat-settlement.settled")
        self.ready.set()
        while not self.over.is_set():
            self.sessions.update(event.body["session_id"] for event in events.all())
            self.over.wait(0.02)
        self.sessions.update(event.body["session_id"] for event in events.all())
        amqp.close()

    def __enter__(self):
        super().__enter__()
        assert self.ready.wait(10)
        return self


class Players(Thread):
    """Ask over HTTP, all the time: .answered are the moments of good answers by kind."""

    PATHS = {"tick": "/system/tick/auto-session/status?player_id=1", "arena": "/arena/queue/status?char_id=1"}

    def __init__(self, stack, url):
        super().__init__(stack)
        self.url = url
        self.answered = {kind: [] for kind in self.PATHS}
        self.codes = {}

    def run(self):
        session = requests.Session()
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        while not self.over.is_set():
            for kind, path in self.PATHS.items():
                try:
                    status = session.get(self.url + path, timeout=2).status_code
                except requests.RequestException as error:  # no player waits for longer than that
                    status = type(error).__name__
                self.codes[status] = self.codes.get(status, 0) + 1
                if status == 200:
                    self.answered[kind].append(time.monotonic())
            self.over.wait(0.02)

    def answered_since(self, moment):
        silent = [kind for kind, times in self.answered.items() if not times or times[-1] <= moment]
        assert not silent, f"no good answer of {silent}; answers in all: {self.codes}"
        return True

    def longest_gap(self, since):
        times = [[since] + [at for at in moments if at > since] for moments in self.answered.values()]
        return max(later - earlier for moments in times for earlier, later in zip(moments, moments[1:]))


class World:
    """The fleet, characters of whom each has one thing to do, and the sums that must come out."""

    SERVICES = ("tick", "tick", "combat-settlement", "combat-settlement", "arena", "state-backup", "auth", "gateway")

    def __init__(self, stack, fleet, **settings):
        self.stack = stack
        self.fleet = fleet
        settings = {
            "tick_interval": f"{INTERVAL_S}s",
            "service_token": TOKEN,
            "backup_interval": "2s",
            "retry_delays": "1s,10s",  # on a slow machine an outage lasts for some attempts
            "max_attempts": "20",
            **settings,
        }
        self.workers = [fleet.start(service, ready=False, **settings) for service in self.SERVICES]
        for worker in self.workers:
            worker.wait_ready()
        self.gateway = self.workers[-1]
        amqp = stack.amqp()
        tick = Tick(stack, amqp)
        tick.keep_ledger()
        self.fighters, self.tickers = tick.characters(FIGHTERS), tick.characters(TICKERS)
        for player in self.tickers:
            assert tick.start(player, category="trade").result["started"]
        tick.close()
        amqp.close()
        self.fights = Fights(stack, self.fighters)
        self.heard = Heard(stack)
        self.players = Players(stack, self.gateway.url)

    def sql(self, statement, *values):
        with self.stack.database() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else None

    def settled(self, sessions):
        return {
            session
            for (session,) in self.sql(
                "SELECT session_id::text FROM combat_history WHERE settlement_status = 'processed'"
                " AND session_id = ANY (%s::uuid[])",
                list(sessions),
            )
        }

    def ticks(self):
        return self.sql("SELECT coalesce(sum(ticks), 0) FROM auto_sessions")[0][0]

    @staticmethod
    def is_ready(worker):
        assert worker.ready(), worker.log_text[-1500:]
        return True

    def wait_until_it_works(self, since, timeout=WORKS_AGAIN_WITHIN_S):
        """A fight confirmed after that moment is settled, players are answered, a tick is credited: the seconds it took."""
        wait_for(lambda: self.players.answered_since(since), timeout, what="players to be answered")
        for worker in self.workers:
            wait_for(lambda: self.is_ready(worker), timeout, what=f"{worker} to be ready")  # noqa: B023
        before = len(self.fights.confirmed)
        wait_for(lambda: len(self.fights.confirmed) > before + 5, timeout, what="the broker to confirm commands")
        fight, _ = self.fights.confirmed[-1]
        wait_for(lambda: self.settled([fight]), timeout, what="a new fight to be settled")
        ticks = self.ticks()
        wait_for(lambda: self.ticks() > ticks, timeout, what="ticks to be credited")
        took = time.monotonic() - since
        assert took < timeout
        return took

    def check_connections(self):
        """No service has more than docs/cluster.md says of one process."""
        page = (ROOT / "docs/cluster.md").read_text()
        rows = re.findall(r"^\| ([a-z-]+) \| [^|]+ \| \d+ \| (\d+) \| (\d+) \|$", page, re.M)
        assert {service for service, _, _ in rows} == set(self.SERVICES)
        postgres = dict(self.sql("SELECT application_name, count(*) FROM pg_stat_activity GROUP BY 1"))
        redis = [client["name"] for client in self.stack.redis.client_list()]
        assert "garrison-tick" in postgres and "tick" in redis
        for service, of_postgres, of_redis in rows:
            n = self.SERVICES.count(service)
            assert postgres.get(f"garrison-{service}", 0) <= n * int(of_postgres), (service, postgres)
            assert redis.count(service) <= n * int(of_redis), (service, redis)

    def judge(self):
        """The load is over. Each confirmed fight is settled once, every due tick credited once, and the stores agree."""
        sessions = {session for session, _ in self.fights.confirmed}
        wait_for(lambda: sessions <= self.settled(sessions), 60, 0.5, what=f"the last of {len(sessions)} fights to be settled")
        fought = {char: 0 for char in self.fighters}
        for _, ids in self.fights.confirmed:
            for char in ids:
                fought[char] += 1
        purses = self.sql("SELECT id, xp, gold FROM characters WHERE id = ANY (%s)", self.fighters)
        assert {char: (xp, gold) for char, xp, gold in purses} == {
            char: (n * XP, n * GOLD) for char, n in fought.items()
        }
        amqp = self.stack.amqp()
        tick = Tick(self.stack, amqp)
        wait_for(lambda: tick.overdue(2) == 0, 20, what="overdue ticks to be credited")
        for player in self.tickers:
            tick.delete(player, timeout=20)
        moves = tick.check_ledger(INTERVAL_S)
        assert moves > 2 * TICKERS
        for service in ("tick", "combat-settlement", "arena", "state-backup"):
            assert amqp.depth(f"game.{service}.dead") == 0
        tick.close()
        amqp.close()
        told = json.loads(self.stack.ctl("audit", "--json", "--patience=20s", check=False).stdout)
        assert told["ok"], told
        return len(sessions), moves


@pytest.fixture
def world(cluster, tmp_path):
    fleets = []

    def start(**settings):
        fleets.append(Fleet(cluster, tmp_path))
        with cluster.database() as connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS ledger CASCADE")
            cursor.execute("DELETE FROM auto_sessions")  # of a case that failed: no ledger has their first ticks
        return World(cluster, fleets[0], **settings)

    yield start
    cluster.heal()
    for fleet in fleets:
        fleet.stop()


# RabbitMQ: three nodes ------------------------------------------------------------------------------------------------


def test_queues_have_a_member_on_each_node(cluster):
    queues = cluster.management.queues()
    quorum = [queue for queue in queues.values() if queue["type"] == "quorum"]
    assert len(quorum) == 30 and all(len(queue["members"]) == 3 for queue in quorum)
    requests_queues = [queue for queue in queues.values() if queue["name"].endswith(".rpc")]
    assert requests_queues and not any(queue["durable"] for queue in requests_queues)


def test_a_worker_declares_its_own_request_queue_and_no_other(cluster):
    """By another's key it would read what is sent to that one: passwords."""

    def refused(act):
        amqp = Amqp(cluster.users.url("tick", "amqp").split(",")[0])
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as told:
            act(amqp.channel)
        assert told.value.reply_code == 403
        amqp.close()

    refused(lambda channel: channel.queue_bind("game.tick.rpc", "game.rpc", "auth.#"))
    refused(lambda channel: channel.queue_bind("game.tick.rpc", "game.rpc", "#"))
    refused(lambda channel: channel.queue_declare("game.auth.rpc", arguments={"x-queue-type": "classic"}))
    refused(lambda channel: channel.queue_delete("game.tick"))


@pytest.mark.parametrize("which", ["leader", "connected"])
def test_a_broker_node_is_killed(cluster, world, which, record_property):
    """The one that leads the queue whose messages are under way; the one that the workers and their request queues are on."""
    leader = cluster.leader("game.combat-settlement")
    if which == "leader":
        cluster.prefer(next(node for node in cluster.living() if node != leader))
        victim = leader
    else:
        victim = cluster.leader("game.tick.rpc")
        cluster.prefer(victim)
    world = world()
    with world.fights, world.players:
        wait_for(lambda: len(world.fights.confirmed) > 100, 20)
        cluster.kill_broker(victim)
        killed_at = time.monotonic()
        took = world.wait_until_it_works(killed_at)
        if which == "leader":
            wait_for(lambda: cluster.leader("game.combat-settlement") != victim, what="another leader")
        cluster.revive_broker(victim)
        wait_for(lambda: cluster.leader("game.tick.rpc") in cluster.living(), what="the request queue")
        world.wait_until_it_works(time.monotonic())
    gap = world.players.longest_gap(killed_at - 1)
    fights, moves = world.judge()
    record_property("works_again_s", round(took, 1))
    record_property("http_gap_s", round(gap, 1))
    print(f"{which} {victim}: works again after {took:.1f} s, players waited {gap:.1f} s; {fights} fights, {moves} moves of ticks")
    print(world.players.codes)


# Redis: a primary, a replica, Sentinels -------------------------------------------------------------------------------


def cut_replication(stack, replica):
    """The replica hears nothing more, as behind a broken link, and stays a candidate for some seconds."""
    port, _ = stack.redis_members()
    stack.redis_at(replica).config_set("masterauth", "wrong")
    stack.redis_at(port).execute_command("CLIENT", "KILL", "TYPE", "replica")
    wait_for(lambda: stack.redis_at(port).info("replication")["connected_slaves"] == 0, what="the replica to be cut off")


def test_the_redis_primary_is_killed(cluster, world, record_property):
    """What came after the replica's last word is lost: it is told apart, made again, and PostgreSQL is not touched by it."""
    world = world()
    arena = cluster.amqp()

    def joins(characters):
        for char_id in characters:
            assert arena.call("arena.join_queue", {"char_id": char_id, "mode": "1v1"}).ok

    def waits(char_id):
        return arena.call("arena.get_queue_status", {"char_id": char_id}, 20).result["active"]

    waiters = apart(world, WAITERS)
    early, late = waiters[: WAITERS // 2], waiters[WAITERS // 2 :]
    for char_id in world.fighters[:10]:
        assert arena.call("state-backup.restore_full_state", {"char_id": char_id}).ok
    with world.fights, world.players:
        joins(early)
        primary, replica = cluster.redis_members()
        wait_for(lambda: cluster.redis_at(replica).exists(*[f"arena:request:{id}" for id in early]) == len(early))
        cut_replication(cluster, replica)
        joins(late)
        for char_id in world.fighters[10:20]:
            assert arena.call("state-backup.restore_full_state", {"char_id": char_id}).ok
        wait_for(lambda: len(world.fights.confirmed) > 100, 20)
        cluster.servers.kill("redis1" if primary < replica else "redis2")
        killed_at = time.monotonic()
        cluster.wait_for_promotion(primary)
        promoted_s = time.monotonic() - killed_at
        cluster.redis_at(replica).config_set("masterauth", "")
        took = world.wait_until_it_works(killed_at)
        cluster.servers.up("redis1" if primary < replica else "redis2")
    # Lost, and seen to be lost: nobody is told that he waits when he does not.
    assert all(waits(char_id) for char_id in early)
    assert not any(waits(char_id) for char_id in late)
    joins(late)
    assert all(waits(char_id) for char_id in late)
    assert cluster.redis.exists(*[f"ac:{id}" for id in world.fighters[10:20]]) == 0
    cluster.ctl("restore", "--all")
    assert cluster.redis.exists(*[f"ac:{id}" for id in world.fighters]) == len(world.fighters)
    for char_id in waiters:
        assert arena.call("arena.leave_queue", {"char_id": char_id, "mode": "1v1"}).result["left"]
    fights, moves = world.judge()
    record_property("promoted_s", round(promoted_s, 1))
    record_property("works_again_s", round(took, 1))
    print(f"promoted after {promoted_s:.1f} s, works again after {took:.1f} s; {fights} fights, {moves} moves of ticks")
    print(world.players.codes)


def apart(world, n):
    """Characters that never fit each other: each wears twice what the one before wears."""
    ids = []
    for i in range(n):
        template = f"apart_{i}"
        world.sql("INSERT INTO item_templates (id, gear_score) VALUES (%s, %s) ON CONFLICT DO NOTHING", template, 200 * 2**i)
        ids.append(world.sql("INSERT INTO characters (name) VALUES ('') RETURNING id")[0][0])
        world.sql(
            "INSERT INTO inventory (character_id, item_template_id, is_equipped, slot) VALUES (%s, %s, true, 'body')", ids[-1], template
        )
    return ids


# PostgreSQL: a primary and a synchronous standby ----------------------------------------------------------------------


def test_the_postgresql_primary_is_killed(cluster, world, record_property):
    """The standby hangs, the primary goes on for a while, and dies: what it had told nobody of may be gone, nothing else."""
    world = world(command_processing_timeout="2s")

    def timed_out():
        return any(log.get("code") == "timeout" for worker in world.workers for log in worker.logs)

    with world.fights, world.heard, world.players:
        wait_for(lambda: len(world.heard.sessions) > 100, 20)
        world.check_connections()
        cluster.servers.pause("postgres2")
        confirmed = len(world.fights.confirmed)
        wait_for(lambda: len(world.fights.confirmed) > confirmed + 200, 30)
        told = set(world.heard.sessions)
        wait_for(timed_out, 30, interval=0.5, what="workers to give up waiting for a commit")
        wait_for(lambda: len(world.fights.confirmed) > confirmed + 400, 30)
        # Nothing is called settled that only the primary has.
        assert len(world.heard.sessions) == len(told), "told of fights that the standby has not got"
        cluster.servers.kill("postgres1")
        killed_at = time.monotonic()
        cluster.servers.resume("postgres2")
        cluster.servers.promote()
        promoted_s = time.monotonic() - killed_at
        lost = told - world.settled(told)
        took = world.wait_until_it_works(killed_at)
        cluster.servers.up("postgres1")
        assert world.sql("SELECT sync_state FROM pg_stat_replication") == [("sync",)]
        world.wait_until_it_works(time.monotonic())
    assert not lost, f"{len(lost)} of {len(told)} fights that were called settled are gone"
    fights, moves = world.judge()
    assert world.heard.sessions <= world.settled(world.heard.sessions)
    record_property("works_again_s", round(took, 1))
    print(f"promoted after {promoted_s:.1f} s, works again after {took:.1f} s; {fights} fights, {moves} moves of ticks")
    print(world.players.codes)
