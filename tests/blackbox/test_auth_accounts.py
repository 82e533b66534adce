"""Accounts and characters: register, login, create_character, resolve_telegram, change_password."""

import ctypes
import threading
import uuid

import pytest

from lib.auth import PASSWORD, Auth, new_name
from lib.fleet import Fleet
from lib.wait import wait_for

pytestmark = pytest.mark.services("auth")


@pytest.fixture(scope="module")
def worker(stack, tmp_path_factory):
    fleet = Fleet(stack, tmp_path_factory.mktemp("auth"))
    yield fleet.start("auth")
    fleet.stop()


@pytest.fixture
def auth(worker, amqp, sql):
    return Auth(amqp, sql)


def fields_of(reply):
    assert reply.code == "invalid_payload", reply.body
    return set(reply.fields)


def test_register_makes_an_account_once(auth, sql):
    login = new_name()
    account_id = auth.call("register", login=login, password=PASSWORD).result["account_id"]
    ((stored_login, stored_hash),) = sql("SELECT login, password_hash FROM accounts WHERE id = %s", account_id)
    assert stored_login == login
    assert stored_hash.startswith("$argon2id$v=19$m=65536,t=2,p=1$")
    again = auth.call("register", login=login, password="another password")
    assert again.code == "conflict"
    assert again.error["retryable"] is False


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"login", "password"}),
        ({"login": "ab", "password": PASSWORD}, {"login"}),
        ({"login": "a" * 65, "password": PASSWORD}, {"login"}),
        ({"login": "abc", "password": "1234567"}, {"password"}),
        ({"login": "abc", "password": "x" * 129}, {"password"}),
        ({"login": 5, "password": PASSWORD}, {"login"}),
    ],
)
def test_register_names_what_is_wrong(auth, body, wrong):
    assert fields_of(auth.call("register", **body)) == wrong


def test_lengths_are_in_characters_and_their_bounds_are_taken(auth):
    suffix = uuid.uuid4().hex[:8]
    for login, password in (("щ" * 56 + suffix, "п" * 8), (suffix[:3], "п" * 128)):
        assert auth.call("register", login=login, password=password).ok
        assert auth.login(login, password).ok
        assert auth.login(login, password[:-1] + "х").code == "unauthorized"


def test_login_answers_as_documented(auth, sql):
    login = auth.account()
    result = auth.login(login).result
    ((account_id,),) = sql("SELECT id FROM accounts WHERE login = %s", login)
    assert result["token_type"] == "Bearer"
    assert result["expires_in"] == 900
    assert result["account_id"] == account_id
    assert result["char_id"] is None
    assert result["characters"] == []
    assert result["state_restored"] is False
    assert len(result["refresh_token"]) == 43


def test_a_sole_character_is_chosen_and_another_by_name(auth):
    login = auth.account()
    token = auth.login(login).result["access_token"]
    first = auth.character(token, "Первый")
    assert auth.login(login).result["char_id"] == first
    second = auth.character(token, "Second")
    result = auth.login(login).result
    assert result["char_id"] is None
    assert result["characters"] == [
        {"char_id": first, "name": "Первый", "gender": "other"},
        {"char_id": second, "name": "Second", "gender": "other"},
    ]
    assert auth.login(login, char_id=second).result["char_id"] == second


def test_anothers_character_is_refused(auth):
    mine, other = auth.player(), auth.player()
    assert auth.login(mine["login"], char_id=other["char_id"]).code == "forbidden"
    assert auth.login(mine["login"], char_id=2**53 - 1).code == "forbidden"
    refused = auth.refresh(mine["refresh_token"], char_id=other["char_id"])
    assert refused.code == "forbidden"
    assert auth.refresh(mine["refresh_token"]).result["char_id"] == mine["char_id"]  # it was not spent


def test_every_login_says_so(auth, amqp):
    login = auth.account()
    events = amqp.events("auth.logged_in")
    result = auth.login(login).result
    event = events.next()
    assert event.body == {"account_id": result["account_id"], "char_id": None}
    assert event.properties.message_id
    char_id = auth.character(result["access_token"])
    auth.login(login).result
    assert events.next().body == {"account_id": result["account_id"], "char_id": char_id}
    auth.login(login, "wrong password")
    assert events.all() == []


# create_character -----------------------------------------------------------------------------------------------------


