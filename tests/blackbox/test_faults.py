"""The short form of make faults: the rows that matter most, done one after the other to the whole fleet under load.

Each row is an item. After one that fails, the next begins with a new fleet on new servers. FAULTS_SEED repeats a run.
"""

import os
import random
import sys

import pytest

from faults import run
from faults.run import ROWS, Runs, mutation_check
from faults.table import Row, Skip
from lib.servers import ROOT

pytestmark = [
    pytest.mark.services("tick", "arena", "combat-settlement", "state-backup", "auth", "gateway", "ctl"),
    pytest.mark.timeout(300),
]
ONE_BUILD = "first"
SHORT = [row for row in ROWS if row.short]


@pytest.fixture(scope="module")
def runs(build):
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(2**32))
    with Runs(build, seed) as runs:
        yield runs


@pytest.mark.parametrize("row", SHORT, ids=lambda row: row.name.replace(" ", "_"))
def test_what_is_promised_holds(runs, row, record_property):
    print(f"FAULTS_SEED={runs.seed}")
    try:
        seen = runs.do(lambda fleet: fleet.do(row))
    except Skip as reason:
        pytest.skip(str(reason))
    print(f"{row.name}: {seen}", file=sys.stderr)
    for name, value in seen.items():
        record_property(name, value)


def test_without_idempotency_the_judge_says_so(runs):
    """The last, for nothing is right after it."""
    runs.do(mutation_check)
    runs.end()


# The runner ---------------------------------------------------------------------------------------------------------------


class Stub:
    """A fleet that is none."""

    made = []

    def __init__(self, *_):
        self.ended = False
        self.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True

    def do(self, row):
        return row.inflict(self)


def test_a_row_that_fails_does_not_end_the_run(monkeypatch, capsys):
    """The next is done to a new fleet; and what failed can be done again."""
    monkeypatch.setattr(run, "Run", Stub)
    Stub.made.clear()
    seen = []

    def fails(_):
        raise run.Failed("as told")

    holds = Row("holds", lambda fleet: seen.append(fleet) or {"fired": 1}, "", "", "", "", False, 0)
    broken = Row("broken", fails, "", "", "", "", False, 0)
    with Runs("bin", 7) as runs:
        assert [run.attempt(runs, row) for row in (holds, broken, holds, holds)] == [True, False, True, True]
    assert len(Stub.made) == 2 and all(fleet.ended for fleet in Stub.made)
    assert seen == [Stub.made[0], Stub.made[1], Stub.made[1]]
    assert broken.seen == [{"failed": True}] and holds.seen == [{"fired": 1}] * 3
    assert "FAULTS_SEED=7 FAULTS_ROWS='broken'" in capsys.readouterr().out


def test_after_a_row_that_spoils_its_servers_there_are_new_ones(monkeypatch):
    monkeypatch.setattr(run, "Run", Stub)
    Stub.made.clear()
    seen = []
    holds = Row("holds", lambda fleet: seen.append(fleet) or {"fired": 1}, "", "", "", "", False, 0)
    spoils = Row("spoils", holds.inflict, "", "", "", "", False, 0, spoils=True)
    with Runs("bin", 7) as runs:
        assert all(run.attempt(runs, row) for row in (holds, spoils, holds))
    assert seen == [Stub.made[0], Stub.made[0], Stub.made[1]]
    assert len(Stub.made) == 2 and all(fleet.ended for fleet in Stub.made)


def test_a_seed_is_an_order_of_all_rows():
    first, again, other = ([row.name for row in run.schedule(ROWS, seed, 0)] for seed in (7, 7, 8))
    assert first == again != other
    assert sorted(first) == sorted(row.name for row in ROWS)


def test_the_page_has_every_row():
    page = (ROOT / "docs/promises.md").read_text()
    assert [row.name for row in ROWS if f"| {row.name} |" not in page] == []
