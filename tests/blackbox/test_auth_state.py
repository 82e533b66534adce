"""A player logs in and finds everything as it was: auth with state-backup beside it, away, or silent."""

import json
import time
import uuid

import pytest

from lib.auth import BOT_TOKEN, PASSWORD, alone, init_data
from lib.wait import wait_for

pytestmark = pytest.mark.services("auth", "state-backup")


@pytest.fixture
def own(servers, build, tmp_path):
    with alone(servers, build, tmp_path) as own:
        yield own


def in_a_fight(stack, auth, sql, char_id):
    """The character is in a live fight that was backed up; returns the session's id and what Redis holds of it."""
    session_id = str(uuid.uuid4())
    session = json.dumps({"session_id": session_id, "round": 3, "participants": [char_id]})
    stack.redis.set(f"combat:session:{session_id}", session)
    stack.redis.hset(f"ac:{char_id}", mapping={"state": "combat", "combat_session_id": session_id})
    saved = auth.amqp.call("state-backup.backup_full_state", {"char_id": char_id}).result
    assert saved["sessions"] == {"combat": session_id}
    return session_id, session


def test_login_brings_back_the_cache_and_the_fight_after_redis_was_emptied(own):
    stack, fleet, auth, sql = own
    fleet.start("state-backup")
    fleet.start("auth", telegram_bot_token=BOT_TOKEN)
    login = auth.account()
    char_id = auth.character(auth.login(login).result["access_token"], "Герой")
    before = stack.redis.hgetall(f"ac:{char_id}")
    assert json.loads(before["bio"])["name"] == "Герой"
    session_id, session = in_a_fight(stack, auth, sql, char_id)
    live = stack.redis.hgetall(f"ac:{char_id}")
    stack.redis.flushdb()
    result = auth.login(login).result
    assert result["state_restored"] is True and result["char_id"] == char_id
    # It is there when the answer is: nothing is waited for.
    restored = stack.redis.hgetall(f"ac:{char_id}")
    assert restored["state"] == "combat" and restored["combat_session_id"] == session_id
    for name in ("bio", "stats", "vitals"):
        assert json.loads(restored[name]) == json.loads(live[name])
    assert stack.redis.get(f"combat:session:{session_id}") == session


def test_a_live_cache_is_left_alone(own):
    stack, fleet, auth, sql = own
    fleet.start("state-backup")
    fleet.start("auth")
    login = auth.account()
    char_id = auth.character(auth.login(login).result["access_token"])
    vitals = '{"hp":{"cur":7,"max":100},"energy":{"cur":3,"max":100}}'
    stack.redis.hset(f"ac:{char_id}", "vitals", vitals)
    assert auth.login(login).result["state_restored"] is True
    assert stack.redis.hget(f"ac:{char_id}", "vitals") == vitals


def test_telegram_refresh_and_a_new_character_restore_as_well(own):
    stack, fleet, auth, sql = own
    fleet.start("state-backup")
    fleet.start("auth", telegram_bot_token=BOT_TOKEN)
    first = auth.call("login_telegram", init_data=init_data(7)).result
    assert first["state_restored"] is False  # no character, no state
    made = auth.call(
        "create_character", access_token=first["access_token"], name="One", gender="male"
    ).result
    assert made["state_restored"] is True
    assert stack.redis.hget(f"ac:{made['char_id']}", "state") == "idle"
    stack.redis.flushdb()
    login = auth.call("login_telegram", init_data=init_data(7)).result
    assert login["state_restored"] is True and stack.redis.exists(f"ac:{made['char_id']}")
    second = auth.character(login["access_token"], "Two")
    stack.redis.flushdb()
    changed = auth.refresh(login["refresh_token"], char_id=second).result
    assert changed["state_restored"] is True and changed["char_id"] == second
    assert stack.redis.hget(f"ac:{second}", "state") == "idle"


def test_without_state_backup_they_succeed_and_say_so(own):
    stack, fleet, auth, sql = own
    fleet.start("auth")
    login = auth.account()
    token = auth.login(login).result["access_token"]
    made = auth.call("create_character", access_token=token, name="One", gender="male").result
    assert made["state_restored"] is False
    result = auth.login(login).result
    assert result["char_id"] == made["char_id"] and result["state_restored"] is False
    assert auth.refresh(result["refresh_token"], char_id=made["char_id"]).result["state_restored"] is False
    fleet.start("state-backup")
    wait_for(lambda: auth.login(login).result["state_restored"], 10)


def test_a_silent_state_backup_is_not_waited_for_long_nor_by_all(own):
    stack, fleet, auth, sql = own
    backup = fleet.start("state-backup")
    fleet.start("auth", state_restore_timeout="1500ms")
    login = auth.account()
    token = auth.login(login).result["access_token"]
    auth.character(token)
    backup.pause()
    began = time.monotonic()
    assert auth.login(login).result["state_restored"] is False
    assert time.monotonic() - began < 5
    # While many wait in vain, tokens are checked as ever.
    refresh_token = auth.login(login).result["refresh_token"]
    sent = [auth.amqp.request("auth.refresh", {"refresh_token": refresh_token}) for _ in range(40)]
    began = time.monotonic()
    assert auth.validate(token)["valid"]
    assert time.monotonic() - began < 1
    for one in sent:
        assert auth.amqp.requests.wait(one, 30).result["state_restored"] is False
    backup.resume()
    wait_for(lambda: auth.login(login, PASSWORD).result["state_restored"], 20)
