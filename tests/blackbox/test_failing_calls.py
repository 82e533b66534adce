"""The k-th call into libpq, hiredis' part and librabbitmq fails, as in life: the connection is cut before it, behind it, or it says so.

A first play counts a service's calls; then calls are chosen by the seed and fail, some in each play. Whatever fails: each message ends
with its effect there once, or dead with its reason, and the stores agree. A failure that never came fails the test.
"""

import os
import random
import re

import pytest

from lib.scenarios import SCENARIOS
from lib.supervised import PRELOADS, ROUNDS, SEED, add_fixture, audit, make, play, redis_port

ONE_BUILD = "first"
GROUPED_BY = "service"

LIBRARIES = {"libpq": r"^PQ", "librabbitmq": r"^amqp_", "hiredis": r"^redis"}
# What cannot be cut in the middle: there is no connection yet, or the answer is only looked for.
NO_CONNECTION = {"amqp_socket_open_noblock", "redis_connect"}
# These give answers, not codes: what is behind them finds the connection cut.
GIVES_ANSWER = {"amqp_channel_open", "amqp_confirm_select", "amqp_basic_qos", "amqp_basic_consume", "amqp_queue_declare"}
AT_ONCE = 3  # failures in one play
CLEAN_ENDS = (0, 69)
OUT_OF_MEMORY = (*CLEAN_ENDS, 70, -6)  # and the abort that says so


@pytest.fixture(scope="module")
def world(stack):
    make("build/tests/fail_calls.so", "build/tests/fail_malloc.so")
    add_fixture(stack)
    return stack


def fault(stack, folder, preload, calls):
    report = folder / f"report-{len(os.listdir(folder))}"
    return report, {
        "ld_preload": PRELOADS / preload,
        "fail_calls": ",".join(calls) or "nothing@1/error",
        "fail_report": report,
        "fail_redis_port": redis_port(stack),
    }


def lines(report, what):
    """[(name, number, how)] that a process has told of itself."""
    found = re.findall(rf"^{what} (\S+) (\d+) (\w*)$", report.read_text() if report.exists() else "", re.M)
    return [(name, int(number), how) for name, number, how in found]


@pytest.fixture(scope="module")
def counts(world, tmp_path_factory):
    """counts(service, preload): {function: calls} of a play without failures."""
    known = {}

    def count(service, preload):
        if (service, preload) not in known:
            folder = tmp_path_factory.mktemp("counts")
            report, settings = fault(world, folder, preload, [])
            play(world, folder, service, {}, settings)
            known[service, preload] = {name: number for name, number, _ in lines(report, "calls")}
        return known[service, preload]

    return count


def hows(name):
    if name in NO_CONNECTION:
        return ["error"]
    return ["before", "after"] if name in GIVES_ANSWER else ["before", "after", "error"]


def choose(chance, calls, n):
    """Functions first, each as likely, lest the one that is called all the time leaves no room; some early calls among them."""
    chosen = {}
    while len(chosen) < n:
        name = chance.choice(sorted(calls))
        number = chance.randint(1, max(1, min(calls[name], chance.choice([3, 30, 3000])) * 4 // 5))
        chosen[name, number] = chance.choice(hows(name))
    return [f"{name}@{number}/{how}" for (name, number), how in chosen.items()]


def times(usual, slow_once):
    """[(service, round)]; in the short form those that take long have one."""
    return [(service, n) for service in SCENARIOS for n in range(1 if slow_once(service) and ROUNDS == 1 else usual * ROUNDS)]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("service, round", times(2, lambda service: service == "auth"))  # its hashing takes long
def test_calls_that_fail(world, counts, tmp_path, service, library, round):
    calls = {name: n for name, n in counts(service, "fail_calls.so").items() if re.match(LIBRARIES[library], name)}
    if not calls and service == "gateway" and library == "hiredis":
        pytest.skip("the gateway has no Redis")
    chosen = choose(random.Random(f"{SEED}-{service}-{library}-{round}"), calls, AT_ONCE)
    print(f"GARRISON_FAULT_SEED={SEED}: {chosen}")
    report, settings = fault(world, tmp_path, "fail_calls.so", chosen)
    first = play(world, tmp_path, service, {}, settings)
    assert first.process.returncode in CLEAN_ENDS, first.log_text[-2000:]
    assert [f"{name}@{n}/{how}" for name, n, how in lines(report, "fired")], f"none of {chosen} came"
    audit(world)


def test_a_connection_that_breaks_while_a_worker_starts(world, tmp_path, fleet):
    """Just when it looks whether its queues are there: it connects again, and does not wait for the end of its patience."""
    report, settings = fault(world, tmp_path, "fail_calls.so", ["amqp_queue_declare@2/before"])
    worker = fleet.start("fixture", ready=False, **settings)
    worker.wait_ready(10)
    assert lines(report, "fired")


@pytest.mark.parametrize("service, round", times(4, lambda service: service != "fixture"))
def test_no_memory(world, counts, tmp_path, service, round):
    """The n-th allocation fails: the worker goes on, or ends at once and says why; nothing is half done."""
    total = counts(service, "fail_malloc.so")["malloc"]
    n = random.Random(f"{SEED}-{service}-malloc-{round}").randint(1, total * 4 // 5)
    print(f"GARRISON_FAULT_SEED={SEED}: allocation {n} of {total}")
    report, settings = fault(world, tmp_path, "fail_malloc.so", [f"malloc@{n}/error"])
    first = play(world, tmp_path, service, {}, settings)
    assert lines(report, "fired"), "it never came"
    assert first.process.returncode in OUT_OF_MEMORY, (first.process.returncode, first.log_text[-2000:])
    if first.process.returncode == -6:
        assert "out of memory" in first.log_text
    audit(world)
