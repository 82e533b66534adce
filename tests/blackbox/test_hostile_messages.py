"""What a worker does with properties and headers that no program of ours would send; on the service of the tests' own."""

import random
import struct
import time

import pika
import pytest

from lib.wait import wait_for

FRAME = 131072  # what RabbitMQ lets a client put into one frame
ROOM = FRAME - 4096  # leaves a header frame its own bytes and the other properties
NESTED = 1000  # the broker's own time for it grows with the square


class Wire(pika.BasicProperties):
    """Properties whose header table is given as it goes on the wire, so that it may be what pika would not write."""

    def __init__(self, table, **properties):
        super().__init__(**properties)
        self.table = table

    def encode(self):
        self.headers = {"": None}  # sets the flag, and a table of one entry without name or value
        pieces = super().encode()
        self.headers = None
        empty = b"\x00\x00\x00\x02\x00V"
        encoded = b"".join(pieces)
        assert encoded.count(empty) == 1
        return [encoded.replace(empty, struct.pack(">I", len(self.table)) + self.table)]


def entry(name, kind, value):
    return bytes([len(name)]) + name + kind + value


def text(name, value):
    return entry(name, b"S", struct.pack(">I", len(value)) + value)


def nested_arrays(depth):
    value = b""
    for _ in range(depth):
        value = b"A" + struct.pack(">I", len(value)) + value
    return entry(b"deep", value[:1], value[1:])


def nested_tables(depth):
    value = b"F" + struct.pack(">I", 0)
    for _ in range(depth):
        inner = b"\x01k" + value
        value = b"F" + struct.pack(">I", len(inner)) + inner
    return entry(b"deep", value[:1], value[1:])


OF_EVERY_TYPE = b"".join(
    [
        entry(b"t", b"t", b"\x01"),
        entry(b"b", b"b", b"\xff"),
        entry(b"B", b"B", b"\xff"),
        entry(b"s", b"s", b"\xff\xff"),
        entry(b"u", b"u", b"\xff\xff"),
        entry(b"I", b"I", b"\xff" * 4),
        entry(b"i", b"i", b"\xff" * 4),
        entry(b"l", b"l", b"\x80" + b"\0" * 7),
        entry(b"f", b"f", struct.pack(">f", -1.5)),
        entry(b"d", b"d", struct.pack(">d", 1e300)),
        entry(b"D", b"D", b"\x05" + b"\xff" * 4),
        entry(b"T", b"T", b"\xff" * 8),
        entry(b"x", b"x", struct.pack(">I", 3) + b"\0\xff\x80"),
        entry(b"F", b"F", struct.pack(">I", 0)),
        entry(b"A", b"A", struct.pack(">I", 0)),
        entry(b"V", b"V", b""),
        text(b"", b""),
        text(b"\xff\xfe", b"\xff\xfe"),
        text(b"traceparent", b"00-" + b"f" * 200),
        text(b"g-first-at", b"yesterday"),
        text(b"g-client", b"c" * 5000),
        entry(b"g-worker", b"F", struct.pack(">I", 0)),
        entry(b"g-code", b"l", b"\x80" + b"\0" * 7),
    ]
)

