"""garrisonctl simulate: a crowd plays through the public interfaces, and what came of it is proved."""

import json
import os
import pty
import subprocess

import pytest

from lib.fleet import Fleet
from lib.wait import wait_for

ONE_BUILD = "last"  # what takes long here is a game going on

pytestmark = pytest.mark.services("gateway", "auth", "tick", "arena", "combat-settlement", "state-backup")


@pytest.fixture(scope="module")
def gateway(stack, tmp_path_factory):
    """The whole fleet; the gateway's worker."""
    fleet = Fleet(stack, tmp_path_factory.mktemp("fleet"))
    for service in ("auth", "arena", "state-backup"):
        fleet.start(service)
    fleet.start("tick", tick_interval="500ms")
    yield fleet.start("gateway")
    fleet.stop()


@pytest.fixture
def settlement(stack, tmp_path, gateway):
    fleet = Fleet(stack, tmp_path)
    yield fleet.start("combat-settlement")
    fleet.stop()


def simulate(stack, gateway, *words, check=True, **settings):
    return stack.ctl("simulate", f"--gateway={gateway.url}", *words, check=check, timeout=170, **settings)


def calls(told):
    return {call["call"]: call for call in told["crowd"]["calls"]}


def test_a_crowd_plays_and_everything_agrees(stack, gateway, settlement, database):
    told = json.loads(simulate(stack, gateway, "--players=8", "--seconds=12", "--rate=60", "--seed=7", "--json").stdout)
    crowd = told["crowd"]
    assert told["audit"]["ok"], told["audit"]
    assert crowd["players"] == 8 and crowd["seed"] == 7
    assert crowd["fights"] == crowd["confirmed"] == crowd["settled"] > 0, crowd
    assert crowd["differences"] == crowd["untrue_answers"] == 0, crowd
    assert crowd["errors"] == [], crowd
    for name in ("register", "login", "create character", "refresh", "join arena", "check match", "view result", "logout"):
        assert calls(told)[name]["n"] > 0 and calls(told)[name]["p50_ms"] <= calls(told)[name]["p99_ms"]
    assert calls(told)["all"]["n"] == sum(c["n"] for c in crowd["calls"] if c["call"] not in ("all", *FIGHTS))
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT name) FROM characters")
        assert cursor.fetchone()[0] == 8
        cursor.execute("SELECT count(*) FROM combat_history WHERE settlement_status = 'processed'")
        assert cursor.fetchone()[0] == crowd["fights"]


FIGHTS = ("fight confirmed", "fight seen settled")


def test_the_same_seed_is_the_same_crowd(stack, gateway, settlement, database):
    def logins():
        with database.cursor() as cursor:
            cursor.execute("SELECT a.login, c.id, c.name, c.gender FROM accounts a JOIN characters c ON c.account_id = a.id"
                           " WHERE a.login LIKE 'crowd-9-%'")  # fmt: skip
            return sorted(cursor.fetchall())

    words = ("--players=3", "--seconds=5", "--rate=20", "--seed=9", "--no-audit", "--json")
    assert json.loads(simulate(stack, gateway, *words).stdout)["audit"] is None
    first = logins()
    assert len(first) == 3
    simulate(stack, gateway, *words)
    assert logins() == first


def test_a_fight_that_is_never_settled_is_missed(stack, gateway, amqp):
    """No settlement worker: the broker has the fights, the history does not."""
    done = simulate(stack, gateway, "--players=4", "--seconds=10", "--rate=40", "--seed=11", "--wait=1s", "--no-audit",
                    "--json", check=False)  # fmt: skip
    crowd = json.loads(done.stdout)["crowd"]
    assert done.returncode == 1 and "ledger" in done.stderr and len(done.stderr.splitlines()) == 1
    assert crowd["confirmed"] > 0 and crowd["settled"] == 0
    assert crowd["differences"] == crowd["confirmed"]
    assert "unknown in the history" in crowd["problems"][0]
    amqp.purge("game.combat-settlement")


def test_nothing_is_lost_when_connections_and_workers_are(stack, gateway, settlement, tmp_path):
    """Every connection to the broker cut, the settlement worker killed: errors, but no untruth and no fight lost."""
    process = subprocess.Popen(
        [stack.binary("garrisonctl"), "simulate", f"--gateway={gateway.url}", "--players=8", "--seconds=20", "--rate=60",
         "--seed=17", "--json"],
        env=stack.environment,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        fights = "SELECT count(*) FROM combat_history"
        database = stack.database()
        with database.cursor() as cursor:

            def more_fights(than):
                cursor.execute(fights)
                return cursor.fetchone()[0] > than

            cursor.execute(fights)
            before = cursor.fetchone()[0]
            wait_for(lambda: more_fights(before + 1), 20, what="fights")
        database.close()
        stack.management.close_connections(at_least=8)
        settlement.kill()
        fleet = Fleet(stack, tmp_path)
        fleet.start("combat-settlement")
        told = json.loads(process.communicate(timeout=90)[0])
        fleet.stop()
    finally:
        process.kill()
    crowd = told["crowd"]
    assert process.returncode == 0 and told["audit"]["ok"], told
    assert crowd["reconnects"] >= 1 and crowd["fights"] == crowd["confirmed"] == crowd["settled"], crowd


def test_an_item_from_nowhere_is_missed(stack, gateway, settlement, database):
    words = ("--players=2", "--seconds=4", "--rate=10", "--seed=13", "--no-audit", "--json")
    simulate(stack, gateway, *words)
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO inventory (character_id, item_template_id) SELECT c.id, 'silk_bolt' FROM characters c"
                       " JOIN accounts a ON a.id = c.account_id WHERE a.login = 'crowd-13-0' RETURNING character_id")  # fmt: skip
        char_id = cursor.fetchone()[0]
    done = simulate(stack, gateway, *words, check=False)
    assert done.returncode == 1 and str(char_id) in json.loads(done.stdout)["crowd"]["problems"][0]


def test_lines_for_people_and_a_progress_line_on_a_terminal(stack, gateway, settlement):
    words = ("--players=2", "--seconds=3", "--rate=10", "--seed=15", "--no-audit")
    plain = simulate(stack, gateway, *words).stdout
    assert "\r" not in plain and "\033" not in plain and "P99 MS" in plain and "fights " in plain
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [stack.binary("garrisonctl"), "simulate", f"--gateway={gateway.url}", *words],
        env=stack.environment,
        stdout=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # what a terminal says when the other end is gone
        pass
    assert process.wait(60) == 0
    os.close(ours)
    assert seen.count(b"\r") > 5 and b" playing, " in seen and b"P99 MS" in seen


@pytest.mark.parametrize(
    "words, settings, code",
    [
        (["--gateway=http://127.0.0.1:1"], {}, 69),
        ([], {"AMQP_URL": "amqp://127.0.0.1:1/"}, 69),
        ([], {"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, 69),
        (["--players=1"], {}, 64),
        (["--players=many"], {}, 64),
    ],
)
def test_what_is_wrong_is_said_before_anybody_plays(stack, gateway, words, settings, code):
    done = stack.ctl("simulate", f"--gateway={gateway.url}", *words, check=False, **settings)
    assert done.returncode == code and len(done.stderr.splitlines()) == 1 and not done.stdout
