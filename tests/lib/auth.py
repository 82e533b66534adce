"""Auth's commands as a test says them, and the tokens as another maker's library (PyJWT) reads them."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from contextlib import contextmanager
from urllib.parse import quote

import jwt

from .fleet import Fleet
from .stack import Stack

PASSWORD = "correct horse battery"
BOT_TOKEN = "5768337691:AAH5YkoiEuPk8-FZa32hStHTqXiLPtAEhx8"


def base64url(data):
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new_name(prefix="player"):
    return f"{prefix}-{uuid.uuid4().hex[:16]}"


class Auth:
    def __init__(self, amqp, sql):
        self.amqp = amqp
        self.sql = sql

    def call(self, command, client=None, timeout=30, **body):
        """client: the address in header g-client, as the gateway would say it; message_id: the sender's."""
        options = {"headers": {"g-client": client}} if client else {}
        if "message_id" in body:
            options["message_id"] = body.pop("message_id")
        return self.amqp.call(f"auth.{command}", body, timeout=timeout, **options)

    def account(self, password=PASSWORD):
        """A new account's login name."""
        login = new_name()
        self.call("register", login=login, password=password).result
        return login

    def login(self, login, password=PASSWORD, **options):
        return self.call("login", login=login, password=password, **options)

    def character(self, access_token, name="Hero", **options):
        reply = self.call("create_character", access_token=access_token, name=name, gender="other", **options)
        return reply.result["char_id"]

    def player(self):
        """A new account with one character, logged in as that: login's result, with its login name."""
        login = self.account()
        self.character(self.login(login).result["access_token"])
        return {"login": login, **self.login(login).result}

    def refresh(self, refresh_token, **options):
        return self.call("refresh", refresh_token=refresh_token, **options)

    def validate(self, access_token):
        return self.call("validate_token", access_token=access_token).result

    def reason(self, access_token):
        result = self.validate(access_token)
        assert result["valid"] is False, result
        assert result.get("account_id") is None and result.get("char_id") is None
        return result["reason"]

    # The public keys, and tokens made by hand ------------------------------------------------------------------------

    def jwk_set(self):
        """As RFC 8037 writes what the database holds."""
        rows = self.sql("SELECT kid, public_key FROM auth_signing_keys")
        keys = [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": base64url(bytes(x))}
                for kid, x in rows]  # fmt: skip
        return jwt.PyJWKSet.from_dict({"keys": keys})

    def read(self, access_token):
        """Its claims, verified by the key that its header names."""
        kid = jwt.get_unverified_header(access_token)["kid"]
        key = next(key for key in self.jwk_set().keys if key.key_id == kid)
        return jwt.decode(access_token, key.key, algorithms=["EdDSA"])


def init_data(user, bot_token=BOT_TOKEN, auth_date=None, encode=quote, **more):
    """What a Mini App would pass on; as Telegram documents it: user is an object or an id."""
    if isinstance(user, int):
        user = {"id": user, "first_name": "Владислав + co", "language_code": "ru"}
    pairs = {"auth_date": str(int(time.time() if auth_date is None else auth_date)), "query_id": "AAHdF6IQAAAAAN0XohDhrOrc"}
    if user is not None:
        pairs["user"] = json.dumps(user, ensure_ascii=False)
    pairs.update(more)
    lines = "\n".join(f"{name}={value}" for name, value in sorted(pairs.items()))
    secret = hmac.new(b"WebAppData", bot_token.encode(), hashlib.sha256).digest()
    pairs["hash"] = hmac.new(secret, lines.encode(), hashlib.sha256).hexdigest()
    return "&".join(f"{name}={encode(value)}" for name, value in pairs.items())


@contextmanager
def alone(servers, build, folder):
    """A stack that one test has for itself, so that no other test's workers take its requests: (stack, fleet, auth, sql)."""
    stack = Stack(servers, build).create()
    fleet, amqp, database = Fleet(stack, folder), stack.amqp(), stack.database()

    def sql(statement, *values):
        with database.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else None

    try:
        yield stack, fleet, Auth(amqp, sql), sql
        fleet.stop()
    finally:
        for worker in fleet.workers:
            worker.kill()
        amqp.close()
        database.close()
        stack.remove()
