"""A worker that is started again when it ends, as an orchestrator would, and builds that only the fault tests need."""

import copy
import fcntl
import json
import os
import subprocess
import threading
from urllib.parse import urlsplit

from .fleet import Fleet
from .scenarios import SCENARIOS
from .servers import ROOT
from .wait import wait_for

SEED = int(os.environ["GARRISON_FAULT_SEED"])
ROUNDS = int(os.environ.get("GARRISON_FAULT_ROUNDS", "1"))
CRASH_BUILD = ROOT / "build/crash"
TSAN_BUILD = ROOT / "build/tsan"
PRELOADS = ROOT / "build/tests"


def make(*words):
    """make builds it before the tests; this is for pytest by hand. One at a time, for all test processes share the folder."""
    with open(ROOT / "build/faults.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", *words], cwd=ROOT, check=True, stdin=subprocess.DEVNULL, timeout=600)


def with_build(stack, folder):
    """The same servers, other binaries."""
    other = copy.copy(stack)
    other.bin_dir = folder / "bin"
    return other


def add_fixture(stack):
    """What the service of the tests' own needs on the servers."""
    stack.add_service("fixture")
    with stack.database().cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS fixture_effects (key text PRIMARY KEY, runs int NOT NULL DEFAULT 1)")


class Supervised:
    """The worker of now. The first is started with the fault in its settings; one that ends is followed by one without it."""

    def __init__(self, fleet, service, settings, fault, on_death):
        self.fleet, self.service, self.settings, self.on_death = fleet, service, settings, on_death
        self.ended = []
        self.first = self.now = fleet.start(service, ready=False, **settings, **fault)
        self._stop, self._stopped = threading.Event(), threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while not self._stop.wait(0.02):
            if not self.now.running:
                self.fleet.workers.remove(self.now)  # judged by the test
                self.ended.append(self.now)
                self.on_death(self.now)
                self.now = self.fleet.start(self.service, ready=False, **self.settings)
        self._stopped.set()
        self.now.process.wait()  # what a thread has started is killed when that thread ends

    def __call__(self):
        return self.now

    def stop(self):
        """From now on it is not started again."""
        self._stop.set()
        self._stopped.wait()


def nothing(*_):
    pass


def play(stack, folder, service, settings, fault, on_death=nothing, once_prepared=nothing):
    """Plays a service's scenario with that fault: returns the first worker, which had it. Everything has ended, and was judged.
    on_death(worker), once_prepared(scenario): what else is to be done then."""
    amqp = stack.amqp()
    fleet = Fleet(stack, folder)
    scenario = SCENARIOS[service](stack, amqp)
    supervised = None
    try:
        for helper in scenario.helpers:
            fleet.start(helper)
        scenario.prepare()
        once_prepared(scenario)
        supervised = Supervised(fleet, service, {"retry_delays": "1s", "max_attempts": 20, **scenario.settings, **settings}, fault, on_death)
        scenario.worker = supervised
        scenario.act()
        scenario.judge()
        supervised.stop()
        supervised.now.wait_ready()
        wait_for(lambda: not scenario.on_the_way(), 15, interval=0.1, what="what waits on a rung")
        fleet.stop()
        assert len(supervised.ended) <= 1, "it ended again, when nothing was done to it"
        assert not scenario.on_the_way(), f"left behind: {scenario.on_the_way()}"
        scenario.finish()
        return supervised.first
    except BaseException:
        if supervised:
            supervised.stop()
        for worker in [*(supervised.ended if supervised else ()), *fleet.workers]:
            print(worker, worker.process.poll(), worker.log_text[-3000:], sep="\n")
            worker.kill()
        raise
    finally:
        scenario.close()
        amqp.close()


def audit(stack):
    """The stores agree; the broker's topology is none of the fleet's while the tests' own service is there."""
    words = ["audit", "--json", "--section", "fights,tombstones,ticks,arena,cache"]
    told = json.loads(stack.ctl(*words, check=False).stdout)
    assert told["ok"], [item for section in told["sections"] for item in section["discrepancies"]]


def redis_port(stack):
    return urlsplit(stack.redis_url).port
