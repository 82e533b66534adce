"""A worker that dies at each step between a delivery and its ack: everything is done in the end, and once.

The steps are read out of the source (crash_point("...")): those of common/ are reached in every service, those of a service by its
own commands. A new one without a scenario that gets there fails, and so does one that is reached no more.
"""

import random
import re

import pytest

from lib.servers import ROOT
from lib.supervised import CRASH_BUILD, ROUNDS, SEED, add_fixture, audit, make, play, with_build
from lib.scenarios import SCENARIOS

ONE_BUILD_IS_ENOUGH = True
GROUPED_BY = "service"

DIED = -9
# Timers pass these all the time, so they are also tried later on.
LATER = {"before_redis": 4, "stored_in_redis": 4, "before_postgres": 2, "stored_in_postgres": 2}


def points(folder):
    return sorted(
        point
        for file in (ROOT / folder).rglob("*.c")
        for point in re.findall(r'\bcrash_point\("(\w+)"\)', file.read_text())
    )


COMMON = points("common")
# The gateway takes no deliveries, and has no Redis.
REACHED = {"gateway": ["before_postgres", "stored_in_postgres", "before_publish", "published"]}


def cases():
    chance = random.Random(SEED)
    for service in SCENARIOS:
        for point in [*REACHED.get(service, COMMON), *points(f"services/{service}")]:
            yield service, f"{point}:1"
            for _ in range(ROUNDS if point in LATER else ROUNDS - 1):
                yield service, f"{point}:{chance.randint(2, LATER.get(point, 2))}"


@pytest.fixture(scope="module")
def crashing(stack):
    make("OUT=build/crash", "EXTRA_CFLAGS=-DGARRISON_CRASH_POINTS", "build")
    add_fixture(stack)
    return with_build(stack, CRASH_BUILD)


def test_the_points_have_names_of_their_own():
    names = points("common") + points("services")
    assert len(names) >= 60 and len(set(names)) == len(names)
    for service in sorted(folder.name for folder in (ROOT / "services").iterdir() if points(f"services/{folder.name}")):
        assert service in SCENARIOS, f"no scenario of lib/scenarios.py gets to the points of {service}"


@pytest.mark.parametrize("service, at", cases())
def test_a_death_there_loses_nothing(crashing, tmp_path, service, at):
    print(f"GARRISON_FAULT_SEED={SEED}")
    first = play(crashing, tmp_path, service, {}, {"crash_at": at})
    assert first.process.returncode == DIED, f"{at} was not reached in {service}"
    audit(crashing)