def test_create_character_makes_one_with_the_documented_defaults(auth, sql):
    result = auth.login(auth.account()).result
    made = auth.call("create_character", access_token=result["access_token"], name="Ö" * 32, gender="female").result
    ((account_id, name, gender, stage, xp, gold, vitals),) = sql(
        "SELECT account_id, name, gender, game_stage, xp, gold, vitals FROM characters WHERE id = %s", made["char_id"]
    )
    assert (account_id, name, gender, stage, xp, gold) == (result["account_id"], "Ö" * 32, "female", "idle", 0, 0)
    assert vitals == {"hp": {"cur": 100, "max": 100}, "energy": {"cur": 100, "max": 100}}
    assert sql("SELECT stats FROM character_stats WHERE character_id = %s", made["char_id"]) == [({},)]


def test_create_character_names_what_is_wrong(auth):
    token = auth.login(auth.account()).result["access_token"]
    assert fields_of(auth.call("create_character", access_token=token)) == {"name", "gender"}
    assert fields_of(auth.call("create_character", access_token=token, name="", gender="robot")) == {"name", "gender"}
    assert fields_of(auth.call("create_character", access_token=token, name="x" * 33, gender="male")) == {"name"}
    assert fields_of(auth.call("create_character", name="x", gender="male")) == {"access_token"}
    assert auth.call("create_character", access_token="x", name="x", gender="male").code == "unauthorized"


def test_create_character_by_one_message_id_is_made_once(auth):
    one, other = (auth.login(auth.account()).result["access_token"] for _ in range(2))
    key = str(uuid.uuid4())
    char_id = auth.character(one, message_id=key)
    assert auth.character(one, "Another name", message_id=key) == char_id
    assert auth.character(other, message_id=key) != char_id
    assert auth.character(one, message_id=str(uuid.uuid4())) != char_id
    assert auth.character(one) != auth.character(one)


@pytest.mark.parametrize("key", ["k" * 254, "ключ" * 20], ids=["long", "letters"])
def test_a_long_message_id_is_one_too(auth, key):
    token = auth.login(auth.account()).result["access_token"]
    char_id = auth.character(token, message_id=key + "1")
    assert auth.character(token, message_id=key + "1") == char_id
    assert auth.character(token, message_id=key + "2") != char_id


def test_an_empty_message_id_is_none(auth):
    token = auth.login(auth.account()).result["access_token"]
    assert auth.character(token, message_id="") != auth.character(token, message_id="")


