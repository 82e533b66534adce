"""Callers of the gateway who mean no good, while others want to be served."""

import socket
import time

from lib.gateway import SERVICE_TOKEN, Gateway, status_of

from .table import row

CALL = b"POST /commands/arena/get_queue_status%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + SERVICE_TOKEN.encode() + b"\r\n"
BODY = b'{"char_id":1}'
REFUSED = {
    "too large": (CALL % b"" + b"Content-Length: 99999999\r\n\r\n", 413),
    "two lengths": (CALL % b"" + b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "no JSON": (CALL % b"" + b"Content-Length: 4\r\n\r\n{no}", 400),
}
LEAVES = CALL % b"?wait=5000" + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
DRIPPING, FLOODING, ROUNDS = 40, 150, 4


@row("the gateway abused", fired="refusals, and callers turned away")
def gateway_abused(run):
    """Forty callers who send a byte a second; then four times, a second apart: a hundred and fifty connections at once, bodies beyond the limit, two lengths in one request, no JSON, and twenty who leave while they wait."""
    gateway = Gateway(run.world.gateway)
    drips = [gateway.connect() for _ in range(DRIPPING)]
    fired = 0
    for n in range(ROUNDS):
        fired += sum(not drip_on(connection, n) for connection in drips)
        crowd = [gateway.connect() for _ in range(FLOODING)]
        fired += sum(refused(gateway, data, status) for data, status in REFUSED.values())
        for _ in range(20):
            with gateway.connect() as connection:
                connection.sendall(LEAVES)
        time.sleep(1)
        fired += sum(closed(connection) for connection in crowd)
        for connection in crowd:
            connection.close()
    for connection in drips:
        connection.close()
    return fired


def drip_on(connection, n):
    """Whether it is taken."""
    try:
        connection.send(CALL[n : n + 1])
        return not closed(connection)
    except OSError:
        return False


def closed(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def refused(gateway, data, status):
    """With that status, or at the door."""
    try:
        told = status_of(gateway.raw(data))
    except OSError:
        return True
    assert told in (status, None), f"{data[:60]} was answered {told}"
    return True
