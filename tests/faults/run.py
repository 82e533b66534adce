#!/usr/bin/python3
"""make faults: every row of the table on the whole fleet, in an order drawn from a seed, until the time is up; each at least once.

FAULTS_SEED       what drives load and faults; printed, so that a run can be made again: the same rows in the same order, and each row
                  draws the same numbers the nth time that it is done, also alone
FAULTS_MINUTES    go on with rows drawn by chance until so many minutes are over (default: each row once)
FAULTS_ROWS       only rows whose name contains one of these, parted by semicolons

FAULTS_ADD        set: keep what earlier runs have seen of other rows in build/faults.json
GARRISON_BIN      the folder of the binaries; default build/bin

After a row that failed, or that spoils its servers, the next is done to a new fleet on new servers.

run.py --table    what the last runs saw, from build/faults.json into docs/promises.md
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults import (  # noqa: E402, F401 # they fill the table
    rows_broker, rows_clocks, rows_http, rows_links, rows_postgres, rows_redis, rows_resources, rows_workers,
)
from faults.history import History  # noqa: E402
from faults.judge import Judge  # noqa: E402
from faults.load import Load  # noqa: E402
from faults.mutation import forgetful_settlement  # noqa: E402
from faults.report import keep, print_table, write_section  # noqa: E402
from faults.table import ROWS, Skip  # noqa: E402
from faults.world import World  # noqa: E402
from lib.servers import ROOT  # noqa: E402

WARM_UP_S = 0.7
SEEN = "build/faults.json"


class Failed(Exception):
    """A promise that did not hold, or a fault that never fired."""


class Run:
    """One fleet and one load, and row after row done to them."""

    def __init__(self, bin_dir, seed, small_disk=False):
        self.seed = seed
        self.world = World(bin_dir, small_disk)
        self.load = None
        self.amiss = True  # then the logs and the history are kept

    def __enter__(self):
        try:
            self.world.start()
            self.history = History(self.world.folder / "history.jsonl")
            self.load = Load(self.world, self.history, self.seed)
            self.judge = Judge(self.world, self.load, self.history)
            self.load.go()
            self.world.wait_recovered(time.monotonic())
            self.amiss = False
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if self.load:
            self.load.stop()
        try:
            self.world.close()
        except AssertionError as problem:
            if kind is None:
                raise Failed(f"the fleet did not end cleanly: {problem}") from None
            print(f"the fleet did not end cleanly: {problem}"[:3000])
        if self.amiss:
            print(f"the workers' logs and the history are in {self.world.folder}", flush=True)
        else:
            shutil.rmtree(self.world.folder)

    def do(self, row):
        """Load, fault, healing, quiet, verdict. Returns what was seen; raises Failed."""
        seen = {"fired": 0}
        self.rng = random.Random(f"{self.seed}-{row.name}-{len(row.seen)}")
        self.amiss = True
        first = len(self.history)
        before = self.counts()
        try:
            self.load.go()
            time.sleep(WARM_UP_S)
            seen["fired"] = row.inflict(self)
            seen["recovered_s"] = self.world.wait_recovered(time.monotonic())
            time.sleep(WARM_UP_S)
            self.load.rest()
            self.judge.drain()
            problems = self.judge.check(first, row.stopped_s)
        except Skip:
            self.amiss = False
            raise
        except AssertionError as problem:
            problems = [("I7", str(problem)[:3000])]
        if not seen["fired"]:
            problems.insert(0, ("-", "the fault never fired"))
        self.amiss = bool(problems)
        if problems:
            raise Failed(f"{row.name} (FAULTS_SEED={self.seed}):\n" + "\n".join(f"  {i}: {p}" for i, p in problems))
        self.measure(seen, before, first)
        return seen

    def counts(self):
        return {
            "redelivered": self.judge.redelivered_lines,
            "settled": self.judge.settled_lines,
            "processed": len(self.load.engine.confirmed),
            "redriven": self.judge.redriven,
        }

    def measure(self, seen, before, first):
        after = self.counts()
        seen["recovered_s"] = round(seen["recovered_s"], 2)
        seen["longest_ms"] = round(max([call["ms"] for call in self.history.of("call", first)] + [self.judge.longest_ms]))
        seen["redelivered"] = after["redelivered"] - before["redelivered"]
        fights = after["processed"] - before["processed"]
        seen["fights"] = fights
        seen["duplicates"] = max(0, after["settled"] - before["settled"] - fights)
        seen["dead"] = after["redriven"] - before["redriven"]


class Runs:
    """The fleet that row after row is done to: made anew, on new servers, once something went wrong or a row has spoiled them."""

    def __init__(self, bin_dir, seed, small_disk=False):
        self.bin_dir, self.seed, self.small_disk = bin_dir, seed, small_disk
        self.run = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.end(kind)

    def fleet(self):
        """The one there is, or a new one."""
        if not self.run:
            self.run = Run(self.bin_dir, self.seed, self.small_disk).__enter__()
        return self.run

    def do(self, work):
        """What work(run) returns."""
        run = self.fleet()
        try:
            return work(run)
        except Skip:
            raise
        except BaseException as error:
            self.end(type(error))
            raise

    def end(self, kind=None):
        run, self.run = self.run, None
        if run:
            run.__exit__(kind)


def mutation_check(run):
    """With idempotency switched off the judge must say that the sums are wrong. Nothing is right after it."""
    forgetful_settlement(run.world)
    try:
        run.do(next(row for row in ROWS if row.name.startswith("history replayed")))
    except Failed as failure:
        if "I1: character" in str(failure):
            run.amiss = False
            return
        raise Failed(f"without idempotency it failed for another reason: {failure}") from None
    raise Failed("without idempotency nothing was amiss: the judge is blind")


def schedule(rows, seed, minutes):
    """Each once in an order of chance, then any, until the time is up."""
    end = time.monotonic() + minutes * 60
    rng = random.Random(f"{seed}-order")  # of its own: what rows draw depends on how long they take
    yield from rng.sample(rows, len(rows))
    while time.monotonic() < end:
        yield rng.choice(rows)


def attempt(runs, row):
    """Does the row and notes what was seen. Whether it held."""
    runs.fleet()  # what keeps it from starting is no row's failure
    try:
        row.seen.append(runs.do(lambda run: run.do(row)))
    except Skip as reason:
        row.seen.append({"skipped": str(reason)})
    except Exception as failure:
        complain(row, runs, failure if isinstance(failure, Failed) else traceback.format_exc())
        row.seen.append({"failed": True})
        return False
    if row.spoils:
        return end_spoiled(runs, row)
    return True


def end_spoiled(runs, row):
    """Whether the fleet ended cleanly."""
    try:
        runs.end()
    except Failed as failure:
        complain(row, runs, failure)
        return False
    return True


def complain(row, runs, failure):
    """And how to see it again."""
    print(f"\nFAILED {failure}\nagain: make faults FAULTS_SEED={runs.seed} FAULTS_ROWS='{row.name}'\n", flush=True)


def main():
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(2**32))
    minutes = float(os.environ.get("FAULTS_MINUTES") or 0)
    words = os.environ.get("FAULTS_ROWS", "").split(";")
    chosen = [row for row in ROWS if any(word in row.name for word in words)]
    bin_dir = (ROOT / os.environ.get("GARRISON_BIN", "build/bin").split(":")[0]).resolve()
    print(f"FAULTS_SEED={seed}: {len(chosen)} rows", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that all is put away
    failures = 0
    began = time.monotonic()
    with Runs(bin_dir, seed, small_disk=os.geteuid() == 0 and "GARRISON_FAULTS_MOUNTS" in os.environ) as runs:
        for row in schedule(chosen, seed, minutes):
            failures += not attempt(runs, row)
            keep(ROOT / SEEN, chosen, seed, "FAULTS_ADD" in os.environ)
            print(f"{time.monotonic() - began:5.0f} s  {row.name}: {row.seen[-1]}", flush=True)
        if not failures and chosen == ROWS:
            runs.do(mutation_check)
            print("without idempotency the judge says so")
    print_table(chosen)
    return 1 if failures else 0


def with_mounts():
    """As root: the same in a mount namespace of its own, whose small disk is gone with it."""
    if os.geteuid() != 0 or "GARRISON_FAULTS_MOUNTS" in os.environ:
        return
    able = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    if able.returncode == 0:
        os.environ["GARRISON_FAULTS_MOUNTS"] = "yes"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])


if __name__ == "__main__":
    if sys.argv[1:] == ["--table"]:
        sys.exit(write_section(ROOT / "docs/promises.md", ROOT / SEEN, ROWS))
    with_mounts()
    sys.exit(main())
