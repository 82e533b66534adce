"""How often passwords may be tried, what hashing costs the other commands, and what happens without Redis or memory."""

import resource
import statistics
import threading
import time
import uuid
from pathlib import Path

import pytest

from lib.auth import PASSWORD, Auth, alone, new_name
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


def new_address():
    return f"2001:db8::{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}"


def fail(auth, login, n, **options):
    for _ in range(n):
        assert auth.login(login, "wrong password", **options).code == "unauthorized"


# The limits -----------------------------------------------------------------------------------------------------------


def test_five_failures_close_a_login_to_that_address(auth):
    login, address = auth.account(), new_address()
    fail(auth, login, 5, client=address)
    refused = auth.login(login, "wrong password", client=address)
    assert refused.code == "rate_limited" and refused.error["retryable"] is True
    assert auth.login(login, client=address).code == "rate_limited"  # the right password as well
    assert auth.login(login, client=new_address()).ok
    assert auth.login(auth.account(), client=address).ok
    assert auth.login(login).ok  # nor is it closed to services, which have no address


def test_four_failures_do_not_and_success_is_none(auth):
    login, address = auth.account(), new_address()
    fail(auth, login, 4, client=address)
    for _ in range(8):
        assert auth.login(login, client=address).ok
    fail(auth, login, 1, client=address)
    assert auth.login(login, client=address).code == "rate_limited"


def test_an_unknown_login_is_limited_alike(auth):
    login, address = new_name("nobody"), new_address()
    fail(auth, login, 5, client=address)
    assert auth.login(login, client=address).code == "rate_limited"


def test_without_an_address_each_login_is_limited_by_itself(auth):
    login = auth.account()
    fail(auth, login, 5)
    assert auth.login(login).code == "rate_limited"
    assert auth.login(auth.account()).ok


def test_many_tries_at_once_fail_no_more_than_five_times(auth, stack, sql):
    login, address = auth.account(), new_address()
    codes = []

    def one():
        amqp = stack.amqp()
        codes.append(Auth(amqp, sql).login(login, "wrong password", client=address).code)
        amqp.close()

    in_parallel(one, 12)
    assert sorted(codes) == ["rate_limited"] * 7 + ["unauthorized"] * 5


def test_many_right_passwords_at_once_are_no_failures(auth, stack, sql):
    login, address = auth.account(), new_address()
    done = []

    def one():
        amqp = stack.amqp()
        done.append(Auth(amqp, sql).login(login, client=address).ok)
        amqp.close()

    in_parallel(one, 8)
    assert done == [True] * 8


