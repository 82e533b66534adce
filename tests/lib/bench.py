"""What every bench stands on: a part of the servers, workers, and one way to record what was measured.

    def main(bench):
        rates, bare = [], []
        for _ in range(bench.runs):
            bare.append(...)
            rates.append(...)
        bench.figure("joins with matching on", "joins/s", rates, {"the script alone": bare}, at_least=12_000)

    if __name__ == "__main__":
        run(main)

BENCH_RUNS   how often each thing is measured; default 3
BENCH_SCALE  1: the sizes of the published table; 0.02: only to see that it works
BENCH_PART   a file for the figures as JSON; the runner, tests/bench/run.py, sets it
"""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from .fleet import Fleet
from .servers import ROOT, Servers
from .stack import Stack

TOOLS = ROOT / "build/tests"


def number(value):
    """With as many digits as are worth reading."""
    digits = next((n for limit, n in ((99.95, 0), (9.995, 1), (0.0995, 2)) if abs(value) >= limit), 3)
    return f"{value:,.{digits if value else 0}f}"


def summary(values):
    """Of several runs: {"values", "median", "min", "max"}."""
    values = [float(value) for value in values]
    return {"values": values, "median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(values, ceiling):
    """The median of the runs' own ratios where each run measured both, else that of the medians."""
    if len(values) == len(ceiling):
        return statistics.median(a / b for a, b in zip(values, ceiling, strict=True))
    return statistics.median(values) / statistics.median(ceiling)


def make_figure(work, unit, values, ceilings=None, **goal):
    """One row of the table, as the JSON has it. Ceilings: {what: its values}; a ratio in the goal is to the first."""
    assert len(goal) <= 1 and goal.keys() <= {"at_least", "at_most", "ratio_at_least", "ratio_at_most"}, goal
    figure = {"work": work, "unit": unit, **summary(values), "ceilings": [], "goal": None, "reached": None}
    for what, beside in (ceilings or {}).items():
        figure["ceilings"].append({"what": what, **summary(beside), "ratio": ratio(values, beside)})
    for kind, limit in goal.items():
        value = figure["ceilings"][0]["ratio"] if kind.startswith("ratio") else figure["median"]
        figure["goal"] = {"kind": kind, "limit": limit}
        figure["reached"] = value >= limit if kind.endswith("least") else value <= limit
    return figure


class Bench:
    """Given to a bench's main: where it works, how much, and where its figures go."""

    def __init__(self, stack, log_dir):
        self.stack = stack
        self.fleet = Fleet(stack, log_dir)
        self.log_dir = Path(log_dir)
        self.runs = int(os.environ.get("BENCH_RUNS", 3))
        self.scale = float(os.environ.get("BENCH_SCALE", 1))
        self.figures = []

    def size(self, n, least=1):
        """n pieces of work, or as many of them as BENCH_SCALE says."""
        return max(int(n * self.scale), least)

    def figure(self, work, unit, values, ceilings=None, **goal):
        figure = make_figure(work, unit, values, ceilings, **goal)
        self.figures.append(figure)
        spread = f"({number(figure['min'])} to {number(figure['max'])})" if len(figure["values"]) > 1 else ""
        print(f"  {work}: {number(figure['median'])} {unit} {spread}", flush=True)
        for ceiling in figure["ceilings"]:
            print(f"    {ceiling['what']}: {number(ceiling['median'])}; {ceiling['ratio']:.2f} of it", flush=True)
        return figure


def sql(stack, *statements):
    """Each statement by itself, outside of any transaction; returns the last one's rows, or None where it gives none."""
    connection = stack.database()
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


# Other makers' tools, as ceilings ------------------------------------------------------------------------------------


def pgbench(stack, script, *words, options=""):
    """Transactions a second of a script; options: PostgreSQL's, for the connections."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        words = ["pgbench", "-n", "-M", "prepared", *map(str, words), "-f", file.name, stack.database_url]
        environment = {**os.environ, "PGOPTIONS": options}
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(re.search(r"^tps = ([\d.]+)", done.stdout, re.M)[1])


def pgbench_latencies_ms(stack, script, rate, *words):
    """From the moment when each transaction of a script was due, rate a second, to its end: sorted."""
    with tempfile.TemporaryDirectory(prefix="garrison-pgbench-") as folder:
        pgbench(stack, script, "-R", rate, "-l", f"--log-prefix={folder}/log", *words)
        # client, number, microseconds from when it was due, …
        lines = [line.split() for log in Path(folder).iterdir() for line in log.read_text().splitlines()]
    return sorted(int(line[2]) / 1000 for line in lines)


def redis_benchmark(stack, *words):
    """Commands a second."""
    words = ["redis-benchmark", "-u", stack.redis_url, "--csv", *map(str, words)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return float(done.stdout.strip().split('","')[-7])  # "command","a second",…: the command may hold anything


@contextlib.contextmanager
def bare_responder(stack, key="bare.nothing"):
    """While the block lasts, librabbitmq alone answers what comes on game.rpc with that key, which the block gets: the least
    that a request and its reply cost the broker."""
    words = [TOOLS / "bare_amqp", "respond", stack.amqp_url, f"bench.{key}", key]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as responder:
        try:
            assert responder.stdout.readline() == "ready\n", "the bare responder did not start"
            yield key
            responder.stdin.close()
            assert responder.wait(10) == 0, "the bare responder failed"
        finally:
            responder.kill()


# A bench's frame ------------------------------------------------------------------------------------------------------


def run(main):
    """Call main(bench) on the servers that GARRISON_TEST_STACK names; removes what it made there, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="garrison-bench-") as log_dir:
        stack = Stack(Servers(os.environ["GARRISON_TEST_STACK"]), ROOT / "build/bin")
        bench = Bench(stack, log_dir)
        try:
            stack.create()
            main(bench)
        finally:
            try:
                bench.fleet.stop()
            finally:
                stack.remove()
    if "BENCH_PART" in os.environ:
        Path(os.environ["BENCH_PART"]).write_text(json.dumps(bench.figures))
    sys.exit(0)
