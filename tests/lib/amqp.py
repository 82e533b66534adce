"""The broker as another maker's client sees it (pika)."""

import json
import uuid

import pika

from .described import check_event, check_reply
from .wait import wait_for

REPLY_TO = "amq.rabbitmq.reply-to"
UNSET = object()


class Message:
    """One delivery: .body is the parsed JSON where it is JSON, else the bytes."""

    def __init__(self, method, properties, body):
        self.routing_key = method.routing_key
        self.exchange = method.exchange
        self.redelivered = method.redelivered
        self.properties = properties
        self.headers = properties.headers or {}
        self.raw = body
        try:
            self.body = json.loads(body)
        except (ValueError, RecursionError):
            self.body = body

    def __repr__(self):
        return f"<Message {self.routing_key} {self.raw[:200]!r} headers={self.headers}>"


class Reply(Message):
    """A reply: .ok, .result, .error, .code, .fields {path: problem}."""

    @property
    def ok(self):
        return self.body["ok"]

    @property
    def result(self):
        assert self.body["ok"] is True, f"the reply is an error: {self.body}"
        return self.body["result"]

    @property
    def error(self):
        assert self.body["ok"] is False, f"the reply is no error: {self.body}"
        return self.body["error"]

    @property
    def code(self):
        return self.error["code"]

    @property
    def fields(self):
        return {field["field"]: field["problem"] for field in self.error.get("fields", [])}


class Requests:
    """A channel whose replies come by direct reply-to. send() as often as you like, then wait()."""

    def __init__(self, connection):
        self.connection = connection
        self.channel = connection.channel()
        self.replies = []
        self.channel.basic_consume(REPLY_TO, self._take, auto_ack=True)

    def _take(self, _channel, method, properties, body):
        self.replies.append(Reply(method, properties, body))

    def replies_to(self, correlation_id):
        self.connection.process_data_events(time_limit=0)
        return [reply for reply in self.replies if reply.properties.correlation_id == correlation_id]

    def wait(self, correlation_id, timeout):
        def there():
            return next((r for r in self.replies if r.properties.correlation_id == correlation_id), None)

        def reply():
            if not there():
                self.connection.process_data_events(time_limit=0.05)
            return there()

        return wait_for(reply, timeout, interval=0, what=f"the reply to {correlation_id}")


class Listener:
    """A queue of one's own, bound to an exchange; with the events one asked for."""

    def __init__(self, connection, exchange, keys):
        self.exchange = exchange
        self.channel = connection.channel()
        self.queue = self.channel.queue_declare("", exclusive=True).method.queue
        for key in keys:
            self.channel.queue_bind(self.queue, exchange, key)

    def _get(self):
        method, properties, body = self.channel.basic_get(self.queue, auto_ack=True)
        message = method and Message(method, properties, body)
        if message and self.exchange == "game.events":
            check_event(message.routing_key, message.body)
        return message

    def next(self, timeout=10):
        return wait_for(self._get, timeout, what="an event")

    def all(self):
        """What has arrived by now."""
        return list(iter(self._get, None))

    def none_for(self, seconds):
        """Nothing arrives for so long (the one wait that cannot be cut short)."""
        try:
            message = self.next(seconds)
        except AssertionError:
            return
        raise AssertionError(f"unexpected: {message}")


class Amqp:
    def __init__(self, url):
        parameters = pika.URLParameters(url)
        parameters.heartbeat = 0  # a test may think for longer than that
        self.connection = pika.BlockingConnection(parameters)
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self._requests = None

    def close(self):
        if self.connection.is_open:
            self.connection.close()

    @property
    def requests(self):
        if self._requests is None or not self._requests.channel.is_open:
            self._requests = Requests(self.connection)
        return self._requests

    @staticmethod
    def _properties(key, options):
        kind = options.pop("type", UNSET)
        return pika.BasicProperties(
            type=key.rpartition(".")[2] if kind is UNSET else kind,
            content_type=options.pop("content_type", "application/json"),
            delivery_mode=options.pop("delivery_mode", 2),
            **options,
        )

    @staticmethod
    def _encode(body):
        if isinstance(body, bytes):
            return body
        return (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode()

    def publish(self, key, body, exchange="game.commands", mandatory=True, **properties):
        """Publish and wait for the broker's confirm. Properties as pika names them (message_id, headers, reply_to,
        expiration, correlation_id, ...); type is the command's name unless given (None: absent)."""
        self.channel.basic_publish(
            exchange, key, self._encode(body), self._properties(key, properties), mandatory=mandatory
        )

    def request(self, key, body, exchange="game.rpc", **properties):
        """Send with a direct reply-to; returns the correlation id for self.requests.wait()."""
        correlation_id = properties.pop("correlation_id", None) or str(uuid.uuid4())
        requests = self.requests
        properties = self._properties(key, dict(properties, reply_to=REPLY_TO, correlation_id=correlation_id))
        requests.channel.basic_publish(exchange, key, self._encode(body), properties)
        return correlation_id

    def call(self, key, body, timeout=10, **options):
        """Send and wait for the reply: call("tick.get_auto_session_status", {"player_id": 101}).result"""
        reply = self.requests.wait(self.request(key, body, **options), timeout)
        check_reply(key, reply.body)
        return reply

    def send_and_wait(self, key, body, timeout=10, **options):
        """The same by the durable lane."""
        return self.call(key, body, timeout, exchange="game.commands", **options)

    def events(self, *keys):
        return Listener(self.connection, "game.events", keys or ("#",))

    def listen(self, exchange, *keys):
        return Listener(self.connection, exchange, keys)

    def depth(self, queue):
        """Messages ready in the queue (those a consumer holds unacknowledged are not counted)."""
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def consumers(self, queue):
        return self.channel.queue_declare(queue, passive=True).method.consumer_count

    def try_get(self, queue):
        method, properties, body = self.channel.basic_get(queue, auto_ack=True)
        return method and Message(method, properties, body)

    def get(self, queue, timeout=10):
        return wait_for(lambda: self.try_get(queue), timeout, what=f"a message in {queue}")

    def drain(self, queue):
        return list(iter(lambda: self.try_get(queue), None))

    def purge(self, queue):
        self.channel.queue_purge(queue)

    def dead(self, service, timeout=10):
        """The next dead letter of a service; its reasons are in .headers (g-code, g-stage, ...)."""
        return self.get(f"game.{service}.dead", timeout)

    def wait_until_empty(self, queue, timeout=10):
        wait_for(lambda: self.depth(queue) == 0, timeout, what=f"{queue} to be empty")
