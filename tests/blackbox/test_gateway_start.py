"""The gateway's settings, and what it wants to find before it serves."""

import json
import socket

import pytest

from lib.fleet import Fleet, free_address
from lib.gateway import SERVICE_TOKEN, Gateway
from lib.stack import Stack

pytestmark = pytest.mark.services("gateway")

BAD = {
    "GATEWAY_ADDR": ["nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:port", "127.0.0.1:65536", "no.such.host.invalid:80"],
    "TRUSTED_PROXIES": ["10.0.0.0/33", "example.org", "10.0.0.1,x"],
    "CORS_ORIGINS": ["game.example", "https://game.example/", "https://", "https://a b"],
    "SERVICE_TOKEN": ["with space", "строка"],
    "GATEWAY_MAX_CONNECTIONS": ["0", "many"],
    "GATEWAY_BODY_TIMEOUT": ["10", "1ms"],
    "GATEWAY_MAX_HEADER": ["100"],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in BAD.items() for value in values])
def test_bad_settings_are_refused_by_name(fleet, name, value):
    done = fleet.run("gateway", **{name: value})
    assert done.returncode == 64 and name in done.stderr, done.stderr
    if name == "SERVICE_TOKEN":
        assert value not in done.stderr


def test_help_and_describe(fleet):
    text = fleet.run("gateway", "--help").stdout
    for name in ("GATEWAY_ADDR", "127.0.0.1:8080", "SERVICE_TOKEN", "CORS_ORIGINS", "TRUSTED_PROXIES", "GATEWAY_MAX_IN_FLIGHT"):
        assert name in text
    described = json.loads(fleet.run("gateway", "--describe").stdout)
    token = next(setting for setting in described["settings"] if setting["name"] == "SERVICE_TOKEN")
    assert token["secret"] is True and described["commands"] == []


def test_an_address_that_is_taken(fleet):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        done = fleet.run("gateway", gateway_addr=address)
    assert done.returncode == 64 and "GATEWAY_ADDR" in done.stderr and address in done.stderr


def test_a_broker_without_topology(servers, build, tmp_path):
    stack = Stack(servers, build)
    try:
        stack.create(topology=False)
        done = Fleet(stack, tmp_path).run("gateway", gateway_addr=free_address(), startup_timeout="2s")
    finally:
        stack.remove()
    assert done.returncode == 69 and "garrisonctl topology apply" in done.stderr


def test_a_stop_is_clean_and_quick(fleet):
    worker = fleet.start("gateway", service_token=SERVICE_TOKEN)
    assert Gateway(worker).get("/healthz").status_code == 200
    assert worker.stop(timeout=5) == 0


def test_a_small_footprint(fleet, build):
    if "asan" in str(build):
        pytest.skip("a sanitizer's memory is its own")
    worker = fleet.start("gateway", service_token=SERVICE_TOKEN)
    gateway = Gateway(worker)
    for _ in range(300):
        gateway.get("/openapi.json")
    assert worker.resident_bytes() <= 12 * 2**20
