"""Access and refresh tokens: read by another maker's library, checked, rotated, revoked; and the keys that sign them."""

import base64
import hashlib
import json
import time
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lib.auth import Auth, alone, base64url
from lib.fleet import Fleet
from lib.wait import wait_for

pytestmark = pytest.mark.services("auth")


@pytest.fixture(scope="module")
def worker(stack, tmp_path_factory):
    fleet = Fleet(stack, tmp_path_factory.mktemp("auth"))
    yield fleet.start("auth", refresh_grace="1s")
    fleet.stop()


@pytest.fixture
def auth(worker, amqp, sql):
    return Auth(amqp, sql)


def seed_of(sql):
    """The key that signs, as the database holds it."""
    ((kid, seed),) = sql(
        "SELECT kid, private_key FROM auth_signing_keys WHERE private_key IS NOT NULL ORDER BY created_at LIMIT 1"
    )
    return kid, Ed25519PrivateKey.from_private_bytes(bytes(seed))


# What a token says -----------------------------------------------------------------------------------------------------


def test_another_makers_library_reads_the_tokens(auth):
    player = auth.player()
    claims = auth.read(player["access_token"])
    assert set(claims) == {"sub", "char", "sid", "gen", "iat", "exp"}
    assert claims["sub"] == str(player["account_id"])
    assert claims["char"] == player["char_id"]
    assert uuid.UUID(claims["sid"]).version == 4
    assert isinstance(claims["gen"], int)
    assert claims["exp"] - claims["iat"] == 900
    assert abs(claims["iat"] - time.time()) < 5
    header = jwt.get_unverified_header(player["access_token"])
    assert header["alg"] == "EdDSA" and header["typ"] == "JWT"


def test_another_makers_library_refuses_them_altered(auth):
    token = auth.login(auth.account()).result["access_token"]
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = ".".join((header, base64url({**claims, "sub": "1"}), signature))
    with pytest.raises(jwt.InvalidSignatureError):
        auth.read(forged)
    assert auth.reason(forged) == "bad_signature"


def test_a_login_without_character_says_null(auth):
    assert auth.read(auth.login(auth.account()).result["access_token"])["char"] is None


# validate_token ---------------------------------------------------------------------------------------------------------


def test_validate_token_says_whose_it_is(auth):
    player = auth.player()
    result = auth.validate(player["access_token"])
    exp = auth.read(player["access_token"])["exp"]
    expires_at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(exp))
    assert result == {
        "valid": True, "account_id": player["account_id"], "char_id": player["char_id"], "expires_at": expires_at,
    }  # fmt: skip


def test_validate_token_refuses_what_is_hostile(auth, sql):
    player = auth.player()
    token = player["access_token"]
    header, payload, signature = token.split(".")
    claims = auth.read(token)
    kid, key = seed_of(sql)
    stranger = Ed25519PrivateKey.generate()

    def signed(by, headers, **changed):
        return jwt.encode({**claims, **changed}, by, algorithm="EdDSA", headers=headers)

    assert auth.validate(signed(key, {"kid": kid}))["valid"]  # the table below is of a real forger's tools
    hmac_key = base64.urlsafe_b64decode(signature + "==")
    bad = {
        "no signature, alg none": jwt.encode(claims, None, algorithm="none", headers={"kid": kid}),
        "alg none with the signature": ".".join((base64url({"alg": "none", "kid": kid}), payload, signature)),
        "alg HS256": jwt.encode(claims, hmac_key, algorithm="HS256", headers={"kid": kid}),
        "a stranger's key": signed(stranger, {"kid": kid}),
        "an unknown kid": signed(key, {"kid": "unknown"}),
        "no kid": signed(key, None),
        "altered payload": ".".join((header, base64url({**claims, "char": 1}), signature)),
        "altered signature": token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:],
        "another token's signature": ".".join(
            (header, payload, auth.login(player["login"]).result["access_token"].split(".")[2])
        ),
    }
    for name, text in bad.items():
        assert auth.reason(text) == "bad_signature", name
    malformed = {
        "empty": "", "words": "not a token", "two parts": f"{header}.{payload}", "four parts": token + ".x",
        "truncated": token[:-20], "padded": token + "==", "with a newline": token + "\n", "huge": "A" * 16000,
        "no JSON": f"{base64url(b'[')}.{payload}.{signature}",
        "no claims": jwt.encode({"exp": claims["exp"]}, key, algorithm="EdDSA", headers={"kid": kid}),
        "no exp": jwt.encode({**claims, "exp": None}, key, algorithm="EdDSA", headers={"kid": kid}),
    }  # fmt: skip
    for name, text in malformed.items():
        assert auth.reason(text) == "malformed", name
    assert auth.reason(signed(key, {"kid": kid}, exp=int(time.time()) - 1)) == "expired"
    assert auth.reason(signed(key, {"kid": kid}, sid=str(uuid.uuid4()))) == "revoked"
    assert auth.reason(signed(key, {"kid": kid}, gen=claims["gen"] + 1)) == "revoked"
    other = auth.player()
    assert auth.reason(signed(key, {"kid": kid}, sub=str(other["account_id"]))) == "revoked"


