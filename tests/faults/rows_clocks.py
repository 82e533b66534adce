"""Wall clocks that are wrong: the workers', PostgreSQL's, Redis'. Monotonic time goes on as it did."""

import signal
import time
from datetime import datetime

from lib.clock import HOUR_S, Clock
from lib.wait import wait_for

from .table import row
from .world import PAIRED

OFF_FOR_S = 3


@row("clocks stepped by an hour", fired="the worker's log is an hour off")
def workers_clock(run):
    """The clock of the second worker of each service jumps an hour ahead, then an hour back, 3 s each."""
    clock = Clock(run.world.servers.folder)
    names = [name for name in run.world.of(2) if name.partition("/")[0] in PAIRED]
    for name in names:
        run.world.replace_worker(name, **clock.settings)
    for name in names:
        run.world.workers[name].wait_ready()
    fired = 0
    for seconds in (HOUR_S, -HOUR_S):
        clock.step(seconds)
        time.sleep(OFF_FOR_S)
        fired += sum(is_off(run.world.workers[name], seconds) for name in names)
    clock.step(0)
    for name in names:
        run.world.replace_worker(name)
    return fired


def is_off(worker, seconds):
    """Whether its latest log line is about so far off."""
    last = worker.logs[-1]["time"].replace("Z", "+00:00")
    return abs(datetime.fromisoformat(last).timestamp() - time.time() - seconds) < 60


@row("PostgreSQL's clock stepped by an hour", fired="clock_timestamp() is an hour off")
def postgres_clock(run):
    """PostgreSQL is started again with a clock of the tests', which jumps an hour back, and after 3 s an hour ahead again; then it is started as before."""
    clock = Clock(run.world.servers.folder)
    restart_postgres(run, **clock.settings)
    try:
        run.world.wait_recovered(time.monotonic())
        clock.step(-HOUR_S)
        time.sleep(OFF_FOR_S)
        tick = run.world.tick()
        off_s = tick.value("SELECT extract(epoch FROM clock_timestamp())::float8") - time.time()
        tick.close()
        clock.step(0)
        time.sleep(OFF_FOR_S)
    finally:
        restart_postgres(run)
    return int(abs(off_s + HOUR_S) < 60)


def restart_postgres(run, **environment):
    run.world.signal_postgres(signal.SIGINT)
    wait_for(lambda: not run.world.postgres_processes(), 30, what="PostgreSQL to end")
    run.world.servers.start("postgres", **environment)


@row("Redis's clock stepped by an hour", fired="TIME is an hour off",
     loses="requests and battles of the arena, whose time is up at the jump ahead")
def redis_clock(run):
    """Redis is started again with a clock of the tests', which jumps an hour back, and after 3 s an hour ahead again; then it is started as before."""
    clock = Clock(run.world.servers.folder)
    restart_redis(run, **clock.settings)
    try:
        run.world.wait_recovered(time.monotonic())
        began = time.time()
        clock.step(-HOUR_S)
        time.sleep(OFF_FOR_S)
        off_s = run.world.stack.redis.time()[0] - time.time()
        clock.step(0)
        run.judge.redis_was_off(began, time.time(), -HOUR_S)
        time.sleep(OFF_FOR_S)
    finally:
        restart_redis(run)
    return int(abs(off_s + HOUR_S) < 60)


def restart_redis(run, **environment):
    run.world.servers.kill("redis")
    run.world.servers.start("redis", **environment)
