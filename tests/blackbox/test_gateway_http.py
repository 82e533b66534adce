"""HTTP itself: what is said twice, slowly, too long or without end."""

import random
import socket
import threading
import time

import pytest

from lib.fleet import Fleet
from lib.gateway import SERVICE_TOKEN, Gateway, Stub, assert_problem, ok, read_all, read_response, status_of
from lib.wait import wait_for

pytestmark = pytest.mark.services("gateway", "arena")

STATUS = "/arena/queue/status?char_id=1"
AUTH = b"Authorization: Bearer " + SERVICE_TOKEN.encode() + b"\r\n"


@pytest.fixture(scope="module")
def running(stack, tmp_path_factory):
    fleet = Fleet(stack, tmp_path_factory.mktemp("fleet"))
    # What libmicrohttpd does not see end, the deadline ends.
    yield fleet.start(
        "gateway",
        service_token=SERVICE_TOKEN,
        gateway_header_timeout="1s",
        gateway_body_timeout="2s",
        gateway_keepalive_timeout="5s",
    )
    fleet.stop()


@pytest.fixture
def gateway(running):
    return Gateway(running)


@pytest.fixture
def strict(fleet):
    """A gateway with little patience and little room."""
    return Gateway(
        fleet.start(
            "gateway",
            service_token=SERVICE_TOKEN,
            gateway_header_timeout="500ms",
            gateway_body_timeout="500ms",
            gateway_keepalive_timeout="700ms",
            gateway_write_timeout="1s",
            gateway_max_connections=64,
            gateway_max_connections_per_address=16,
            gateway_max_in_flight=4,
        )
    )


@pytest.fixture
def held(stack):
    """A stub in arena's place that answers only when it is let go."""
    gate = threading.Event()

    def answer(_request):
        gate.wait(30)
        return ok({"held": True})

    stub = Stub(stack, "arena", answer)
    stub.let_go = gate.set
    yield stub
    gate.set()
    stub.stop()


def request(head, body=b"", method=b"POST", path=b"/arena/queue/join"):
    return method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n" + AUTH + head + b"\r\n" + body


def closed_within(connection, seconds):
    """The other side closes in this time; what it said before."""
    connection.settimeout(seconds)
    return read_all(connection)


# A request that another server may take for two -----------------------------------------------------------------------------

BODY = b'{"char_id":1,"mode":"1v1"}'
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
AMBIGUOUS = {
    "length_and_chunked": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(BODY),
    "chunked_and_length": b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % len(BODY),
    "two_lengths": b"Content-Length: %d\r\nContent-Length: 0\r\n" % len(BODY),
    "the_same_length_twice": b"Content-Length: %d\r\nContent-Length: %d\r\n" % (len(BODY), len(BODY)),
    "a_list_of_lengths": b"Content-Length: %d, %d\r\n" % (len(BODY), len(BODY)),
    "space_before_colon": b"Content-Length : %d\r\n" % len(BODY),
    "tab_before_colon": b"Content-Length\t: %d\r\n" % len(BODY),
    "plus": b"Content-Length: +%d\r\n" % len(BODY),
    "minus": b"Content-Length: -1\r\n",
    "hexadecimal": b"Content-Length: 0x1a\r\n",
    "huge": b"Content-Length: 99999999999999999999999\r\n",
    "empty_length": b"Content-Length:\r\n",
    "unknown_encoding": b"Transfer-Encoding: gzip\r\n",
    "two_encodings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "encoding_list": b"Transfer-Encoding: gzip, chunked\r\n",
    "space_before_encoding_colon": b"Transfer-Encoding : chunked\r\n",
    "two_hosts": b"Host: y\r\nContent-Length: %d\r\n" % len(BODY),
    "bad_name": b"Bad(Name): 1\r\nContent-Length: %d\r\n" % len(BODY),
    "no_colon": b"Nonsense\r\nContent-Length: %d\r\n" % len(BODY),
    "two_authorizations": AUTH + b"Content-Length: %d\r\n" % len(BODY),
}