def test_validate_token_answers_many_at_once_each_its_own(auth, amqp):
    good = [auth.login(auth.account()).result for _ in range(3)]
    gone = auth.login(auth.account()).result
    auth.call("logout", access_token=gone["access_token"]).result
    expected = [(login["access_token"], login["account_id"]) for login in good] * 40
    expected += [(gone["access_token"], None), ("x", None)] * 40
    sent = [(amqp.request("auth.validate_token", {"access_token": token}), account) for token, account in expected]
    for correlation_id, account in sent:
        result = amqp.requests.wait(correlation_id, 30).result
        assert result["valid"] is (account is not None)
        assert result.get("account_id") == account


def test_validate_token_wants_a_token(amqp, auth):
    assert amqp.call("auth.validate_token", {}).fields.keys() == {"access_token"}


def test_an_access_token_ends_by_itself(auth, fleet):
    fleet.start("auth", access_ttl="2s", refresh_grace="1s")
    login = auth.account()

    def short_lived():
        result = auth.login(login).result
        return result["access_token"] if result["expires_in"] == 2 else None

    token = wait_for(short_lived, 30)
    assert auth.validate(token)["valid"]
    wait_for(lambda: not auth.validate(token)["valid"], 10)
    assert auth.reason(token) == "expired"
    assert auth.call("logout", access_token=token).code == "unauthorized"


# logout -----------------------------------------------------------------------------------------------------------------


def test_logout_is_in_postgresql_when_it_is_answered(auth, sql, redis):
    login = auth.account()
    mine, other = auth.login(login).result, auth.login(login).result
    sid = auth.read(mine["access_token"])["sid"]
    assert auth.call("logout", access_token=mine["access_token"]).result == {"revoked": True}
    assert sql("SELECT revoked_at IS NOT NULL, reason FROM auth_logins WHERE sid = %s", sid) == [(True, "logout")]
    redis.flushdb()
    assert auth.reason(mine["access_token"]) == "revoked"
    assert auth.refresh(mine["refresh_token"]).code == "unauthorized"
    assert auth.call("logout", access_token=mine["access_token"]).code == "unauthorized"
    assert auth.call("create_character", access_token=mine["access_token"], name="x", gender="male").code == "unauthorized"
    assert auth.validate(other["access_token"])["valid"]
    assert auth.refresh(other["refresh_token"]).ok


def test_logout_everywhere_ends_all_of_the_account_and_nobody_elses(auth):
    login = auth.account()
    logins = [auth.login(login).result for _ in range(3)]
    stranger = auth.login(auth.account()).result
    assert auth.call("logout", access_token=logins[1]["access_token"], everywhere=True).result["revoked"]
    for one in logins:
        assert auth.reason(one["access_token"]) == "revoked"
        assert auth.refresh(one["refresh_token"]).code == "unauthorized"
    assert auth.validate(stranger["access_token"])["valid"]
    again = auth.login(login).result
    assert auth.validate(again["access_token"])["valid"]


