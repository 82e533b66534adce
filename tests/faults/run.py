#!/usr/bin/python3
"""make faults: every row of the table on the whole fleet, in an order drawn from a seed, until the time is up; each at least once.

FAULTS_SEED       what drives load and faults; printed, so that a run can be made again
FAULTS_MINUTES    go on with rows drawn by chance until so many minutes are over (default: each row once)
FAULTS_ROWS       only rows whose name contains one of these, parted by semicolons
FAULTS_ADD        set: keep what earlier runs have seen of other rows in build/faults.json
GARRISON_BIN      the folder of the binaries; default build/bin

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

from faults import rows_broker, rows_links, rows_postgres, rows_redis, rows_workers  # noqa: E402, F401 # they fill the table
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
        self.rng = random.Random(f"{seed}-faults")
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
        if not self.amiss:
            shutil.rmtree(self.world.folder)

    def do(self, row):
        """Load, fault, healing, quiet, verdict. Returns what was seen; raises Failed."""
        seen = {"fired": 0}
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


def schedule(rows, rng, minutes):
    """Each once in an order of chance, then any, until the time is up."""
    end = time.monotonic() + minutes * 60
    order = rng.sample(rows, len(rows))
    yield from order
    while time.monotonic() < end:
        yield rng.choice(rows)


def complain(failure, run):
    """And where to look."""
    print(f"\nFAILED {failure}\nthe workers' logs and the history are in {run.world.folder}\n", flush=True)


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
    with Run(bin_dir, seed, small_disk=os.geteuid() == 0 and "GARRISON_FAULTS_MOUNTS" in os.environ) as run:
        for row in schedule(chosen, run.rng, minutes):
            try:
                seen = run.do(row)
            except Skip as reason:
                row.seen.append({"skipped": str(reason)})
                print(f"{row.name}: skipped: {reason}", flush=True)
                continue
            except Failed as failure:
                failures += 1
                row.seen.append({"failed": True})
                complain(failure, run)
                break  # what follows would be judged by what this has left
            except Exception:
                failures += 1
                row.seen.append({"failed": True})
                complain(traceback.format_exc(), run)
                break
            row.seen.append(seen)
            keep(ROOT / SEEN, chosen, seed, "FAULTS_ADD" in os.environ)
            print(f"{time.monotonic() - began:5.0f} s  {row.name}: {seen}", flush=True)
        if not failures and chosen == ROWS:
            mutation_check(run)
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
