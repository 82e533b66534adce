"""Workers that die, stall, and are replaced."""

import time
from pathlib import Path

from lib.wait import wait_for

from .older import older_bin
from .table import Skip, row
from .world import PAIRED


@row("workers killed", fired="exit status -9", short=True)
def kill_workers(run):
    """SIGKILL to one worker of each service in turn, each just after a burst of fights, another in its place at once; two rounds, in random order."""
    fired = 0
    for number in (1, 2):
        names = run.world.of(number)
        run.rng.shuffle(names)
        for name in names:
            run.load.engine.burst(run.rng)
            fired += run.world.kill_worker(name)
            time.sleep(run.rng.uniform(0, 0.3))
    return fired


@row("both workers of a service killed at once", fired="exit status -9")
def kill_pairs(run):
    """SIGKILL to both workers of each service, others in their place after up to half a second."""
    fired = 0
    for service in run.rng.sample(PAIRED, len(PAIRED)):
        run.load.engine.burst(run.rng)
        for number in (1, 2):
            run.world.workers[f"{service}/{number}"].kill()
            fired += 1
        time.sleep(run.rng.uniform(0, 0.5))
        for number in (1, 2):
            run.world.start_worker(f"{service}/{number}")
    return fired


@row("workers restarted in turn", fired="exit status 0 after SIGTERM", short=True)
def rolling_restart(run):
    """SIGTERM to each worker, its clean end, another in its place; all of them in turn."""
    fired = 0
    for name in run.rng.sample(run.world.names, len(run.world.names)):
        run.load.engine.burst(run.rng)
        fired += run.world.replace_worker(name)
        run.world.workers[name].wait_ready()
    return fired


@row("the busy one of two paused", fired="the process is stopped (state T)", short=True, stopped_s=3)
def pause_in_turn(run):
    """SIGSTOP to the first, then the second worker of each service at once, 2.5 s each, then SIGCONT; so the other takes over."""
    fired = 0
    for number in (1, 2):
        paused = [run.world.workers[name] for name in run.world.of(number) if name.partition("/")[0] in PAIRED]
        run.load.engine.burst(run.rng)
        for worker in paused:
            worker.pause()
        time.sleep(2.5)
        fired += sum(is_stopped(worker.pid) for worker in paused)
        for worker in paused:
            worker.resume()
    return fired


def is_stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@row("workers paused past their heartbeat", fired="they connect anew, or end by their watchdog (exit status 70)", stopped_s=32)
def pause_past_heartbeat(run):
    """SIGSTOP to the second worker of each service for 32 s (heartbeat 10 s, three times over), then SIGCONT; a handler that was stopped past its hard limit ends its worker, and another is started in its place."""
    names = [name for name in run.world.of(2) if name.partition("/")[0] in PAIRED]
    paused = {name: run.world.workers[name] for name in names}
    before = {name: worker.metrics()["garrison_consumer_connects_total"] for name, worker in paused.items()}
    run.load.engine.burst(run.rng)
    for worker in paused.values():
        worker.pause()
    time.sleep(32)
    for worker in paused.values():
        worker.resume()
    for name, worker in paused.items():
        wait_for(lambda: woken(worker, before[name]), 20, what=f"{worker} to connect anew or to end")  # noqa: B023
        if not worker.running:
            worker.expect_exit = 70
            assert worker.wait() == 70, f"{worker} ended with {worker.process.returncode}"
            run.world.start_worker(name)
    return len(paused)


def woken(worker, connects):
    try:
        return not worker.running or worker.metrics()["garrison_consumer_connects_total"] > connects
    except AttributeError:  # it answers no more: it is about to end
        return False


@row("old and new version together", fired="workers of the old version that became ready")
def two_versions(run):
    """The second worker of each service, then the first too, are replaced by those of the oldest version that works with this database's schema, and then again by the new ones; 2 s between, all under load."""
    older = older_bin(PAIRED)
    if not older:
        raise Skip("no history to build an older version from")
    fired = 0
    try:
        run.world.bins = {service: older for service in PAIRED}
        for number in (2, 1):
            fired += replace_paired(run, number)
            time.sleep(2)
    finally:
        run.world.bins = {}
    for number in (2, 1):
        replace_paired(run, number)
        time.sleep(2)
    return fired


def replace_paired(run, number):
    """In turn; how many."""
    names = [f"{service}/{number}" for service in PAIRED]
    for name in names:
        run.load.engine.burst(run.rng)
        run.world.replace_worker(name)
        run.world.workers[name].wait_ready()
    return len(names)
