"""Redis killed, paused, emptied, full, and its connections and scripts taken away."""

import shutil
import time

import redis

from lib.wait import wait_for

from .table import row

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
