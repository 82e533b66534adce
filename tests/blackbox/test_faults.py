"""The short form of make faults: the rows that matter most, done one after the other to the whole fleet under load.

Each row is an item; a row that fails ends the others, for they would be judged by what it has left. FAULTS_SEED repeats a run.
"""

import os
import random

import pytest

from faults.run import ROWS, Run, mutation_check
from faults.table import Skip
from lib.servers import ROOT

pytestmark = [
    pytest.mark.services("tick", "arena", "combat-settlement", "state-backup", "auth", "gateway", "ctl"),
    pytest.mark.timeout(300),
]
ONE_BUILD_IS_ENOUGH = True
SHORT = [row for row in ROWS if row.short]


@pytest.fixture(scope="module")
def run(build):
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(2**32))
    print(f"FAULTS_SEED={seed}")
    with Run(build, seed) as run:
        run.broken = None
        yield run


@pytest.mark.parametrize("row", SHORT, ids=lambda row: row.name.replace(" ", "_"))
def test_what_is_promised_holds(run, row, record_property):
    if run.broken:
        pytest.skip(f"after {run.broken}")
    try:
        seen = run.do(row)
    except Skip as reason:
        pytest.skip(str(reason))
    except BaseException:
        run.broken = row.name
        raise
    print(f"{row.name}: {seen}")
    for name, value in seen.items():
        record_property(name, value)


def test_without_idempotency_the_judge_says_so(run):
    """The last, for nothing is right after it."""
    if run.broken:
        pytest.skip(f"after {run.broken}")
    mutation_check(run)


def test_the_page_has_every_row():
    page = (ROOT / "docs/promises.md").read_text()
    assert [row.name for row in ROWS if f"| {row.name} |" not in page] == []
