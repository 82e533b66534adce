"""A worker that dies at each step between a delivery and its ack: everything is done in the end, and what has a key once.

The steps are read out of the source (crash_point("...")), so that a new one is tested, and one that is not reached fails.
"""

import copy
import re
import subprocess

import pytest

from lib.fleet import Fleet
from lib.load import EFFECTS, effects
from lib.servers import ROOT
from lib.wait import wait_for

SITES = sorted(
    site
    for folder in ("common", "services")
    for file in (ROOT / folder).rglob("*.c")
    for site in re.findall(r'\bcrash_point\("(\w+)"\)', file.read_text())
)
ONE_BUILD_IS_ENOUGH = True
BUILD = ROOT / "build/crash"
MESSAGES = 10


@pytest.fixture(scope="module")
def crashing(stack):
    """The same servers, and a worker that can be told where to die."""
    subprocess.run(
        ["make", "-s", f"OUT={BUILD}", "EXTRA_CFLAGS=-DGARRISON_CRASH_POINTS", f"{BUILD}/tests/garrison-fixture"],
        cwd=ROOT,
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=170,
    )
    stack.add_service("fixture")
    with stack.database().cursor() as cursor:
        cursor.execute("CREATE TABLE fixture_effects (key text PRIMARY KEY, runs int NOT NULL DEFAULT 1)")
    crashing = copy.copy(stack)
    crashing.bin_dir = BUILD / "bin"
    return crashing


@pytest.fixture
def crash_fleet(crashing, tmp_path):
    fleet = Fleet(crashing, tmp_path)
    yield fleet
    fleet.stop()


def test_the_points_have_names_of_their_own():
    assert len(SITES) >= 10 and len(set(SITES)) == len(SITES)


@pytest.mark.parametrize("n", [1, 6])
@pytest.mark.parametrize("site", SITES)
def test_a_death_there_loses_nothing(crashing, crash_fleet, amqp, redis, sql, site, n):
    redis.delete(EFFECTS)
    sql("TRUNCATE fixture_effects")
    events = amqp.events("fixture.emitted")
    dying = crash_fleet.start("fixture", ready=False, crash_at=f"{site}:{n}")
    dying.expect_exit = -9
    for i in range(MESSAGES):
        amqp.publish("fixture.note", {"key": f"note-{i}"}, message_id=f"note-{i}")
        amqp.publish("fixture.record", {"key": f"record-{i}"}, message_id=f"record-{i}")
        amqp.publish("fixture.emit", {"n": 2}, message_id=f"emit-{i}")
        amqp.publish("fixture.settle", {"key": f"again-{i}", "fail_attempts": 1}, message_id=f"again-{i}")
    assert dying.wait(10) == -9, "it was not reached"
    worker = crash_fleet.start("fixture")
    noted = {f"{kind}-{i}" for kind in ("note", "again") for i in range(MESSAGES)}
    wait_for(lambda: set(effects(redis)) == noted, 15, what="the effects in Redis")
    recorded = [(f"record-{i}",) for i in range(MESSAGES)]
    wait_for(lambda: sql("SELECT key FROM fixture_effects ORDER BY key") == recorded, what="the effects in PostgreSQL")
    wait_for(lambda: worker.metrics()["garrison_in_flight"] == 0)
    for queue in ("game.fixture", "game.fixture.retry.1s", "game.fixture.dead"):
        assert amqp.depth(queue) == 0
    emitted = {event.properties.message_id for event in events.all()}
    assert emitted == {f"emit-{i}/{k}" for i in range(MESSAGES) for k in range(2)}
