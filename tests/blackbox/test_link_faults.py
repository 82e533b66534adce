"""What becomes of a worker when the network between it and one server fails; on the service of the tests' own.

Each fault lies on one link while messages are published steadily by another way. After healing the worker must be itself again soon,
everything that was confirmed must have been done, and nothing else.
"""

import time
from pathlib import Path

import pytest

from lib.combat import Combat, fight_of, part
from lib.load import EFFECTS, Publisher, effects
from lib.proxy import DOWN, UP, Proxy
from lib.wait import wait_for

LINKS = {"rabbitmq": "AMQP_URL", "redis": "REDIS_URL", "postgresql": "DATABASE_URL"}
# Until a silent server is noticed: two heartbeats and the watchdog's look, or a command's deadline and the probe's.
NOTICED_WITHIN_S = {"rabbitmq": 35, "redis": 15, "postgresql": 15}
RECOVERED_WITHIN_S = 20
# From a delivery to its end: turns behind others that wait out their limit of 2 s, and its own. A single handler that takes four
# times its limit ends the process, which every test here would notice.
LIMIT = "2s"
LONGEST_CALL_MS = 10000
DESCRIPTORS_MORE = 8
RESIDENT_MORE = 16 << 20
ONE_BUILD = "first"  # what takes long here is waiting for heartbeats


@pytest.fixture(scope="module")
def table(stack):
    stack.add_service("fixture")
    with stack.database().cursor() as cursor:
        cursor.execute("CREATE TABLE fixture_effects (key text PRIMARY KEY, runs int NOT NULL DEFAULT 1)")


@pytest.fixture
def clean(table, redis, amqp, sql):
    redis.delete(EFFECTS)
    sql("TRUNCATE fixture_effects")
    for queue in ("game.fixture", "game.fixture.dead"):
        amqp.purge(queue)


@pytest.fixture(params=LINKS)
def link(request, stack):
    """A proxy before one server."""
    with Proxy(stack.environment[LINKS[request.param]]) as proxy:
        proxy.server = request.param
        yield proxy


@pytest.fixture
def worker(link, clean, fleet):
    return fleet.start("fixture", command_processing_timeout=LIMIT, **{LINKS[link.server].lower(): link.url})


class Load(Publisher):
    """Effects in both stores, each key in one of them."""

    def __init__(self, stack):
        super().__init__(stack, commands=("note", "record", "note_batch", "record"), every=0.01)


def descriptors(worker):
    return len(list(Path(f"/proc/{worker.pid}/fd").iterdir()))


def longest_call_ms(worker):
    return max(line["ms"] for line in worker.logs if "command" in line and "ms" in line)


class Judge:
    """What must hold at the end, whatever was done to the link."""

    def __init__(self, stack, worker, amqp, sql):
        self.stack, self.worker, self.amqp, self.sql = stack, worker, amqp, sql
        self.descriptors, self.resident = descriptors(worker), worker.resident_bytes()

    def done(self):
        return effects(self.stack.redis) + [key for (key,) in self.sql("SELECT key FROM fixture_effects")]

    def recovered(self, healed_at):
        wait_for(self.worker.ready, RECOVERED_WITHIN_S, what="the worker to be ready again")
        key = f"after-{healed_at}"
        for command in ("note", "record"):
            self.amqp.send_and_wait(f"fixture.{command}", {"key": f"{command}-{key}"}, RECOVERED_WITHIN_S).result
        return time.monotonic() - healed_at

    def nothing_lost(self, load):
        wait_for(lambda: set(self.done()) >= set(load.sent), RECOVERED_WITHIN_S, what="all that was confirmed to be done")
        for queue in ("game.fixture", "game.fixture.retry.1s"):
            self.amqp.wait_until_empty(queue)
        extra = {key for key in self.done() if "after" not in key} - set(load.sent)
        assert not extra
        assert self.amqp.depth("game.fixture.dead") == 0

    def bounded(self):
        assert self.worker.running
        assert longest_call_ms(self.worker) <= LONGEST_CALL_MS
        wait_for(lambda: descriptors(self.worker) <= self.descriptors + DESCRIPTORS_MORE)
        if self.stack.bin_dir.parent.name != "asan":  # the sanitizer keeps what was freed
            assert self.worker.resident_bytes() <= self.resident + RESIDENT_MORE


