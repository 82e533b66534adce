"""Redis killed, paused, emptied, full, and its connections and scripts taken away."""

import shutil
import subprocess
import threading
import time

import redis

from lib.fleet import free_address
from lib.proxy import Proxy
from lib.wait import wait_for

from .table import row

UNHEARD = "what Redis has confirmed while its replica lagged: vitals, state, location, contexts; requests and battles of the arena"
FORGOTTEN = "vitals, state, location and contexts since the last backup; requests and battles of the arena"


@row("Redis killed", fired="a worker is not ready", short=True)
def redis_killed(run):
    """kill -9 of Redis under load, then its start with its append-only file."""
    run.load.engine.burst(run.rng)
    run.world.servers.kill("redis")
    wait_for(lambda: not all(worker.ready() for worker in run.world.workers.values()), 20, what="workers to notice")
    run.world.servers.start("redis")
    return 1


@row("Redis paused", fired="a worker is not ready")
def redis_paused(run):
    """SIGSTOP to Redis until workers notice and 3 s more, then SIGCONT."""
    run.world.servers.pause("redis")
    try:
        wait_for(lambda: not all(worker.ready() for worker in run.world.workers.values()), 30, what="workers to notice")
        time.sleep(3)
    finally:
        run.world.servers.resume("redis")
    return 1


@row("CLIENT PAUSE", fired="a PING of our own waits as long")
def client_pause(run):
    """CLIENT PAUSE 2000 ALL, twice."""
    fired = 0
    for _ in range(2):
        run.world.stack.redis.execute_command("CLIENT", "PAUSE", "2000", "ALL")
        began = time.monotonic()
        run.world.stack.redis.ping()
        fired += time.monotonic() - began > 1.5
    return fired


@row("connections to Redis killed, scripts flushed", fired="clients killed, as Redis counts them", short=True)
def connections_killed(run):
    """CLIENT KILL TYPE normal and SCRIPT FLUSH, 20 times in 2 s."""
    fired = 0
    for _ in range(20):
        fired += run.world.stack.redis.client_kill_filter(_type="normal", skipme=True)
        run.world.stack.redis.script_flush()
        time.sleep(run.rng.uniform(0, 0.2))
    return fired


@row("Redis out of memory", fired="a write of our own is refused (OOM)", short=True)
def out_of_memory(run):
    """CONFIG SET maxmemory 1mb for 4 s with noeviction: whatever writes is refused."""
    fired = 0
    run.world.stack.redis.config_set("maxmemory", "1mb")
    try:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            try:
                run.world.stack.redis.set("faults:probe", "x")
            except redis.ResponseError as error:
                fired += "OOM" in str(error)
            time.sleep(0.2)
    finally:
        run.world.stack.redis.config_set("maxmemory", "0")
        run.world.stack.redis.delete("faults:probe")
    return fired


@row("Redis emptied", fired="DBSIZE is 0", loses=FORGOTTEN, short=True)
def emptied(run):
    """FLUSHALL, twice in mid-load; garrisonctl restore --all after each."""
    for _ in range(2):
        run.judge.emptied_at.append(time.time())
        with run.world.stack.redis.pipeline(transaction=True) as both:
            both.flushall()
            both.dbsize()
            assert both.execute()[1] == 0
        forget(run)
        run.world.stack.ctl("restore", "--all", timeout=120)
        time.sleep(1)
    return 2


@row("Redis back empty", fired="DBSIZE is 0 after the start", loses=FORGOTTEN)
def back_empty(run):
    """kill -9, its append-only file deleted, start; then garrisonctl restore --all."""
    run.world.servers.kill("redis")
    run.judge.emptied_at.append(time.time())
    shutil.rmtree(run.world.servers.folder / "redis" / "appendonlydir")
    run.world.servers.start("redis")
    forget(run)
    run.world.wait_recovered(time.monotonic())
    run.world.stack.ctl("restore", "--all", timeout=120)
    return 1


def forget(run):
    """What Redis has confirmed so far may be gone."""
    run.judge.emptied_at.append(time.time())
    run.load.walkers.forget()


# A replica ----------------------------------------------------------------------------------------------------------------


class Replica:
    """Of the world's Redis, by way of a link of its own; it can take the primary's place."""

    def __init__(self, run):
        self.servers = run.world.servers
        self.folder = self.servers.folder / "redis"
        self.primary = run.world.redis()
        self.primary.config_set("repl-diskless-sync-delay", 0)
        self.address = self.servers.url("REDIS_URL")
        self.link = Proxy(self.address)
        host, _, port = free_address().partition(":")
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "redis-server", "--bind", host, "--port", port, "--dir", self.folder,
             "--replicaof", host, self.link.url.rpartition(":")[2].partition("/")[0], "--databases", "512",
             "--appendonly", "no", "--save", "", "--dbfilename", "replica.rdb", "--aclfile", self.folder / "users.acl"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        threading.Thread(target=self.process.wait, daemon=True).start()  # whoever ends it looks whether it is gone
        self.redis = redis.Redis(host=host, port=int(port), socket_timeout=5)
        wait_for(self.in_step, 20, what="the replica to be in step")

    def in_step(self):
        try:
            return self.redis.info("replication")["master_link_status"] == "up"
        except redis.RedisError:
            return False

    def lag(self):
        """Bytes of the primary's stream that it has not heard."""
        return self.primary.info("replication")["master_repl_offset"] - self.redis.info("replication")["slave_repl_offset"]

    def take_over(self):
        """The primary is dead: the replica becomes one, keeps its data in its place, and gets its address."""
        self.redis.replicaof("NO", "ONE")
        shutil.rmtree(self.folder / "appendonlydir")
        self.redis.config_set("appendonly", "yes")
        (self.folder / "pid").write_text(f"{self.process.pid}\n")
        port = self.address.rpartition(":")[2].partition("/")[0]

        def moved():
            try:
                return self.redis.config_set("port", port)
            except redis.ResponseError:  # the dead one has it yet
                return False

        wait_for(moved, 10, what="the address to be free")

    def end(self, promoted):
        self.link.__exit__()
        if not promoted:
            self.process.kill()


@row("lagging replica of Redis promoted", fired="bytes that the replica had not heard", loses=UNHEARD)
def replica_promoted(run):
    """A replica hears nothing for 1.5 s of load; kill -9 of the primary, REPLICAOF NO ONE, and the replica gets its address; then restore_full_state with force for each context that is older than the database now."""
    replica, promoted = Replica(run), False
    try:
        replica.link.freeze()
        run.load.engine.burst(run.rng)
        time.sleep(1.5)
        fired = replica.lag()
        run.world.servers.kill("redis")
        forget(run)
        replica.take_over()
        promoted = True
    finally:
        replica.end(promoted)
    run.world.wait_recovered(time.monotonic())
    restore_by_force(run)
    run.load.walkers.forget()
    return fired


def restore_by_force(run):
    """From PostgreSQL, be the context live or not."""
    amqp = run.world.stack.amqp()
    for key in run.world.stack.redis.scan_iter("ac:*"):
        amqp.call("state-backup.restore_full_state", {"char_id": int(key.removeprefix("ac:")), "force": True})
    amqp.close()
