"""Passwords, tokens and private keys are nowhere but where they belong."""

import base64
import time

import pytest

from lib.auth import BOT_TOKEN, alone, init_data
from lib.wait import wait_for

pytestmark = pytest.mark.services("auth", "state-backup")


@pytest.fixture
def own(servers, build, tmp_path):
    with alone(servers, build, tmp_path) as own:
        yield own


def spellings(secret):
    """As itself, and as the forms that hide it badly."""
    raw = secret.encode()
    yield from (secret, raw.hex(), base64.b64encode(raw).decode().rstrip("="))
    if len(secret) == 43:  # a token's own bytes
        yield base64.urlsafe_b64decode(secret + "=").hex()


def test_no_secret_is_logged_stored_or_shown(own):
    stack, fleet, auth, sql = own
    amqp = auth.amqp
    events = amqp.events("#")
    dead = amqp.listen("game.dead", "#")
    rungs = [amqp.listen(f"game.retry.{delay}", "#") for delay in ("1s", "10s", "60s", "10m")]
    backup = fleet.start("state-backup", log_level="debug")
    worker = fleet.start("auth", log_level="debug", telegram_bot_token=BOT_TOKEN)
    first, second, wrong = "First-s3cret-пароль", "Second-s3cret", "Wrong-s3cret-42"
    login = auth.account(first)
    one = auth.login(login, first).result
    auth.character(one["access_token"])
    auth.login(login, wrong)
    two = auth.refresh(one["refresh_token"]).result
    auth.call("change_password", access_token=two["access_token"], old_password=first, new_password=second).result
    auth.call("change_password", access_token=two["access_token"], old_password=wrong, new_password="x")
    auth.call("register", login=login, password=wrong)
    auth.call("register", login="x", password=wrong, gender=5)
    data = init_data(77)
    three = auth.call("login_telegram", init_data=data).result
    auth.call("login_telegram", init_data=data[:-1] + "!")
    auth.call("logout", access_token=three["access_token"])
    auth.call("validate_token", access_token=three["access_token"])
    auth.refresh(two["refresh_token"] + "x")
    # By the lane that keeps messages, with a lane's every trick: known, unknown, not JSON, wrong types.
    sent = {"login": login, "password": first, "access_token": two["access_token"], "old_password": first,
            "new_password": second, "refresh_token": two["refresh_token"], "init_data": data}  # fmt: skip
    for command in ("register", "login", "login_telegram", "refresh", "logout", "change_password", "validate_token",
                    "create_character", "no_such_command"):  # fmt: skip
        amqp.send_and_wait(f"auth.{command}", sent)
        amqp.send_and_wait(f"auth.{command}", {**sent, "login": 5, "password": [first], "access_token": {"x": first}})
    amqp.send_and_wait("auth.login", f'{{"login": "{login}", "password": "{first}"')
    amqp.send_and_wait("auth.login", [sent])
    time.sleep(0.2)  # logs are written in blocks
    fleet.stop()
    letters = dead.all()
    # What nobody took in time is put among the dead by the broker, as it came: it is not shown.
    before = amqp.depth("game.auth.dead")
    for command in ("login", "no_such_command"):
        amqp.publish(f"auth.{command}", sent, expiration="1")
    wait_for(lambda: amqp.depth("game.auth.dead") == before + 2)

    seeds = [bytes(seed) for (seed,) in sql("SELECT private_key FROM auth_signing_keys")]
    secrets = [first, second, wrong, BOT_TOKEN, data.rpartition("hash=")[2]]
    secrets += [token for pair in (one, two, three) for token in (pair["access_token"], pair["refresh_token"])]
    secrets += [base64.urlsafe_b64encode(seed).decode().rstrip("=") for seed in seeds]
    places = {
        "auth's log": worker.log_text,
        "state-backup's log": backup.log_text,
        "events": " ".join(f"{m.raw!r}{m.raw.decode()}{m.headers}" for m in events.all()),
        "dead letters": " ".join(f"{m.raw.decode(errors='replace')}{m.headers}" for m in letters),
        "retries": " ".join(m.raw.decode(errors="replace") for rung in rungs for m in rung.all()),
        "dead show": "".join(stack.ctl("dead", "show", "auth", "--limit=0", *words).stdout for words in ((), ("--json",))),
        "Redis": redis_text(stack.redis),
        "PostgreSQL": database_text(sql),
    }
    assert "no_such_command" in places["dead letters"] and "auth_logins" in places["PostgreSQL"]
    assert "withheld" in places["dead show"]
    assert login in places["PostgreSQL"] and "account_id" in places["events"]
    for name, text in places.items():
        for secret in secrets:
            for spelling in spellings(secret):
                assert spelling not in text, f"{secret!r} is in {name}"


def redis_text(redis):
    text = []
    for key in redis.keys("*"):
        kind = redis.type(key)
        value = {"string": redis.get, "hash": redis.hgetall, "set": redis.smembers,
                 "zset": lambda key: redis.zrange(key, 0, -1), "list": lambda key: redis.lrange(key, 0, -1)}[kind](key)  # fmt: skip
        text.append(f"{key} {value}")
    return "\n".join(text)


def database_text(sql):
    """Every row of every table as text, but for the column that is meant to hold the private keys."""
    text = []
    for (table,) in sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        columns = [name for (name,) in sql(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND column_name <> 'private_key'",
            table)]  # fmt: skip
        rows = sql(f"SELECT ROW({', '.join(columns)})::text FROM {table}")
        text.append(f"{table} {rows}")
    return "\n".join(text)