def in_parallel(function, n):
    threads = [threading.Thread(target=function) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_fifty_failures_close_an_address(auth, redis, fleet):
    address = new_address()
    fleet.start("auth")  # the count is shared by the replicas
    login = auth.account()
    for _ in range(50):
        fail(auth, new_name("nobody"), 1, client=address)
    assert auth.login(login, client=address).code == "rate_limited"
    assert auth.login(login, client=new_address()).ok


def test_the_old_password_is_guessed_no_more_often(auth):
    login, address = auth.account(), new_address()
    token = auth.login(login).result["access_token"]

    def change(old):
        return auth.call(
            "change_password", access_token=token, old_password=old, new_password="new password", client=address
        ).code

    assert [change("wrong password") for _ in range(6)] == ["unauthorized"] * 5 + ["rate_limited"]
    assert auth.login(login, client=address).code == "rate_limited"
    assert auth.validate(token)["valid"]


def test_it_lasts_for_its_window(servers, build, tmp_path):
    with alone(servers, build, tmp_path) as (_, fleet, auth, _):
        fleet.start("auth", login_failures_window="2s", login_failures_max=2)
        login, address = auth.account(), new_address()
        fail(auth, login, 1, client=address)
        time.sleep(2.1)  # the first no longer counts
        fail(auth, login, 2, client=address)
        began = time.monotonic()
        assert auth.login(login, client=address).code == "rate_limited"
        wait_for(lambda: auth.login(login, client=address).body["ok"], 10)
        assert 1.5 < time.monotonic() - began < 4
        fail(auth, login, 1, client=address)


def test_it_lasts_for_a_minute(auth, redis):
    login, address = auth.account(), new_address()
    fail(auth, login, 5, client=address)
    blocked = redis.keys("auth:blocked:*")
    assert blocked and all(0 < redis.pttl(key) <= 60000 for key in blocked)
    assert max(redis.pttl(key) for key in blocked) > 50000
    assert all(redis.pttl(key) > 0 for key in redis.keys("auth:*"))  # nothing stays for ever


# Indistinguishable ------------------------------------------------------------------------------------------------------


def test_an_unknown_login_and_a_wrong_password_cannot_be_told_apart(auth):
    known = [auth.account() for _ in range(4)]
    times = {"known": [], "unknown": []}
    replies = set()
    for _ in range(14):
        for kind in times:  # in turn, so that whatever else the machine does falls on both
            login = known[len(times[kind]) % 4] if kind == "known" else new_name("nobody")
            began = time.perf_counter()
            reply = auth.login(login, "wrong password", client=new_address())
            times[kind].append(time.perf_counter() - began)
            replies.add(str(reply.body))
    assert len(replies) == 1 and "unauthorized" in replies.pop()
    # An answer without hashing would take a hundredth of the time.
    fastest, medians = {k: min(v) for k, v in times.items()}, {k: statistics.median(v) for k, v in times.items()}
    assert 0.6 < fastest["unknown"] / fastest["known"] < 1.67, times
    assert 0.5 < medians["unknown"] / medians["known"] < 2, times


# Hashing and the others -------------------------------------------------------------------------------------------------


def test_hashing_stalls_nobody_else(auth, stack, amqp, sql):
    token = auth.login(auth.account()).result["access_token"]
    logins = [auth.account() for _ in range(4)]
    codes, stop = [], threading.Event()

    def crowd(number):
        own = stack.amqp()
        auth_here = Auth(own, sql)
        while not stop.is_set():
            reply = auth_here.login(logins[number % 4], client=new_address())
            codes.append(reply.body["ok"] or reply.code)
        own.close()

    threads = [threading.Thread(target=crowd, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(codes) > 24, 60)
        took = []
        for _ in range(40):
            began = time.perf_counter()
            assert auth.validate(token)["valid"]
            took.append(time.perf_counter() - began)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(codes) <= {True, "rate_limited"}
    assert codes.count(True) > 10
    # Behind the crowd's hashes it would be seconds.
    assert statistics.median(took) < 0.25, took


def test_no_memory_is_no_wrong_password(servers, build, tmp_path):
    if "asan" in str(build):
        pytest.skip("AddressSanitizer reserves terabytes of addresses")
    with alone(servers, build, tmp_path) as (_, fleet, auth, _):
        worker = fleet.start("auth")
        login = auth.account()
        used = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(worker.pid, resource.RLIMIT_AS, (used + (40 << 20), resource.RLIM_INFINITY))
        for password in (PASSWORD, "wrong password"):
            reply = auth.login(login, password)
            assert reply.code == "unavailable" and reply.error["retryable"] is True
        assert auth.call("register", login=new_name(), password=PASSWORD).code == "unavailable"
        resource.prlimit(worker.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert auth.login(login).ok
        assert auth.login(login, "wrong password").code == "unauthorized"


# Without Redis ----------------------------------------------------------------------------------------------------------


def test_without_redis_tokens_go_on_and_passwords_wait(own_stack, own_fleet):
    own_fleet.start("auth")
    amqp = own_stack.amqp()
    auth = Auth(amqp, None)
    login = auth.account()
    result = auth.login(login).result
    own_stack.servers.kill("redis")
    try:
        # Nobody could count the failures: no password is tried, right or wrong.
        assert auth.login(login).code == "unavailable"
        assert auth.login(login, "wrong password").code == "unavailable"
        for _ in range(3):
            assert auth.validate(result["access_token"])["valid"]
        result = auth.refresh(result["refresh_token"]).result
        assert auth.call("register", login=new_name(), password=PASSWORD).ok
        assert auth.call("logout", access_token=result["access_token"]).result["revoked"]
        assert auth.reason(result["access_token"]) == "revoked"
    finally:
        own_stack.servers.start("redis")
    wait_for(lambda: auth.login(login).body["ok"], 20)
    assert auth.reason(result["access_token"]) == "revoked"
    amqp.close()


def test_postgresql_lost_and_found(own_stack, own_fleet):
    own_fleet.start("auth")
    amqp = own_stack.amqp()
    auth = Auth(amqp, None)
    login = auth.account()
    token = auth.login(login).result["access_token"]
    own_stack.servers.kill("postgres")
    reply = amqp.call("auth.validate_token", {"access_token": token}, timeout=15, expiration="5000")
    assert reply.code in ("unavailable", "timeout") and reply.error["retryable"]
    own_stack.servers.start("postgres")
    wait_for(lambda: auth.validate(token)["valid"], 30)
    assert auth.login(login).ok
    amqp.close()
