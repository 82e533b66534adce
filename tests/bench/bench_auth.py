#!/usr/bin/python3
"""Auth: a token checked locally; validate_token a second over RPC, beside logins and without; memory while passwords are hashed."""

import json
import subprocess
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lib.auth import PASSWORD, Auth
from lib.bench import TOOLS, bare_responder, run

REQUESTS = 60_000
TOKENS = 2000
WINDOW = 256
HASHING_S = 5
# What 12,000 a second were of 25,631 bare requests and replies, 128 in flight, where they became the goal.
OF_BARE_REQUESTS = 0.47


def ask(stack, key, n, bodies, window=WINDOW):
    """(requests a second, how many were ok)"""
    words = [TOOLS / "bare_amqp", "request", stack.amqp_url, key, key.partition(".")[2], str(n), str(window)]
    lines = "".join(json.dumps(body) + "\n" for body in bodies)
    done = subprocess.run(words, check=True, capture_output=True, text=True, input=lines)
    seconds, ok = done.stdout.split()
    return n / float(seconds), int(ok)


def make_tokens(database, n):
    """Access tokens of n logins of as many accounts, signed with the stored key as auth would."""
    with database.cursor() as cursor:
        cursor.execute("SELECT kid, private_key FROM auth_signing_keys")
        kid, seed = cursor.fetchone()
        cursor.execute("INSERT INTO accounts (login) SELECT 'bench-' || generate_series(1, %s) RETURNING id", (n,))
        accounts = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "INSERT INTO auth_logins (sid, account_id) SELECT gen_random_uuid(), unnest(%s) RETURNING sid, account_id",
            (accounts,),
        )
        logins = cursor.fetchall()
        cursor.execute("VACUUM ANALYZE auth_logins")
    key, now = Ed25519PrivateKey.from_private_bytes(bytes(seed)), int(time.time())
    claims = {"char": None, "gen": 1, "iat": now, "exp": now + 900}
    return [jwt.encode({**claims, "sub": str(account), "sid": sid}, key, algorithm="EdDSA", headers={"kid": kid})
            for sid, account in logins]  # fmt: skip


def local_checks(bench):
    """Microseconds of processor time: what common/token.c costs whoever verifies for himself."""
    n = str(bench.size(3000, 100))
    checks = [subprocess.run([TOOLS / "token_check", n], check=True, capture_output=True, text=True).stdout.split()
              for _ in range(bench.runs)]  # fmt: skip
    first, again, signed, bare = [[float(value) for value in values] for values in zip(*checks, strict=True)]
    beside = {"libsodium's verification alone": bare}
    bench.figure("an access token checked for the first time", "µs", first, beside, at_most=80)
    bench.figure("an access token checked again", "µs", again, at_most=10)
    bench.figure("an access token signed", "µs", signed)


class Crowd:
    """Logins, each with a password to hash, eight at a time while the block lasts."""

    def __init__(self, stack, worker, login):
        self.stack, self.worker, self.login = stack, worker, login
        self.logins, self.highest = 0, 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._watch), threading.Thread(target=self._run)]

    def _watch(self):
        while not self._stop.wait(0.005):
            self.highest = max(self.highest, self.worker.resident_bytes())

    def _run(self):
        body = {"login": self.login, "password": PASSWORD}
        while not self._stop.is_set():
            self.logins += ask(self.stack, "auth.login", 200, [body], window=8)[1]

    def __enter__(self):
        self.begun = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.rate = self.logins / (time.monotonic() - self.begun)


def main(bench):
    local_checks(bench)
    bench.stack.add_service("fixture")
    bench.fleet.start("fixture", log_level="warn")
    worker = bench.fleet.start("auth", log_level="warn", login_failures_max=100000)
    login = Auth(bench.stack.amqp(), None).account()
    n, n_tokens = bench.size(REQUESTS, 2000), bench.size(TOKENS, 100)
    bodies = [{"access_token": token} for token in make_tokens(bench.stack.database(), n_tokens)]
    first, ok = ask(bench.stack, "auth.validate_token", n_tokens, bodies)
    assert ok == n_tokens
    rates, empty, nothing = [], [], []
    with bare_responder(bench.stack) as key:
        for _ in range(bench.runs):
            nothing.append(ask(bench.stack, key, n, bodies)[0])
            empty.append(ask(bench.stack, "fixture.echo", n, [{"text": "x" * 300}])[0])
            rate, ok = ask(bench.stack, "auth.validate_token", n, bodies)
            assert ok == n
            rates.append(rate)
    bench.figure(f"validate_token, {WINDOW} in flight, tokens for the first time", "a second", [first])
    seen = "validate_token, tokens seen before"
    bench.figure(seen, "a second", rates, {"an empty command by the same lane": empty}, at_least=12_000)
    bare = {"request and reply with nothing done, bare librabbitmq": nothing}
    bench.figure(seen, "a second", rates, bare, ratio_at_least=OF_BARE_REQUESTS)
    meanwhile = []
    with Crowd(bench.stack, worker, login) as crowd:
        while len(meanwhile) < bench.runs or time.monotonic() - crowd.begun < HASHING_S * bench.scale:
            meanwhile.append(ask(bench.stack, "auth.validate_token", n // 5, bodies)[0])
    bench.figure("validate_token while passwords are hashed", "a second", meanwhile)
    bench.figure("logins beside them", "a second", [crowd.rate])
    bench.figure("auth's memory while two passwords are hashed", "MiB", [crowd.highest / 2**20])


if __name__ == "__main__":
    run(main)
