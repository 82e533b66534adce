"""garrisonctl restore --all refills an emptied cache."""

import json

import pytest

pytestmark = pytest.mark.services("state-backup", "ctl")


@pytest.fixture
def characters(sql, redis):
    redis.flushdb()
    sql("DELETE FROM characters")
    return [
        row[0]
        for row in sql("INSERT INTO characters (name, game_stage) SELECT 'n' || i, 'trade' FROM generate_series(1, 2300) i RETURNING id")
    ]


def test_an_emptied_cache_is_refilled(stack, fleet, amqp, redis, characters):
    fleet.start("state-backup")
    events = amqp.events("state-backup.restored")
    redis.hset(f"ac:{characters[5]}", mapping={"state": "live", "bio": "{}"})
    redis.hset(f"ac:{characters[6]}", mapping={"state": "partial"})
    done = stack.ctl("restore", "--all", "--json")
    assert json.loads(done.stdout) == {"restored": 2299, "live": 1, "failed": []}
    states = {char_id: redis.hget(f"ac:{char_id}", "state") for char_id in characters}
    assert states.pop(characters[5]) == "live" and states.pop(characters[6]) == "partial"
    assert set(states.values()) == {"trade"}
    assert sorted(event.body["char_id"] for event in events.all()) == sorted(set(characters) - {characters[5]})
    assert json.loads(stack.ctl("restore", "--all", "--json").stdout) == {"restored": 0, "live": 2300, "failed": []}
    assert stack.ctl("restore", "--all").stdout == "restored 0, live already 2300, failed 0\n"


def test_no_characters_at_all(stack, fleet, sql):
    sql("DELETE FROM characters")
    fleet.start("state-backup")
    assert json.loads(stack.ctl("restore", "--all", "--json").stdout) == {"restored": 0, "live": 0, "failed": []}


def test_one_that_cannot_be_restored_is_named_and_holds_up_nobody(stack, fleet, redis, characters):
    fleet.start("state-backup")
    redis.set(f"ac:{characters[9]}", "no hash")
    done = stack.ctl("restore", "--all", "--json", check=False)
    assert done.returncode == 1 and str(characters[9]) in done.stderr
    result = json.loads(done.stdout)
    assert result["restored"] == 2299 and [f["char_id"] for f in result["failed"]] == [characters[9]]


def test_without_a_worker_it_says_so(stack, characters):
    done = stack.ctl("restore", "--all", check=False)
    assert done.returncode == 69 and "no worker" in done.stderr


def test_all_must_be_said(stack):
    done = stack.ctl("restore", check=False)
    assert done.returncode == 64 and "--all" in done.stderr
