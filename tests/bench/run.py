#!/usr/bin/python3
"""Run benches on servers of this run alone; print one table of all figures; keep them as JSON.

    run.py [--json PATH] [bench_NAME ...]    tests/bench/bench_NAME.py; default: all of them
    run.py [--json PATH] growth_1000 ...     what a piece of work costs with a thousand characters, or any other number
    run.py [--json PATH] peers_NAME ...      tests/peers/peers_NAME.py: the same work by what else one would pick
    run.py [--json PATH] sweep_NAME ...      tests/bench/sweep_NAME.py: one setting of ours at several values, why it is as it is
    run.py --table                           write what build/bench.json, growth.json and peers.json hold into docs/

The JSON, by default build/bench.json, growth.json or peers.json, may be made of pieces: a bench that is run alone replaces its own
part of the file, as long as the commit is the same. BENCH_RUNS and BENCH_SCALE are told in tests/lib/bench.py;
GARRISON_TEST_STACK names servers that are up already, for who works on a bench.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from lib import growth, machine  # noqa: E402
from lib.results import Results, goals_reached, machine_text, markdown, replace_section, text_table  # noqa: E402
from lib.servers import Servers  # noqa: E402

FOLDERS = {"bench": ROOT / "tests/bench", "peers": ROOT / "tests/peers", "sweep": ROOT / "tests/bench"}
KINDS = ("bench", "growth", "peers")
PAGE = ROOT / "docs/performance.md"
PUBLISHED = ROOT / "docs/figures"
PLOT = PUBLISHED / "growth.svg"


def kind_of(name):
    return name.partition("_")[0]


def names_of_all():
    return sorted(file.stem for file in FOLDERS["bench"].glob("bench_*.py"))


def program_of(name):
    """The file and the settings of a bench; None when there is no such bench."""
    kind, _, rest = name.partition("_")
    if kind == "growth" and rest.isdigit():
        return FOLDERS["bench"] / "growth.py", {"BENCH_POPULATION": rest}
    file = FOLDERS.get(kind, ROOT) / f"{name}.py"
    return (file, {}) if kind in FOLDERS and file.exists() else None


def run_one(name, servers):
    """One bench in a process of its own; its part of the results, or None when it failed."""
    program, settings = program_of(name)
    load, started_at, begun = os.getloadavg()[0], datetime.now(timezone.utc), time.monotonic()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        environment = {
            **os.environ,
            **settings,
            "BENCH_PART": file.name,
            "GARRISON_TEST_STACK": str(servers.folder),
            "PYTHONPATH": str(ROOT / "tests"),
        }
        done = subprocess.run([sys.executable, program], env=environment, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            return None
        figures = json.loads(Path(file.name).read_text())
    return {
        "started_at": started_at.strftime("%Y-%m-%d %H:%M UTC"),
        "load": load,
        "seconds": time.monotonic() - begun,
        "runs": int(os.environ.get("BENCH_RUNS", 3)),
        "scale": float(os.environ.get("BENCH_SCALE", 1)),
        "figures": figures,
    }


def run(names, path):
    """Exit status: 1 when a bench failed, or when something grows too fast. A goal that was not reached is told in the table."""
    given = os.environ.get("GARRISON_TEST_STACK")
    servers = Servers(given) if given else Servers.private()
    failed = []
    try:
        servers.wait_until_up()
        results = Results(machine.commit(), machine.describe(servers))
        dropped = results.keep_parts_of(path)
        if dropped:
            print(f"{path} is of commit {dropped}, this is {results.commit}: begun anew")
        for name in names:
            print(f"== {name}", flush=True)
            part = run_one(name, servers)
            if part is None:
                failed.append(name)
                continue
            results.parts[name] = part
            results.write(path)
    finally:
        servers.release()
    show(results)
    print(f"\nall of it is in {path}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed or growth.breaches(results) else 0


def show(results):
    if growth.by_work(results):
        print("\n" + growth.markdown(results))
    else:
        print(f"\n{text_table(results.figures())}\n\n{goals_reached(results.figures())}\n\n{machine_text(results)}")


def page_of(kind, results, page):
    return replace_section(page, kind, growth.markdown(results) if kind == "growth" else markdown(results))


def publish():
    """The sections of the page, and beside it the figures, of every kind that was measured."""
    for kind in KINDS:
        path = ROOT / f"build/{kind}.json"
        if not path.exists():
            continue
        results = Results.read(path)
        PAGE.write_text(page_of(kind, results, PAGE.read_text()))
        results.write(PUBLISHED / f"{kind}.json")
        if kind == "growth":
            PLOT.write_text(growth.svg(results))
    return 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.table:
        return publish()
    names = arguments.names or names_of_all()
    unknown = [name for name in names if program_of(name) is None]
    if unknown:
        parser.error(f"there is no bench {', '.join(unknown)}; there are {', '.join(names_of_all())}")
    if len({kind_of(name) for name in names}) > 1:
        parser.error("benches of different kinds are run one kind at a time")
    return run(names, arguments.json or ROOT / f"build/{kind_of(names[0])}.json")


if __name__ == "__main__":
    sys.exit(main())
