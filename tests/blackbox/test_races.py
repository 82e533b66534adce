"""common/, the listener and what stands on it under ThreadSanitizer, with the faults on: links that are cut, calls that fail."""

import ctypes
import itertools
import random
import threading
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from lib.proxy import Proxy
from lib.supervised import PRELOADS, ROUNDS, SEED, TSAN_BUILD, add_fixture, audit, make, play, with_build

ONE_BUILD = "first"
SERVICES = ("fixture", "tick", "combat-settlement")
LINKS = ("amqp_url", "redis_url", "database_url")
CUT_EVERY_S = 0.7
CUTS = 6
ADDR_NO_RANDOMIZE = 0x0040000
# Within what every play calls.
CALLS = {
    "PQflush": 60, "PQconsumeInput": 40, "PQsendQueryPrepared": 10, "amqp_basic_publish": 8, "amqp_basic_ack": 4,
    "amqp_simple_wait_frame_noblock": 60, "redis_send": 15, "redisReaderFeed": 10,
}  # fmt: skip


@pytest.fixture(scope="module")
def sanitized(stack):
    """ThreadSanitizer of gcc 12 cannot stand the wide address randomization of newer kernels; what we start inherits that."""
    programs = ["build/tsan/tests/garrison-fixture", *(f"build/tsan/bin/garrison-{name}" for name in SERVICES[1:])]
    make("SAN=tsan", *programs)
    make("build/tests/fail_calls.so")
    add_fixture(stack)
    libc = ctypes.CDLL(None)
    before = libc.personality(0xFFFFFFFF)
    libc.personality(before | ADDR_NO_RANDOMIZE)
    sanitized = with_build(stack, TSAN_BUILD)
    sanitized.ctl = stack.ctl  # there is no need for one that is sanitized
    yield sanitized
    libc.personality(before)


def keep_cutting(proxies, done):
    for proxy in itertools.islice(itertools.cycle(proxies), CUTS):
        if done.wait(CUT_EVERY_S):
            return
        proxy.cut("rst")


@pytest.mark.parametrize("round", range(ROUNDS))
@pytest.mark.parametrize("service", SERVICES)
def test_no_race_under_faults(sanitized, stack, tmp_path, service, round):
    chance = random.Random(f"{SEED}-races-{service}-{round}")
    calls = [f"{name}@{chance.randint(1, most)}/{chance.choice(['before', 'after'])}" for name, most in CALLS.items()]
    print(f"GARRISON_FAULT_SEED={SEED}: {calls}")
    report, done = tmp_path / "report", threading.Event()
    with ExitStack() as proxies:
        links = {link: proxies.enter_context(Proxy(stack.environment[link.upper()])) for link in LINKS}
        settings = {link: proxy.url for link, proxy in links.items()}
        settings["tsan_options"] = f"halt_on_error=0:exitcode=66:log_path={tmp_path / 'race'}"
        fault = {
            "ld_preload": PRELOADS / "fail_calls.so", "fail_calls": ",".join(calls), "fail_report": report,
            "fail_redis_port": urlsplit(links["redis_url"].url).port,
        }  # fmt: skip
        cutter = threading.Thread(target=keep_cutting, args=(list(links.values()), done))
        cutter.start()
        try:
            play(sanitized, tmp_path, service, settings, fault)
        finally:
            done.set()
            cutter.join()
            races = sorted(tmp_path.glob("race*"))
            assert not races, races[0].read_text()[:6000]
    assert report.read_text().count("fired") > len(calls) // 2
    audit(stack)
