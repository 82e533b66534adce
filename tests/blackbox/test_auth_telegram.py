"""Login from a Telegram Mini App."""

import time
import uuid
from urllib.parse import quote, quote_plus

import pytest

from lib.auth import BOT_TOKEN, Auth, init_data
from lib.fleet import Fleet

pytestmark = pytest.mark.services("auth")


@pytest.fixture(scope="module")
def worker(stack, tmp_path_factory):
    fleet = Fleet(stack, tmp_path_factory.mktemp("auth"))
    yield fleet.start("auth", telegram_bot_token=BOT_TOKEN)
    fleet.stop()


@pytest.fixture
def auth(worker, amqp, sql):
    return Auth(amqp, sql)


def new_user():
    return uuid.uuid4().int % 2**52 + 1


def login(auth, data, **options):
    return auth.call("login_telegram", init_data=data, **options)


def test_first_sight_makes_the_account_and_the_next_finds_it(auth, sql, amqp):
    user = new_user()
    events = amqp.events("auth.logged_in")
    first = login(auth, init_data(user)).result
    assert sql("SELECT id, login, password_hash FROM accounts WHERE telegram_id = %s", user) == [
        (first["account_id"], None, None)
    ]
    assert events.next().body == {"account_id": first["account_id"], "char_id": None}
    assert first["token_type"] == "Bearer" and first["characters"] == [] and first["char_id"] is None
    char_id = auth.character(first["access_token"])
    second = login(auth, init_data(user)).result
    assert second["account_id"] == first["account_id"]
    assert second["char_id"] == char_id
    assert login(auth, init_data(user), char_id=char_id).result["char_id"] == char_id
    assert login(auth, init_data(user), char_id=char_id + 1).code == "forbidden"
    assert auth.validate(second["access_token"])["char_id"] == char_id
    assert auth.call("resolve_telegram", telegram_id=user).result["account_id"] == first["account_id"]


def test_two_at_first_sight_make_one_account(auth, amqp, sql):
    user = new_user()
    sent = [amqp.request("auth.login_telegram", {"init_data": init_data(user)}) for _ in range(10)]
    assert len({amqp.requests.wait(one, 30).result["account_id"] for one in sent}) == 1


@pytest.mark.parametrize("encode", [quote, quote_plus, lambda text: quote(text, safe="")])
def test_the_encodings_in_use_are_read(auth, encode):
    assert login(auth, init_data(new_user(), encode=encode, start_param="a+b c&d=e%")).ok


def test_all_pairs_but_the_hash_are_hashed(auth):
    data = init_data(new_user(), signature="kept", chat_type="private")
    assert login(auth, data).ok
    assert login(auth, data.replace("kept", "left")).code == "unauthorized"
    assert login(auth, data + "&more=1").code == "unauthorized"
    assert login(auth, data.replace("&chat_type=private", "")).code == "unauthorized"


def test_another_bots_data_is_refused(auth):
    assert login(auth, init_data(new_user(), bot_token="1:other")).code == "unauthorized"
    assert login(auth, init_data(new_user(), bot_token="")).code == "unauthorized"


def test_auth_date_is_neither_old_nor_in_the_future(auth):
    now = time.time()
    assert login(auth, init_data(new_user(), auth_date=now - 3590)).ok
    assert login(auth, init_data(new_user(), auth_date=now - 3610)).code == "unauthorized"
    assert login(auth, init_data(new_user(), auth_date=now + 60)).code == "unauthorized"


def test_what_names_no_user_is_refused(auth):
    assert login(auth, init_data(None)).code == "invalid_payload"
    assert login(auth, init_data({"first_name": "x"})).code == "invalid_payload"
    assert login(auth, "").code == "unauthorized"
    assert login(auth, "rubbish").code == "unauthorized"
    assert auth.call("login_telegram").fields.keys() == {"init_data"}


def test_an_account_of_telegram_has_no_password(auth):
    result = login(auth, init_data(new_user())).result
    refused = auth.call(
        "change_password", access_token=result["access_token"], old_password="anything", new_password="new password"
    )
    assert refused.code == "forbidden"


@pytest.mark.parametrize("token", ["", " ", "1:a b", "1:\t"])
def test_an_empty_or_broken_bot_token_is_refused_at_start(fleet, token, tmp_path):
    done = fleet.run("auth", telegram_bot_token=token)
    assert done.returncode == 64
    assert "TELEGRAM_BOT_TOKEN" in done.stderr
    file = tmp_path / "token"
    file.write_text(token + "\n")
    done = fleet.run("auth", telegram_bot_token_file=str(file))
    assert done.returncode == 64
    assert "TELEGRAM_BOT_TOKEN" in done.stderr