def test_create_character_repeated_at_once_is_made_once(auth, stack, sql):
    result = auth.login(auth.account()).result
    made = []

    def create(key):
        amqp = stack.amqp()
        made.append(Auth(amqp, sql).character(result["access_token"], message_id=key))
        amqp.close()

    for _ in range(5):
        made.clear()
        key = str(uuid.uuid4())
        threads = [threading.Thread(target=create, args=(key,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 6 and len(set(made)) == 1
    assert sql("SELECT count(*) FROM characters WHERE account_id = %s", result["account_id"]) == [(5,)]


# change_password ------------------------------------------------------------------------------------------------------


def test_change_password_ends_the_other_logins(auth):
    login = auth.account()
    other, mine = auth.login(login).result, auth.login(login).result
    changed = auth.call(
        "change_password", access_token=mine["access_token"], old_password=PASSWORD, new_password="new password"
    )
    assert changed.result == {"changed": True}
    assert auth.reason(other["access_token"]) == "revoked"
    assert auth.refresh(other["refresh_token"]).code == "unauthorized"
    assert auth.validate(mine["access_token"])["valid"]
    assert auth.refresh(mine["refresh_token"]).ok
    assert auth.login(login).code == "unauthorized"
    assert auth.login(login, "new password").ok


def test_a_login_by_the_old_password_does_not_outlive_a_change_that_overlaps_it(auth, stack, amqp):
    """It was proved before the change, and is opened after the others were ended."""
    login = auth.account()
    with stack.database() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT password_hash FROM accounts WHERE login = %s", (login,))
        (proved,) = cursor.fetchone()
        cursor.execute("BEGIN")
        cursor.execute("UPDATE accounts SET password_hash = reverse(password_hash) WHERE login = %s", (login,))
        request = amqp.request("auth.login", {"login": login, "password": PASSWORD})
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

        def is_held_up():
            with stack.database() as other, other.cursor() as look:
                look.execute(waiting)
                return look.fetchone()[0]

        wait_for(is_held_up, what="the login to wait for the change")
        cursor.execute("COMMIT")
        reply = amqp.requests.wait(request, 20)
        assert (reply.code, reply.error["retryable"]) == ("unavailable", True)
        cursor.execute("SELECT count(*) FROM auth_logins l JOIN accounts a ON a.id = l.account_id WHERE a.login = %s", (login,))
        assert cursor.fetchone() == (0,)
        cursor.execute("UPDATE accounts SET password_hash = %s WHERE login = %s", (proved, login))
    assert auth.login(login).ok


def test_change_password_wants_the_old_one(auth):
    login = auth.account()
    token = auth.login(login).result["access_token"]

    def change(old, new, token=token):
        return auth.call("change_password", access_token=token, old_password=old, new_password=new)

    assert change("wrong password", "new password").code == "unauthorized"
    assert fields_of(change(PASSWORD, "short")) == {"new_password"}
    assert change(PASSWORD, "new password", token="no token").code == "unauthorized"
    assert auth.login(login).ok



def test_a_weaker_hash_is_replaced_at_the_next_login(auth, sql):
    login = auth.account()
    weak = weaker_hash(PASSWORD)
    sql("UPDATE accounts SET password_hash = %s WHERE login = %s", weak, login)
    assert auth.login(login, "wrong password").code == "unauthorized"
    assert sql("SELECT password_hash FROM accounts WHERE login = %s", login) == [(weak,)]
    assert auth.login(login).ok
    ((stored,),) = sql("SELECT password_hash FROM accounts WHERE login = %s", login)
    assert stored.startswith("$argon2id$v=19$m=65536,t=2,p=1$")
    assert auth.login(login).ok


def test_a_hash_of_another_maker_is_read_and_replaced(auth, sql):
    login = auth.account()
    # Of "password", with four lanes and three passes, by the reference implementation.
    foreign = "$argon2id$v=19$m=65536,t=3,p=4$c2l4dGVlbiBieXRlcyBvZg$RcX/bt6dSQMD2Ldwj3GYdqh0wnzbLeGpqKFLR7Egh6o"
    sql("UPDATE accounts SET password_hash = %s WHERE login = %s", foreign, login)
    assert auth.login(login, "Password").code == "unauthorized"
    assert auth.login(login, "password").ok
    ((stored,),) = sql("SELECT password_hash FROM accounts WHERE login = %s", login)
    assert stored.startswith("$argon2id$v=19$m=65536,t=2,p=1$")


def weaker_hash(password):
    """By libsodium itself: 8 MiB, one pass."""
    sodium = ctypes.CDLL("libsodium.so.23")
    assert sodium.sodium_init() >= 0
    out = ctypes.create_string_buffer(128)
    text = password.encode()
    done = sodium.crypto_pwhash_str(
        out, text, ctypes.c_ulonglong(len(text)), ctypes.c_ulonglong(1), ctypes.c_size_t(8 << 20)
    )
    assert done == 0
    return out.value.decode()


# resolve_telegram -----------------------------------------------------------------------------------------------------


def test_resolve_telegram_finds_and_makes(auth):
    telegram_id = uuid.uuid4().int % 2**52
    assert auth.call("resolve_telegram", telegram_id=telegram_id).code == "not_found"
    made = auth.call("resolve_telegram", telegram_id=telegram_id, create=True).result
    assert made["characters"] == []
    assert auth.call("resolve_telegram", telegram_id=telegram_id, create=True).result == made
    assert auth.call("resolve_telegram", telegram_id=telegram_id).result == made


def test_resolve_telegram_gives_the_characters(auth, sql):
    telegram_id = uuid.uuid4().int % 2**52
    account_id = auth.call("resolve_telegram", telegram_id=telegram_id, create=True).result["account_id"]
    ((char_id,),) = sql("INSERT INTO characters (account_id, name) VALUES (%s, 'Tg') RETURNING id", account_id)
    found = auth.call("resolve_telegram", telegram_id=telegram_id).result
    assert found["characters"] == [{"char_id": char_id, "name": "Tg", "gender": "other"}]


# Lanes ----------------------------------------------------------------------------------------------------------------


def test_all_commands_are_for_the_request_lane_only(auth, amqp, worker):
    commands = ["register", "create_character", "login", "login_telegram", "resolve_telegram", "refresh", "logout",
                "change_password", "validate_token"]  # fmt: skip
    amqp.purge("game.auth.dead")
    for command in commands:
        sent = {"login": "abc", "password": "S3cret-one", "old_password": "S3cret-two", "new_password": "S3cret-three",
                "access_token": "S3cret-four", "refresh_token": "S3cret-five", "init_data": "S3cret-six"}  # fmt: skip
        reply = amqp.send_and_wait(f"auth.{command}", sent)
        assert reply.code == "forbidden" and "game.rpc" in reply.error["message"]
        dead = amqp.dead("auth")
        assert dead.routing_key == f"auth.{command}"
        assert "S3cret" not in dead.raw.decode() or command == "resolve_telegram", dead