TABLES = {
    "of every type": OF_EVERY_TYPE,
    "a hundred": b"".join(text(b"h%d" % i, b"v") for i in range(100)),
    "ours behind a hundred": b"".join(text(b"h%d" % i, b"v") for i in range(100))
    + text(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    "one of 60 KiB": text(b"long", b"v" * 61440),
    "one as large as a frame": text(b"long", b"v" * (ROOM - 16)),
    "many as large as a frame": b"".join(text(b"h%d" % i, b"v" * 4000) for i in range((ROOM - 4096) // 4010)),
    "a client as large as a frame": text(b"g-client", b"v" * (ROOM - 16)),
    "arrays in arrays": nested_arrays(NESTED),
    "tables in tables": nested_tables(NESTED),
    "attempts without number": entry(b"g-attempt", b"V", b"") + text(b"g-attempt", b"many"),
    "an attempt past all": entry(b"g-attempt", b"l", b"\x7f" + b"\xff" * 7),
    "an attempt below all": entry(b"g-attempt", b"l", b"\x80" + b"\0" * 7),
    "a deadline past all": entry(b"g-deadline", b"l", b"\x7f" + b"\xff" * 7),
    "a death of their own": text(b"x-first-death-queue", b"game.fixture") + text(b"x-delivery-count", b"no number"),
}

BODIES = {"done": ("echo", b'{"text":"a"}'), "refused": ("note", b"{}"), "no JSON": ("note", b"{"), "unknown": ("fly", b"{}")}


@pytest.fixture(scope="module")
def fixture_service(stack):
    stack.add_service("fixture")


@pytest.fixture
def worker(stack, fixture_service, fleet, amqp):
    amqp.purge("game.fixture.dead")
    return fleet.start("fixture")


def send(amqp, exchange, command, body, table, **properties):
    requests = amqp.requests
    requests.channel.basic_publish(
        exchange,
        "fixture." + command,
        body,
        Wire(table, type=command, delivery_mode=2, reply_to="amq.rabbitmq.reply-to", **properties),
    )


def assert_undisturbed(worker):
    """It still has the connections that it began with."""
    assert worker.running
    assert not [line for line in worker.logs if line["event"].endswith("_lost")]


@pytest.mark.parametrize("headers", TABLES)
def test_headers_of_any_kind_harm_neither_their_message_nor_another(worker, amqp, headers):
    for number, (command, body) in enumerate(BODIES.values()):
        for exchange in ("game.rpc", "game.commands"):
            send(amqp, exchange, command, body, TABLES[headers], correlation_id=f"{exchange}-{number}")
    for number, outcome in enumerate(BODIES):
        for exchange in ("game.rpc", "game.commands"):
            reply = amqp.requests.wait(f"{exchange}-{number}", 10)
            assert reply.ok == (outcome == "done"), (headers, exchange, outcome, reply)
            if "ours" in headers:
                assert "4bf92f3577b34da6a3ce929d0e0e4736" in reply.headers["traceparent"]
    wait_for(lambda: amqp.depth("game.fixture.dead") == 3)  # what was not done, of the durable lane
    for letter in amqp.drain("game.fixture.dead"):
        assert letter.headers["g-code"] in ("invalid_payload", "invalid_json", "unknown_command")
    assert amqp.call("fixture.echo", {"text": "still here"}).ok
    assert_undisturbed(worker)


def test_numbers_of_ours_count_also_where_the_sender_has_floating_point_only(worker, amqp):
    past, ahead = (1000.0 * time.time() + seconds for seconds in (-60e3, 60e3))
    for deadline, number in ((past, "past"), (ahead, "ahead"), (1e300, "too far")):
        send(amqp, "game.rpc", "echo", b"{}", entry(b"g-deadline", b"d", struct.pack(">d", deadline)), correlation_id=number)
    for number in ("ahead", "too far"):
        assert amqp.requests.wait(number, 10).ok
    assert amqp.requests.replies_to("past") == []
    send(amqp, "game.commands", "fly", b"{}", entry(b"g-attempt", b"f", struct.pack(">f", 3)))
    assert amqp.dead("fixture").headers["g-attempt"] == 3


PROPERTIES = {
    "content_type": ["", "text/plain", "x" * 255],
    "content_encoding": ["gzip", "x" * 255],
    "message_id": ["", "m" * 255, "\u0416" * 100, "a\nb", '"'],
    "type": ["", "echo", "e" * 255, "echo\0", "../echo", "Echo"],
    "app_id": ["x" * 255],
    "expiration": ["0", "1", "4294967295", "600000"],
    "priority": [0, 255],
    "timestamp": [0, 2**63],
    "delivery_mode": [1, 2],
    "reply_to": ["", "nobody", "game.fixture.dead.no", "q" * 255, "amq.rabbitmq.reply-to.forged.key"],
    "correlation_id": ["", "c" * 255, "\u0416" * 127],
}


def test_properties_drawn_at_random_leave_nothing_in_the_queues(worker, amqp):
    """Seeded: the same messages every time."""
    draw = random.Random(20261120)
    for _ in range(400):
        properties = {
            name: draw.choice(values) for name, values in PROPERTIES.items() if draw.random() < 0.3
        }
        table = b"".join(draw.sample([OF_EVERY_TYPE, TABLES["a hundred"], TABLES["an attempt past all"], b""], 2))
        command, body = draw.choice(list(BODIES.values()))
        amqp.channel.basic_publish(
            draw.choice(("game.rpc", "game.commands")), "fixture." + command, body, Wire(table, **properties)
        )
    assert amqp.call("fixture.echo", {"text": "still here"}).ok
    amqp.wait_until_empty("game.fixture")
    amqp.wait_until_empty("game.fixture.rpc")
    wait_for(lambda: worker.metrics()["garrison_in_flight"] == 0)
    assert_undisturbed(worker)