CHUNKED_BODY = b"1a\r\n" + BODY + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize("body", (BODY, CHUNKED_BODY), ids=("plain", "chunked"))
@pytest.mark.parametrize("head", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous_requests_are_refused_and_the_connection_closed(gateway, held, head, body):
    """Whichever way the body is sent, which may be the way that this server would take it."""
    held.let_go()
    with gateway.connect() as connection:
        connection.sendall(request(head, body + SMUGGLED))
        answer = closed_within(connection, 5)
    assert status_of(answer) in (400, 413)
    assert b'"status":"ok"' not in answer, "the rest was taken for another request"
    assert not held.requests


def test_the_same_request_said_well(gateway, held):
    held.let_go()
    with gateway.connect() as connection:
        connection.sendall(request(b"Content-Length: %d\r\n" % len(BODY), BODY) + SMUGGLED)
        assert read_response(connection)[0] == 200
        assert read_response(connection)[0] == 200
        connection.sendall(request(b"Transfer-Encoding: chunked\r\n", CHUNKED_BODY))
        assert read_response(connection)[0] == 200
    assert [r.body for r in held.requests] == [{"char_id": 1, "mode": "1v1"}] * 2


NONSENSE = {
    "junk": b"\r\n" * 3 + b"x\r\n\r\n",
    "no_target": b"GET\r\n\r\n",
    "http_0_9": b"GET /healthz\r\n\r\n",
    "http_9_9": b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
    "no_host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "relative": b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "lone_percent": b"GET /% HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad_escape": b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "nul": b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "not_utf8": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "lone_percent_in_query": b"GET /healthz?a=% HTTP/1.1\r\nHost: x\r\n\r\n",
    "not_utf8_in_query": b"GET /healthz?a=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    "encoding_in_1_0": b"GET /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "long_header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 70000 + b"\r\n\r\n",
    "long_target": b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_gets_a_4xx_or_a_closed_connection(gateway, data):
    answer = gateway.raw(data)
    assert answer == b"" or 400 <= status_of(answer) < 500 or status_of(answer) == 505, answer[:200]
    assert gateway.get("/healthz").status_code == 200


def test_what_is_too_long_is_told_as_a_problem(gateway):
    room = 16384
    for path, headers, status in (
        ("/healthz", {"X-Long": "x" * (room - 300)}, 200),
        ("/healthz", {"X-Long": "x" * room}, 431),
        ("/healthz", {f"X-{i}": "y" * 290 for i in range(60)}, 431),
        ("/healthz?" + "x" * room, {}, 414),
    ):
        response = gateway.get(path, headers=headers)
        if status == 200:
            assert response.status_code == 200
        else:
            assert_problem(response, status, "bad_request")
            assert response.headers["Connection"] == "close"
    assert gateway.get("/healthz").status_code == 200


def test_http_1_0_is_answered_and_closed(gateway):
    answer = gateway.raw(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert status_of(answer) == 200 and answer.endswith(b'{"status":"ok"}')


# Bodies --------------------------------------------------------------------------------------------------------------------


def test_who_asks_first_is_told_before_the_body(gateway):
    with gateway.connect() as connection:
        connection.sendall(request(b"Content-Length: 3000000\r\nExpect: 100-continue\r\n"))
        status, headers, _ = read_response(connection)
        assert status == 413 and headers["connection"] == "close"
    with gateway.connect() as connection:
        head = b"POST /arena/queue/join HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head)
        assert read_response(connection)[0] == 401


def test_a_refused_body_is_read_so_that_the_answer_arrives(gateway):
    """Many clients read nothing before they have sent it all."""
    for body, token, status in ((b"x" * 2_000_000, SERVICE_TOKEN, 413), (b"x" * 900_000, None, 401)):
        response = gateway.post("/arena/queue/join", data=body, token=token)
        assert response.status_code == status
    with gateway.connect() as connection:  # and the connection goes on
        connection.sendall(request(b"Content-Length: 1500000\r\n", b"x" * 1500000) + SMUGGLED)
        assert read_response(connection)[0] == 413
        assert read_response(connection)[0] == 200


def test_a_body_without_end_is_cut(gateway):
    with gateway.connect() as connection:
        connection.settimeout(20)
        connection.sendall(request(b"Transfer-Encoding: chunked\r\n"))
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        with pytest.raises((ConnectionError, socket.timeout)):
            for _ in range(2000):
                connection.sendall(chunk)
    assert gateway.get("/healthz").status_code == 200


def test_bodies_held_at_one_time_have_a_limit(fleet):
    gateway = Gateway(fleet.start("gateway", service_token=SERVICE_TOKEN, gateway_max_body_memory=100_000))
    assert_problem(gateway.post("/arena/queue/join", data=b" " * 200_000), 503, "unavailable")
    assert gateway.worker.metrics()["garrison_http_body_bytes"] == 0


# Slow callers ----------------------------------------------------------------------------------------------------------------


def drip(connection, data, pause=0.1):
    """A byte at a time until the other side has had enough; the seconds it took, None when it never did."""
    began = time.monotonic()
    try:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(pause)
    except ConnectionError:
        return time.monotonic() - began
    return None


def test_a_drip_of_headers_is_cut(strict):
    with strict.connect() as connection:
        assert drip(connection, b"GET /healthz HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx") < 3


def test_a_drip_of_headers_on_a_used_connection_is_cut(strict):
    with strict.connect() as connection:
        connection.sendall(SMUGGLED)
        assert read_response(connection)[0] == 200
        assert drip(connection, b"GET /healthz HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx") < 3


def test_a_drip_of_a_body_is_cut(strict):
    with strict.connect() as connection:
        connection.sendall(request(b"Content-Length: 100\r\n"))
        assert drip(connection, b" " * 60) < 3


def test_silent_connections_are_cut(strict):
    with strict.connect() as connection:
        began = time.monotonic()
        assert closed_within(connection, 5) == b""
        assert time.monotonic() - began < 3


def test_who_does_not_take_the_answer_is_cut(stack, strict):
    stub = Stub(stack, "arena", lambda request: ok({"long": "x" * 4_000_000}))
    try:
        with strict.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(request(b"", method=b"GET", path=STATUS.encode()))
            cut = "garrison_http_connections_cut_total"
            wait_for(lambda: strict.worker.metrics()[cut] == 1, timeout=8, what="the connection to be cut")
    finally:
        stub.stop()


# Many callers ------------------------------------------------------------------------------------------------------------------


def test_one_address_has_its_share_of_connections(strict):
    connections = [strict.connect() for _ in range(30)]

    def refused():  # on a slow machine the first are gone by their deadline before the last have come
        connections.append(strict.connect())
        return strict.worker.metrics()["garrison_http_connections_refused_total"] >= 14

    try:
        wait_for(refused, what="connections to be refused")
    finally:
        for connection in connections:
            connection.close()
    wait_for(lambda: strict.worker.metrics()["garrison_http_connections"] == 0, what="them to be gone")
    assert strict.get("/healthz").status_code == 200


def test_a_trusted_proxy_has_more(fleet):
    gateway = Gateway(
        fleet.start("gateway", gateway_max_connections_per_address=2, trusted_proxies="127.0.0.0/8,::1")
    )
    connections = [gateway.connect() for _ in range(10)]
    try:
        assert gateway.get("/healthz").status_code == 200
    finally:
        for connection in connections:
            connection.close()


def test_requests_in_flight_have_a_limit(strict, held):
    pipes = [strict.connect() for _ in range(6)]
    try:
        for pipe in pipes:
            pipe.sendall(request(b"", method=b"GET", path=STATUS.encode()))
        answers = []

        def refused():
            for pipe in pipes[:]:
                pipe.settimeout(0.01)
                try:
                    first = pipe.recv(1, socket.MSG_PEEK)
                except TimeoutError:
                    continue
                assert first
                pipe.settimeout(10)
                answers.append(read_response(pipe))
                pipes.remove(pipe)
            return len(answers) == 2

        wait_for(refused, what="two to be refused")
        assert {answer[0] for answer in answers} == {503} and all("retry-after" in answer[1] for answer in answers)
        held.let_go()
        for pipe in pipes:
            pipe.settimeout(10)
            assert read_response(pipe)[0] == 200
    finally:
        for pipe in pipes:
            pipe.close()


def test_a_flood_of_new_connections(gateway):
    def visit():
        with gateway.connect(20) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return status_of(read_all(connection))

    results = []
    threads = [threading.Thread(target=lambda: results.extend(visit() for _ in range(25))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 400


# Leaving, stopping ----------------------------------------------------------------------------------------------------------------


def test_callers_who_leave_while_they_wait(gateway, held):
    for _ in range(20):
        connection = gateway.connect()
        connection.sendall(request(b"", method=b"GET", path=STATUS.encode()))
        wait_for(lambda: held.requests, what="the request to arrive")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # by a reset
        connection.close()
    held.let_go()
    metrics = gateway.worker.metrics
    wait_for(lambda: metrics()["garrison_http_requests_in_flight"] == 0, what="all to be over")
    assert gateway.get(STATUS).status_code == 200


def test_a_stop_answers_what_waits(fleet, held):
    gateway = Gateway(fleet.start("gateway", service_token=SERVICE_TOKEN))
    waiting, idle = gateway.connect(), gateway.connect()
    idle.sendall(SMUGGLED)
    assert read_response(idle)[0] == 200
    waiting.sendall(request(b"", method=b"GET", path=STATUS.encode()))
    wait_for(lambda: held.requests, what="the request to arrive")
    gateway.worker.terminate()
    gateway.worker.wait_for_log(event="draining")
    with pytest.raises(OSError):  # nobody new comes in
        wait_for(lambda: gateway.connect(1).close(), timeout=5)
    assert gateway.worker.running
    held.let_go()
    status, headers, body = read_response(waiting)
    assert status == 200 and body == b'{"held":true}' and headers["connection"] == "close"
    assert gateway.worker.wait() == 0
    assert closed_within(idle, 5) == b""


def test_a_stop_waits_no_longer_than_it_may(fleet, held):
    gateway = Gateway(fleet.start("gateway", service_token=SERVICE_TOKEN, shutdown_grace="1s"))
    pipes = [gateway.connect() for _ in range(5)]
    for pipe in pipes:
        pipe.sendall(request(b"", method=b"GET", path=STATUS.encode()))
    wait_for(lambda: gateway.worker.metrics()["garrison_http_requests_in_flight"] == 5, what="all to wait")
    slow = gateway.connect()
    slow.sendall(request(b"Content-Length: 10\r\n"))
    began = time.monotonic()
    gateway.worker.terminate()
    for pipe in pipes:
        assert read_response(pipe)[0] == 503
    assert gateway.worker.wait() == 0
    assert 0.9 < time.monotonic() - began < 8
    slow.close()


# What a browser and a proxy add -----------------------------------------------------------------------------------------------------


def test_cors(fleet):
    gateway = Gateway(fleet.start("gateway", service_token=SERVICE_TOKEN, cors_origins="https://game.example,http://localhost:3000"))
    ask = {"Origin": "https://game.example", "Access-Control-Request-Method": "POST"}
    response = gateway.call("OPTIONS", "/arena/queue/join", token=None, headers=ask)
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://game.example"
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    assert response.headers["Vary"] == "Origin"
    seen = gateway.get("/healthz", headers={"Origin": "http://localhost:3000"}).headers
    assert seen["Access-Control-Allow-Origin"] == "http://localhost:3000"
    for origin in ("https://evil.example", "https://game.example.evil", "null", "https://game.example:444"):
        assert "Access-Control-Allow-Origin" not in gateway.get("/healthz", headers={"Origin": origin}).headers
    error = gateway.get("/nothing", headers={"Origin": "https://game.example"})
    assert error.headers["Access-Control-Allow-Origin"] == "https://game.example"


def test_no_cors_unless_asked_for(gateway):
    response = gateway.get("/healthz", headers={"Origin": "https://game.example"})
    assert not [name for name in response.headers if name.startswith("Access-Control")]
    assert gateway.call("OPTIONS", "/healthz", token=None).headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "trusted, forwarded, client",
    [
        ("", "9.9.9.9", "127.0.0.1"),
        ("127.0.0.1", "9.9.9.9", "9.9.9.9"),
        ("127.0.0.1", "1.1.1.1, 9.9.9.9", "9.9.9.9"),
        ("127.0.0.1,9.9.9.0/24", "1.1.1.1, 9.9.9.9", "1.1.1.1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.0/8", "9.9.9.9", "127.0.0.1"),
    ],
)
def test_whose_address_is_told(fleet, stack, trusted, forwarded, client):
    gateway = Gateway(fleet.start("gateway", service_token=SERVICE_TOKEN, trusted_proxies=trusted))
    stub = Stub(stack, "arena", lambda request: ok({}))
    try:
        gateway.get(STATUS, headers={"X-Forwarded-For": forwarded})
        assert stub.take().headers["g-client"] == client
    finally:
        stub.stop()
    gateway.worker.wait_for_log(event="request", client=client)


def test_the_access_log(gateway, held):
    held.let_go()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    gateway.get(STATUS + "&secret=hush", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    line = wait_for(
        lambda: next((log for log in gateway.worker.logs if trace in log.get("traceparent", "")), None), what="the line"
    )
    assert line["method"] == "GET" and line["path"] == "/arena/queue/status" and line["status"] == 200
    assert line["client"] == "127.0.0.1" and line["ms"] > 0 and line["caller"] == "service"
    assert "hush" not in gateway.worker.log_text and SERVICE_TOKEN not in gateway.worker.log_text


def test_metrics_by_route(gateway):
    gateway.get("/healthz")
    gateway.get("/nothing")
    metrics = gateway.worker.metrics()
    assert metrics['garrison_http_requests_total{method="GET",route="/healthz",status="2xx"}'] >= 1
    assert metrics['garrison_http_requests_total{method="",route="none",status="4xx"}'] >= 1
    assert metrics['garrison_http_request_seconds_count{method="GET",route="/healthz"}'] >= 1
    assert gateway.get("/metrics").status_code == 404  # on ADMIN_ADDR alone


# Rubbish ----------------------------------------------------------------------------------------------------------------------------


def malformed(dice):
    """A request with some things wrong."""
    words = [b"GET", b"POST", b"DELETE", b"OPTIONS", b"HEAD", b"get", b"\0", b"P" * 300, b""]
    paths = [b"/healthz", STATUS.encode(), b"/commands/arena/join_queue?wait=1", b"/arena/queue/join", b"/%", b"*", b"//", b"/\xc3\x28"]
    lines = [
        b"Host: x",
        AUTH.strip(),
        b"Content-Length: %d" % dice.choice([0, 1, 5, 26, 10**6]),
        b"Content-Length: %d" % dice.choice([0, 5]),
        b"Transfer-Encoding: chunked",
        b"Connection: " + dice.choice([b"close", b"keep-alive", b"upgrade"]),
        b"Expect: 100-continue",
        b"Idempotency-Key: " + b"k" * dice.randrange(80),
        b"traceparent: " + bytes(dice.randrange(256) for _ in range(55)).replace(b"\n", b"").replace(b"\r", b""),
        b"X-Forwarded-For: " + b"1.2.3.4," * dice.randrange(60),
        b" folded",
        b": empty",
        b"A" * dice.randrange(3000) + b": b",
        bytes(dice.randrange(256) for _ in range(dice.randrange(40))),
    ]
    end = dice.choice([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])
    head = [dice.choice(words) + b" " + dice.choice(paths) + b" " + dice.choice([b"HTTP/1.1"] * 4 + [b"HTTP/1.0", b"HTTP/0", b""])]
    head += [b"Host: x"] * (dice.random() < 0.7) + [dice.choice(lines) for _ in range(dice.randrange(7))]
    body = dice.choice([b"", BODY, b"1a\r\n" + BODY + b"\r\n0\r\n\r\n", b"{" * 50, b"ffffffffff\r\n", b"\xff\xfe"])
    data = bytearray(end.join(head) + end + end + body)
    for _ in range(dice.choice([0, 0, 1, 5])):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_malformed_requests_harm_nobody(strict, held, seed):
    gateway = strict
    held.let_go()
    dice = random.Random(seed)
    for _ in range(200):
        data = b"".join(malformed(dice) for _ in range(dice.choice([1, 1, 3])))
        try:
            with gateway.connect(5) as connection:
                connection.sendall(data)
                if dice.random() < 0.8:
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(5)
                    answer = read_all(connection)
                    assert answer == b"" or answer.startswith(b"HTTP/1."), (data, answer)
                    assert b" 500 " not in answer.split(b"\r\n")[0], (data, answer)
        except OSError:  # it has had enough
            pass
    assert gateway.get("/healthz").status_code == 200
    metrics = gateway.worker.metrics
    wait_for(lambda: metrics()["garrison_http_requests_in_flight"] == 0, what="all to be over")
    assert metrics()["garrison_http_body_bytes"] == 0