# refresh ----------------------------------------------------------------------------------------------------------------


def test_refresh_gives_a_new_pair_of_the_same_login(auth):
    player = auth.player()
    pair = auth.refresh(player["refresh_token"]).result
    again = auth.refresh(player["refresh_token"]).result
    for name in ("access_token", "refresh_token"):
        assert len({player[name], pair[name], again[name]}) == 3, name
    assert pair["account_id"] == player["account_id"] and pair["char_id"] == player["char_id"]
    assert auth.read(pair["access_token"])["sid"] == auth.read(player["access_token"])["sid"]
    assert auth.validate(player["access_token"])["valid"]
    assert auth.refresh(pair["refresh_token"]).ok


def test_refresh_changes_the_character(auth):
    player = auth.player()
    second = auth.character(player["access_token"], "Second")
    pair = auth.refresh(player["refresh_token"], char_id=second).result
    assert pair["char_id"] == second
    assert auth.validate(pair["access_token"])["char_id"] == second
    assert auth.refresh(pair["refresh_token"]).result["char_id"] == second


def test_refresh_goes_on_as_no_character_that_was_taken_from_the_account(auth, sql):
    player = auth.player()
    sql("UPDATE characters SET account_id = NULL WHERE id = %s", player["char_id"])
    pair = auth.refresh(player["refresh_token"]).result
    assert (pair["char_id"], pair["characters"]) == (None, [])
    assert auth.validate(pair["access_token"])["char_id"] is None


def test_refresh_finds_the_sole_character_made_since(auth):
    result = auth.login(auth.account()).result
    char_id = auth.character(result["access_token"])
    assert auth.refresh(result["refresh_token"]).result["char_id"] == char_id


def test_a_spent_token_gives_another_pair_within_its_grace(auth):
    first = auth.login(auth.account()).result
    pairs = [auth.refresh(first["refresh_token"]).result for _ in range(3)]
    assert len({pair["refresh_token"] for pair in pairs}) == 3
    for pair in pairs:
        assert auth.refresh(pair["refresh_token"]).ok


def test_a_spent_token_used_later_revokes_the_whole_login(auth, sql):
    login = auth.account()
    first, other_login = auth.login(login).result, auth.login(login).result
    second = auth.refresh(first["refresh_token"]).result
    third = auth.refresh(second["refresh_token"]).result
    time.sleep(1.2)  # past the grace
    assert auth.validate(third["access_token"])["valid"]
    replayed = auth.refresh(first["refresh_token"])
    assert replayed.code == "unauthorized"
    for pair in (first, second, third):
        assert auth.reason(pair["access_token"]) == "revoked"
        assert auth.refresh(pair["refresh_token"]).code == "unauthorized"
    sid = auth.read(third["access_token"])["sid"]
    assert sql("SELECT reason FROM auth_logins WHERE sid = %s", sid) == [("replay",)]
    assert auth.validate(other_login["access_token"])["valid"]


def test_a_token_spent_many_times_at_once_leaves_a_working_login(auth, amqp):
    first = auth.login(auth.account()).result
    sent = [amqp.request("auth.refresh", {"refresh_token": first["refresh_token"]}) for _ in range(8)]
    pairs = [amqp.requests.wait(one, 30).result for one in sent]
    assert len({pair["refresh_token"] for pair in pairs}) == 8
    for pair in pairs:
        assert auth.validate(pair["access_token"])["valid"]
        assert auth.refresh(pair["refresh_token"]).ok


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 42, "A" * 44, "=" * 43, "A" * 4000])
def test_a_refresh_token_that_is_none_is_unauthorized(auth, token):
    assert auth.refresh(token).code == "unauthorized"


def test_an_old_refresh_token_has_expired(auth, sql):
    result = auth.login(auth.account()).result
    sid = auth.read(result["access_token"])["sid"]
    sql("UPDATE auth_refresh_tokens SET expires_at = now() - interval '1 second' WHERE sid = %s", sid)
    assert auth.refresh(result["refresh_token"]).code == "unauthorized"


