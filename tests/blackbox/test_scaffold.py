"""make new-command and make new-service write what compiles, passes its own tests and answers through the broker."""

import os
import shutil
import subprocess
import sys

import pytest

from lib.fleet import Fleet
from lib.servers import ROOT
from lib.stack import Stack


def run(copy, *words, **settings):
    done = subprocess.run(words, cwd=copy, env={**os.environ, **settings}, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The tree with a new service and a new command in it, built."""
    copy = tmp_path_factory.mktemp("scaffold") / "tree"
    copy.mkdir()
    tracked = subprocess.run(["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.rstrip("\0").split("\0"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    # What is built already need not be built again.
    shutil.copytree(ROOT / "build/obj", copy / "build/obj")
    for name in ("flags", "gen"):
        source = ROOT / "build" / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, copy / "build" / name)
    run(copy, "make", "new-service", "NAME=guild-hall")
    run(copy, "make", "new-command", "SERVICE=arena", "NAME=decline_match")
    run(copy, "make")
    return copy


def test_the_new_commands_answer_through_the_broker(copy, servers, tmp_path):
    stack = Stack(servers, copy / "build/bin").create()
    fleet = Fleet(stack, tmp_path)
    try:
        amqp, database = stack.amqp(), stack.database()
        with database.cursor() as cursor:
            cursor.execute("INSERT INTO characters (id, name) VALUES (101, 'Ada')")
        fleet.start("guild-hall")
        fleet.start("arena")
        expected = {"char_id": 101, "name": "Ada"}
        assert amqp.call("guild-hall.look_up", {"char_id": 101}).result == expected
        assert amqp.send_and_wait("arena.decline_match", {"char_id": 101}).result == expected
        assert "decline_match" in stack.ctl("call", "--help").stdout
        amqp.close()
        database.close()
    finally:
        fleet.stop()
        stack.remove()


def test_their_own_tests_pass(copy, servers):
    run(
        copy,
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/blackbox/test_guild_hall_look_up.py",
        "tests/blackbox/test_arena_decline_match.py",
        GARRISON_BIN="build/bin",
        GARRISON_TEST_STACK=str(servers.folder),
    )


def test_they_are_in_the_projects_style(copy):
    run(copy, "clang-format", "--dry-run", "-Werror", "services/guild-hall/look_up.c", "services/guild-hall/look_up.h",
        "services/arena/decline_match.c", "services/arena/decline_match.h",
        "services/arena/main.c", "services/guild-hall/main.c", "topology/topology.c")  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("new-service", "NAME=arena"),
        ("new-service", "NAME=Guild"),
        ("new-service",),
        ("new-command", "SERVICE=arena", "NAME=join_queue"),
        ("new-command", "SERVICE=nobody", "NAME=x"),
        ("new-command", "SERVICE=arena", "NAME=../x"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_refused_in_words(copy, words):
    before = subprocess.run(["find", "services", "-newer", "build/bin/garrisonctl"], cwd=copy, capture_output=True).stdout
    done = subprocess.run(["make", *words], cwd=copy, capture_output=True, text=True)
    assert done.returncode != 0 and "new-" in done.stderr
    after = subprocess.run(["find", "services", "-newer", "build/bin/garrisonctl"], cwd=copy, capture_output=True).stdout
    assert before == after
