"""Players' tokens: who signed them, how long they live, and that a logout counts within a second."""

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lib.gateway import SERVICE_TOKEN, Gateway, Issuer, Stub, assert_problem, ok
from lib.wait import wait_for

pytestmark = pytest.mark.services("gateway", "arena")

PATH = "/arena/queue/status"


@pytest.fixture
def gateway(fleet):
    return Gateway(fleet.start("gateway", service_token=SERVICE_TOKEN))


@pytest.fixture
def issuer(database, gateway):
    """Whose key the gateway knows."""
    issuer = Issuer(database)
    wait_for(lambda: issuer.kid in gateway.get("/.well-known/jwks.json").text, what="the key to be known")
    return issuer


@pytest.fixture
def arena(stack):
    stub = Stub(stack, "arena", lambda request: ok({"char_id": request.body.get("char_id")}))
    yield stub
    stub.stop()


def status(gateway, token):
    return gateway.get(PATH, token=token).status_code


def test_a_good_token(gateway, issuer, arena):
    assert gateway.get(PATH, token=issuer.player(7)).json() == {"char_id": 7}


def test_the_keys_are_published(gateway, issuer):
    response = gateway.get("/.well-known/jwks.json", token=None)
    assert response.status_code == 200
    key = next(key for key in response.json()["keys"] if key["kid"] == issuer.kid)
    assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
    claims = jwt.decode(issuer.player(7), jwt.PyJWK(key).key, algorithms=["EdDSA"])
    assert claims["char"] == 7


def forged(issuer):
    """Tokens that none may honour."""
    claims = issuer.login(7)
    good = issuer.token(claims)
    head, body, signature = good.split(".")
    plain = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": issuer.kid}).encode()).rstrip(b"=").decode()
    other_body = base64.urlsafe_b64encode(json.dumps({**claims, "char": 8}).encode()).rstrip(b"=").decode()
    now = int(time.time())
    return {
        "another_key": issuer.token(claims, Ed25519PrivateKey.generate()),
        "unknown_kid": issuer.token(claims, kid="nobody"),
        "no_algorithm": f"{plain}.{body}.",
        "hmac": jwt.encode(claims, "secret", algorithm="HS256", headers={"kid": issuer.kid}),
        "other_claims": f"{head}.{other_body}.{signature}",
        "no_signature": f"{head}.{body}.",
        "cut": good[:-10],
        "expired": issuer.token({**claims, "iat": now - 700, "exp": now - 1}),
        "too_old": issuer.token({**claims, "iat": now - 16 * 60, "exp": now + 600}),
        "words": "not a token",
        "dots": "..",
        "long": "x" * 5000,
    }


def test_tokens_that_none_may_honour(gateway, issuer, arena):
    for how, token in forged(issuer).items():
        response = gateway.get(PATH, token=token)
        assert response.status_code == 401, how
        assert_problem(response, 401, "unauthorized")
        assert "invalid_token" in response.headers["WWW-Authenticate"]
    assert not arena.requests


def test_a_logout_counts_within_a_second(gateway, issuer, arena):
    for _ in range(3):
        claims = issuer.login(7)
        token, other = issuer.token(claims), issuer.player(7)
        assert status(gateway, token) == 200
        issuer.revoke(claims)
        end = time.monotonic() + 1
        wait_for(lambda: status(gateway, token) == 401, timeout=1, what="the logout to count")  # noqa: B023
        time.sleep(max(0, end - time.monotonic()))
        assert status(gateway, token) == 401 and status(gateway, other) == 200


def test_a_logout_before_the_start_counts(fleet, issuer, arena):
    claims = issuer.login(7)
    issuer.revoke(claims)
    for _ in range(2):
        gateway = Gateway(fleet.start("gateway", service_token=SERVICE_TOKEN))
        assert status(gateway, issuer.token(claims)) == 401


def test_a_logout_whose_transaction_is_slow(gateway, issuer, arena, stack):
    """It is dated at the transaction's begin, which may be before a look that did not see it."""
    claims = issuer.login(7)
    slow = stack.database()
    slow.autocommit = False
    with slow.cursor() as cursor:
        cursor.execute("UPDATE auth_logins SET revoked_at = now() WHERE sid = %s", (claims["sid"],))
        time.sleep(1.5)
        assert status(gateway, issuer.token(claims)) == 200
        slow.commit()
    wait_for(lambda: status(gateway, issuer.token(claims)) == 401, timeout=1, what="the logout to count")
    slow.close()


def test_a_retired_key_counts_no_more(gateway, issuer, arena, sql):
    token = issuer.player(7)
    assert status(gateway, token) == 200
    sql("UPDATE auth_signing_keys SET retired_at = now() WHERE kid = %s", issuer.kid)
    wait_for(lambda: status(gateway, token) == 401, timeout=2, what="the key to be retired")


def test_many_logouts(gateway, issuer, arena, sql):
    token = issuer.player(7)
    sql(
        "INSERT INTO auth_logins (sid, account_id, revoked_at) SELECT gen_random_uuid(),"
        " (SELECT max(id) FROM accounts), now() FROM generate_series(1, 20000)"
    )
    claims = issuer.login(8)
    issuer.revoke(claims)
    wait_for(lambda: status(gateway, issuer.token(claims)) == 401, timeout=3, what="the logout to count")
    assert status(gateway, token) == 200


def test_while_nobody_can_say_what_was_revoked(own_fleet, own_stack):
    gateway = Gateway(own_fleet.start("gateway", service_token=SERVICE_TOKEN))
    connection = own_stack.database()
    issuer = Issuer(connection)
    token = issuer.player(7)
    connection.close()
    arena = Stub(own_stack, "arena", lambda request: ok({}))
    try:
        wait_for(lambda: status(gateway, token) == 200, what="the key to be known")
        own_stack.servers.kill("postgres")
        try:
            wait_for(lambda: status(gateway, token) == 503, timeout=1.5, what="the guard to be unsure")
            response = gateway.get(PATH, token=token)
            assert_problem(response, 503, "unavailable")
            assert "Retry-After" in response.headers
            assert gateway.get(PATH + "?char_id=7").status_code == 200  # a service needs no guard
            assert status(gateway, "nonsense") == 401
        finally:
            own_stack.servers.start("postgres")
        wait_for(lambda: status(gateway, token) == 200, timeout=15, what="the guard to be sure again")
    finally:
        arena.stop()


def test_while_redis_is_gone(own_fleet, own_stack):
    gateway = Gateway(own_fleet.start("gateway", service_token=SERVICE_TOKEN))
    connection = own_stack.database()
    issuer = Issuer(connection)
    arena = Stub(own_stack, "arena", lambda request: ok({}))
    own_stack.servers.kill("redis")
    try:
        claims = issuer.login(7)
        wait_for(lambda: status(gateway, issuer.token(claims)) == 200, what="the key to be known")
        issuer.revoke(claims)
        wait_for(lambda: status(gateway, issuer.token(claims)) == 401, timeout=1, what="the logout to count")
    finally:
        own_stack.servers.start("redis")
        arena.stop()
        connection.close()