@pytest.fixture
def judge(stack, worker, amqp, sql):
    for command in ("note", "record"):  # every thread's connections stand
        for i in range(20):
            assert amqp.send_and_wait(f"fixture.{command}", {"key": f"{command}-before-after-{i}"}).ok
    return Judge(stack, worker, amqp, sql)


def under_load(stack, judge, link, inflict, fired, record_property, until=None):
    """Load, the fault, what it must show, healing; returns the counts of the proxy."""
    with Load(stack) as load:
        wait_for(lambda: len(load.sent) > 20)
        inflicted_at = time.monotonic()
        inflict()
        if until:
            until()
        noticed_s = time.monotonic() - inflicted_at
        counts = link.heal()
        took_s = judge.recovered(time.monotonic())
    record_property("noticed_s", round(noticed_s, 2))
    record_property("recovered_s", round(took_s, 2))
    print(f"{link.server}: after {noticed_s:.2f} s healed, recovered in {took_s:.2f} s; {len(load.sent)} sent; {counts}")
    assert counts[fired] > 0, "the fault never fired"
    assert took_s <= RECOVERED_WITHIN_S
    judge.nothing_lost(load)
    judge.bounded()
    return counts


# A link that ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_connections_that_end_again_and_again(stack, link, worker, judge, how, record_property):
    def inflict():
        for _ in range(10):
            link.cut(how)
            time.sleep(0.1)

    counts = under_load(stack, judge, link, inflict, "accepted", record_property)
    assert counts["accepted"] > 3


def test_a_server_nobody_gets_to(stack, link, worker, judge, record_property):
    def not_ready():
        wait_for(lambda: not worker.ready(), NOTICED_WITHIN_S[link.server], what="the worker to be unready")

        time.sleep(3)  # the pauses between attempts grow

    under_load(stack, judge, link, link.refuse, "cut", record_property, not_ready)


def test_connections_cut_in_the_middle_of_what_they_say(stack, link, worker, judge, record_property):
    """After 1, 10, 100, ... bytes, from the server and to it: within a greeting, a frame, a row."""

    def inflict():
        for direction in (DOWN, UP):
            for n in (1, 7, 100, 1000, 3000):
                link.cut_after(n, direction)
                time.sleep(0.3)
            link.heal()
            wait_for(worker.ready, RECOVERED_WITHIN_S)

    under_load(stack, judge, link, inflict, "cut", record_property)


@pytest.mark.parametrize("link", ["rabbitmq"], indirect=True)
def test_a_worker_that_wakes_without_its_link_and_with_acks_to_give(link, worker, amqp, redis):
    """Messages that are done behind a stuck one are acked by themselves after 200 ms: here there is nobody to tell any more."""
    for i in range(3):
        amqp.publish("fixture.sleep", {"ms": 1500})
        amqp.publish("fixture.note", {"key": f"n{i}"})
        wait_for(lambda: f"n{i}" in effects(redis), interval=0.002)  # noqa: B023
        time.sleep(0.03)  # its verdict is on its way within the process
        worker.pause()
        link.cut()
        time.sleep(0.4)
        worker.resume()
        wait_for(worker.ready, RECOVERED_WITHIN_S)
        assert worker.running
    amqp.wait_until_empty("game.fixture", 20)
    wait_for(lambda: worker.metrics()["garrison_in_flight"] == 0)


# A link that is silent ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directions", [(UP, DOWN), (DOWN,), (UP,)], ids=["both", "from_server", "to_server"])
def test_a_frozen_link_is_noticed(stack, link, worker, judge, directions, record_property):
    def not_ready():
        wait_for(lambda: not worker.ready(), NOTICED_WITHIN_S[link.server], what="the worker to be unready")

    under_load(stack, judge, link, lambda: link.freeze(*directions), "held", record_property, not_ready)


@pytest.mark.parametrize("direction", [DOWN, UP], ids=["from_server", "to_server"])
def test_a_link_that_swallows_one_direction_is_noticed(stack, link, worker, judge, direction, record_property):
    def not_ready():
        wait_for(lambda: not worker.ready(), NOTICED_WITHIN_S[link.server], what="the worker to be unready")

    under_load(stack, judge, link, lambda: link.drop(direction), "dropped", record_property, not_ready)


# A link that is slow ------------------------------------------------------------------------------------------------


def test_a_slow_link(stack, link, worker, judge, record_property):
    under_load(stack, judge, link, lambda: link.delay(100), "held", record_property, lambda: time.sleep(5))


