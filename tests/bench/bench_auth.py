#!/usr/bin/python3
"""Auth: a token checked locally; validate_token a second over RPC, beside logins and without; logins a second; memory while hashing."""

import json
import os
import statistics
import subprocess
import tempfile
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lib.auth import PASSWORD, Auth
from lib.fleet import Fleet
from lib.servers import ROOT, Servers
from lib.stack import Stack

REQUESTS = int(os.environ.get("BENCH_REQUESTS", 100_000))
RUNS = int(os.environ.get("BENCH_RUNS", 3))
TOKENS = int(os.environ.get("BENCH_TOKENS", 2000))
WINDOW = 256
HASHING_S = 5


def ask(stack, command, n, bodies, window=WINDOW):
    """(requests a second, how many were ok)"""
    words = [ROOT / "build/tests/bare_amqp", "request", stack.amqp_url, f"auth.{command}", command, str(n), str(window)]
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


def rate(label, values):
    print(f"  {label:58} {statistics.median(values):9,.0f}  ({min(values):,.0f} to {max(values):,.0f})")


def main():
    checks = [subprocess.run([ROOT / "build/tests/token_check", "3000"], check=True, capture_output=True, text=True)
              .stdout.split() for _ in range(RUNS)]  # fmt: skip
    print(f"one token, microseconds of processor time; median (lowest to highest) of {RUNS}:")
    for label, values in zip(("checked for the first time", "checked again", "signed"), zip(*checks), strict=True):
        values = [float(value) for value in values]
        print(f"  {label:58} {statistics.median(values):9.2f}  ({min(values):.2f} to {max(values):.2f})")

    stack = Stack(Servers(os.environ["GARRISON_TEST_STACK"]), ROOT / "build/bin").create()
    amqp, database = stack.amqp(), stack.database()
    with tempfile.TemporaryDirectory() as logs:
        fleet = Fleet(stack, logs)
        worker = fleet.start("auth", log_level="warn", login_failures_max=100000)
        auth = Auth(amqp, None)
        login, tokens = auth.account(), make_tokens(database, TOKENS)
        bodies = [{"access_token": token} for token in tokens]
        print(f"requests a second, one worker, {WINDOW} in flight; median (lowest to highest) of {RUNS}:")
        first = ask(stack, "validate_token", TOKENS, bodies)
        assert first[1] == TOKENS
        print(f"  {f'validate_token, {TOKENS:,} tokens for the first time':58} {first[0]:9,.0f}")
        rates = []
        for _ in range(RUNS):
            per_second, ok = ask(stack, "validate_token", REQUESTS, bodies)
            assert ok == REQUESTS
            rates.append(per_second)
        rate(f"validate_token, the same {TOKENS:,} tokens again", rates)
        quiet = worker.resident_bytes() / 2**20

        highest, logins, stop = [0], [0, 0], threading.Event()

        def watch():
            while not stop.is_set():
                highest[0] = max(highest[0], worker.resident_bytes())
                time.sleep(0.005)

        def crowd():
            while not stop.is_set():
                n = 200
                _, ok = ask(stack, "login", n, [{"login": login, "password": PASSWORD}], window=8)
                logins[0] += ok
                logins[1] += n

        began = time.monotonic()
        threads = [threading.Thread(target=watch), threading.Thread(target=crowd)]
        for thread in threads:
            thread.start()
        beside = []
        while time.monotonic() - began < HASHING_S:
            beside.append(ask(stack, "validate_token", 20000, bodies)[0])
        stop.set()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        rate("validate_token, while passwords are hashed", beside)
        print(f"logins a second beside them: {logins[0] / took:.0f} ({logins[0]} of {logins[1]} sent; the others rate_limited)")
        print(f"resident: {quiet:.1f} MiB before any crowd of logins, {highest[0] / 2**20:.0f} MiB at most while two hash")
        fleet.stop()
    amqp.close()
    database.close()
    stack.remove()


main()
