"""Workers that may take no descriptor or no memory more."""

import resource
import time
from pathlib import Path

from .table import row

MIB = 1 << 20
LARGE = 900_000  # more than an allocator has lying about


def limit(worker, what, amount=None):
    """None: as much as it likes."""
    _, hard = resource.prlimit(worker.pid, what)
    resource.prlimit(worker.pid, what, (hard if amount is None else amount, hard))


def virtual_bytes(worker):
    return int(Path(f"/proc/{worker.pid}/statm").read_text().split()[0]) * resource.getpagesize()


@row("descriptors short", fired="'Too many open files' in the workers' logs")
def descriptors_short(run):
    """The second worker of each service, auth and the gateway may open no descriptor more (RLIMIT_NOFILE) when their connections are reset, for 4 s; then they may again."""
    workers = [run.world.workers[name] for name in run.world.of(2)]

    def told():
        return sum(worker.log_text.count("Too many open files") for worker in workers)

    before = told()
    for worker in workers:
        limit(worker, resource.RLIMIT_NOFILE, 3)
    try:
        for proxy in run.world.proxies.values():
            proxy.cut("rst")
        time.sleep(4)
    finally:
        for worker in workers:
            limit(worker, resource.RLIMIT_NOFILE)
    return told() - before


@row("memory short", fired="workers that ended for want of it, and said so")
def memory_short(run):
    """The second worker of each service may have 1 MiB more than it has (RLIMIT_AS), and fights of 900 KB come in; who ends (exit status 70, or abort) is followed by another that may have what it likes; 5 s."""
    names = [name for name in run.world.of(2) if name != "gateway/2"]
    fired = 0
    for name in names:
        worker = run.world.workers[name]
        limit(worker, resource.RLIMIT_AS, virtual_bytes(worker) + MIB)
    run.load.engine.burst(run.rng, 10, pad=LARGE)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        for name in names:
            fired += replace_ended(run, name)
        time.sleep(0.05)
    for name in names:
        worker = run.world.workers[name]
        if worker.running:
            limit(worker, resource.RLIMIT_AS)
    return fired


def replace_ended(run, name):
    """Whether there was need to."""
    worker = run.world.workers[name]
    if worker.running:
        return False
    assert worker.process.returncode in (70, -6), f"{worker} ended with {worker.process.returncode}: {worker.log_text[-2000:]}"
    assert "memory" in worker.log_text, worker.log_text[-2000:]
    run.world.fleet.workers.remove(worker)  # its last words are no log line
    run.world.start_worker(name)
    return True