def test_a_link_that_trickles(stack, link, worker, judge, record_property):
    under_load(stack, judge, link, lambda: link.trickle(3, 20), "held", record_property, lambda: time.sleep(8))


# An answer that is lost ---------------------------------------------------------------------------------------------


LOST = {"redis": "RPUSH", "postgresql": "fixture_record"}


@pytest.mark.parametrize("link", LOST, indirect=True)
def test_an_answer_lost_after_the_deed(stack, link, worker, judge, sql, record_property):
    """The store has done it, and nobody was told: done again, so an effect with a key is there once."""

    def inflict():
        link.lose_reply(LOST[link.server], times=5)
        wait_for(lambda: link.counts()["lost"] >= 5, what="five answers to be lost")

    under_load(stack, judge, link, inflict, "lost", record_property)
    if link.server == "postgresql":
        assert sql("SELECT count(*) FROM fixture_effects WHERE runs > 1") != [(0,)]


@pytest.mark.parametrize("link", ["rabbitmq"], indirect=True)
def test_a_confirm_lost_is_a_message_sent_again_with_the_same_id(stack, link, worker, judge, amqp):
    events = amqp.events("fixture.emitted")
    link.lose_reply("game.events", times=3)
    commands = []

    def lost():
        commands.append(f"c{len(commands)}")
        amqp.publish("fixture.emit", {"n": 3}, message_id=commands[-1])
        return link.counts()["lost"] >= 3

    wait_for(lost, interval=0.1, what="three confirms to be lost")
    amqp.wait_until_empty("game.fixture")
    wait_for(lambda: worker.metrics()["garrison_in_flight"] == 0 and worker.metrics()["garrison_publish_waiting"] == 0, 20)
    ids = [event.properties.message_id for event in events.all()]
    assert set(ids) == {f"{command}/{i}" for command in commands for i in range(3)}
    assert len(ids) > len(set(ids)), "no confirm was lost after the deed"
    judge.recovered(time.monotonic())
    judge.bounded()


@pytest.mark.parametrize("link", ["rabbitmq"], indirect=True)
def test_a_copys_confirm_lost_loses_no_command(stack, link, worker, judge, amqp, redis):
    """The original is acknowledged only once its copy for the next attempt is confirmed."""
    redis.delete(EFFECTS)
    link.lose_reply("game.retry", times=3)
    for i in range(10):
        amqp.publish("fixture.settle", {"key": f"s{i}", "fail_attempts": 1}, message_id=f"s{i}")
    wait_for(lambda: set(effects(redis)) == {f"s{i}" for i in range(10)}, 20)
    assert link.counts()["lost"] >= 1
    link.heal()
    wait_for(lambda: worker.metrics()["garrison_in_flight"] == 0)
    assert amqp.depth("game.fixture.dead") == 0
    judge.recovered(time.monotonic())


# What it is for: a fight is settled once ----------------------------------------------------------------------------


@pytest.mark.services("combat-settlement")
@pytest.mark.parametrize("link", ["postgresql"], indirect=True)
def test_a_fight_whose_commit_nobody_heard_of_is_settled_once(stack, link, fleet, amqp):
    combat = Combat(stack, amqp)
    worker = fleet.start("combat-settlement", database_url=link.url)
    ids = combat.characters(20)
    before = dict(zip(ids, map(combat.purse, ids)))
    potions = {char_id: combat.item(char_id, "pot", 5, slot="belt_1") for char_id in ids}
    link.lose_reply("COMMIT", times=6)
    for char_id in ids:
        consumed = {potions[char_id]: ("pot", 2)}
        combat.publish(fight_of({char_id: part(xp=7, gold=3, consumed=consumed, gained={"pelt": 1})}))
        time.sleep(0.05)  # so that several transactions lose theirs
    wait_for(lambda: link.counts()["lost"] >= 3, 20, what="three answers to be lost")
    link.heal()
    stack.wait_until_idle(amqp, "combat-settlement", 20)
    wait_for(lambda: worker.metrics()["garrison_in_flight"] == 0, 20)
    worker.wait_ready()
    for char_id in ids:
        assert combat.purse(char_id) == (before[char_id][0] + 7, before[char_id][1] + 3)
        assert combat.items(char_id) == {"pot": 3, "pelt": 1}
    statuses = combat.sql("SELECT settlement_status, count(*) FROM combat_history GROUP BY 1")
    assert statuses == [("processed", len(ids))]
    assert amqp.depth("game.combat-settlement.dead") == 0
    combat.close()