def test_refresh_tokens_are_stored_as_hashes_of_256_bits(auth, sql):


    result = auth.login(auth.account()).result
    bits = base64.urlsafe_b64decode(result["refresh_token"] + "=")
    assert len(bits) == 32
    assert sql("SELECT count(*) FROM auth_refresh_tokens WHERE token_hash = %s", hashlib.sha256(bits).digest()) == [(1,)]


# Keys -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(servers, build, tmp_path):
    """For tests that change keys."""
    with alone(servers, build, tmp_path) as own:
        yield own


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


def test_replicas_that_start_together_share_one_key_and_a_restart_keeps_it(own):
    _, fleet, auth, sql = own
    workers = [fleet.start("auth", ready=False) for _ in range(4)]
    for worker in workers:
        worker.wait_ready()
    assert sql("SELECT count(*) FROM auth_signing_keys") == [(1,)]
    token = auth.login(auth.account()).result["access_token"]
    for worker in workers[1:]:
        worker.stop()
        fleet.workers.remove(worker)
    assert auth.validate(token)["valid"]
    workers[0].stop()
    fleet.workers.clear()
    fleet.start("auth")
    assert auth.validate(token)["valid"]
    assert auth.reason(token[:-4]) == "malformed"


def test_a_rotation_leaves_two_keys_valid_until_the_old_one_retires(own):
    stack, fleet, auth, sql = own
    fleet.start("auth")
    login = auth.account()
    old = auth.login(login).result["access_token"]
    new_kid = json.loads(stack.ctl("keys", "rotate", "--json", "--keep=20m").stdout)["kid"]
    listed = json.loads(stack.ctl("keys", "list", "--json").stdout)
    assert [key["kid"] for key in listed] == [new_kid, kid_of(old)]
    assert listed[0]["retired_at"] is None and listed[1]["retired_at"] is not None

    def signed_by_the_new():
        token = auth.login(login).result["access_token"]
        return token if kid_of(token) == new_kid else None

    new = wait_for(signed_by_the_new, 30)
    auth.read(new)
    assert auth.validate(new)["valid"]
    assert auth.validate(old)["valid"]
    sql("UPDATE auth_signing_keys SET retired_at = now() WHERE kid = %s", kid_of(old))
    wait_for(lambda: not auth.validate(old)["valid"], 10)
    assert auth.reason(old) == "bad_signature"
    assert auth.validate(new)["valid"]


def test_a_key_given_by_setting_signs(own, tmp_path):
    _, fleet, auth, sql = own
    stored = fleet.start("auth")
    old = auth.login(auth.account()).result["access_token"]
    stored.stop()
    fleet.workers.remove(stored)
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    raw = key.private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "key.pem"
    file.write_bytes(pem)
    kids = set()
    for settings in ({"jwt_private_key": base64.b64encode(raw).decode()}, {"jwt_private_key": base64url(raw)},
                     {"jwt_private_key_file": str(file)}):  # fmt: skip
        worker = fleet.start("auth", **settings)
        token = auth.login(auth.account()).result["access_token"]
        kids.add(kid_of(token))
        jwt.decode(token, key.public_key(), algorithms=["EdDSA"])
        assert auth.validate(token)["valid"]
        assert auth.validate(old)["valid"]
        worker.stop()
        fleet.workers.remove(worker)
        assert base64url(raw)[:20] not in worker.log_text
    assert len(kids) == 1
    ((stored_public, stored_private),) = sql(
        "SELECT public_key, private_key FROM auth_signing_keys WHERE kid = %s", kids.pop()
    )
    assert bytes(stored_public) == public and stored_private is None


@pytest.mark.parametrize("key", ["x", "A" * 43 + "=" * 3, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_a_key_that_is_none_is_refused_at_start(stack, fleet, key):
    done = fleet.run("auth", jwt_private_key=key)
    assert done.returncode == 64
    assert "JWT_PRIVATE_KEY" in done.stderr and key not in done.stderr


