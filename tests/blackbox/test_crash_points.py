"""A worker that dies at each step between a delivery and its ack: everything is done in the end, and once.

The steps are read out of the source (crash_point("...")): those of common/ are reached in every service, those of a service by its
own commands. A new one without a scenario that gets there fails, and so does one that is reached no more. Some are reached only by
a message whose store is lost under it, or that was delivered too often: for those each scenario is played so.
"""

import random
import re
import threading

import pytest

from lib.scenarios import SCENARIOS
from lib.servers import ROOT
from lib.supervised import CRASH_BUILD, ROUNDS, SEED, add_fixture, audit, make, play, with_build
from lib.wait import wait_for

ONE_BUILD = "first"
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


# A message goes back to its queue, for a store is lost.
REQUEUED = ["before_requeue", "requeued"]
# A suspect is run alone in a child, as its worker sees it, and as the child does.
SUSPECTED = ["before_suspect", "suspect_begun", "suspect_ended", "suspect_judged"]
ALONE = ["alone_begun", "alone_handled", "alone_published", "alone_told"]
DURABLE = ["tick", "arena", "combat-settlement", "state-backup", "fixture"]  # auth and the gateway take no durable commands
SUSPECT = {"x-delivery-count": 3}  # as the broker says it at the fourth delivery

COMMON = [point for point in points("common") if point not in (*REQUEUED, *SUSPECTED, *ALONE)]
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


# Stores that are lost -------------------------------------------------------------------------------------------------


class Lost:
    """A worker that waits for the table its commands need is cut off from PostgreSQL, until end()."""

    def __init__(self, stack):
        self.stack = stack
        self.ended = threading.Event()

    def begin(self, scenario):
        table = "fixture_effects" if scenario.service == "fixture" else "characters"
        self.holder = self.stack.database()
        self.holder.autocommit = False
        self.holder.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        threading.Thread(target=self.cut, args=(table,), daemon=True).start()

    def cut(self, table):
        connection = self.stack.database()
        with connection.cursor() as cursor:
            while not self.ended.wait(0.01):
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
                               " WHERE relation = %s::regclass AND NOT granted AND application_name LIKE 'garrison%%'",
                               (table,))  # fmt: skip
        connection.close()
        self.holder.close()

    def end(self, *_):
        self.ended.set()


@pytest.mark.parametrize("service", DURABLE)
@pytest.mark.parametrize("at", [f"{point}:{n + 1}" for n in range(ROUNDS) for point in REQUEUED])
def test_a_death_while_messages_go_back_loses_nothing(crashing, tmp_path, service, at):
    lost = Lost(crashing)
    try:
        first = play(crashing, tmp_path, service, {}, {"crash_at": at}, lost.end, lost.begin)
    finally:
        lost.end()
    assert first.process.returncode == DIED, f"{at} was not reached in {service}"
    audit(crashing)


# Suspects -------------------------------------------------------------------------------------------------------------


def suspected(scenario):
    scenario.headers = SUSPECT


@pytest.mark.parametrize("service", DURABLE)
@pytest.mark.parametrize("at", [f"{point}:{n + 1}" for n in range(ROUNDS) for point in SUSPECTED])
def test_a_death_around_a_suspect_loses_nothing(crashing, tmp_path, service, at):
    first = play(crashing, tmp_path, service, {}, {"crash_at": at}, once_prepared=suspected)
    assert first.process.returncode == DIED, f"{at} was not reached in {service}"
    audit(crashing)


def condemned(scenario):
    """Each command dies of a crash when it is run alone, and is then sent again, as an operator would."""
    publish, amqp, queue = scenario.command, scenario.amqp, f"game.{scenario.service}"
    others = []  # that died of what the scenario wants to see

    def crashed():
        for message in amqp.drain(f"{queue}.dead"):
            if message.headers["g-stage"] == "crash":
                return message
            others.append(message)

    def command(command, body, key=None):
        scenario.headers = SUSPECT
        publish(command, body, key)
        dead = wait_for(crashed, what="a dead suspect")
        assert "signal 9" in dead.headers["g-error"]
        amqp.publish(dead.headers["g-routing-key"], dead.raw, message_id=dead.properties.message_id)
        wait_for(lambda: not amqp.depth(queue) and not scenario.worker().metrics()["garrison_in_flight"], what="its redrive")

    def take_dead():
        taken = others + amqp.drain(f"{queue}.dead")
        others.clear()
        return taken

    scenario.command, scenario.take_dead = command, take_dead


@pytest.mark.parametrize("service", DURABLE)
@pytest.mark.parametrize("point", ALONE)
def test_a_suspect_that_dies_is_dead_and_can_be_sent_again(crashing, tmp_path, service, point):
    """Each of them dies at that point of its process, be its effect there or not; its worker stays, and a redrive does what is missing."""
    first = play(crashing, tmp_path, service, {}, {"crash_at": f"{point}:1"}, once_prepared=condemned)
    assert first.process.returncode == 0
    audit(crashing)
