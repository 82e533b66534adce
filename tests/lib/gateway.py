"""The gateway as HTTP callers see it, and services that answer as a test says."""

import json
import socket
import threading
import time
import uuid

import jwt
import pika
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .wait import wait_for

SERVICE_TOKEN = "service-token-of-the-tests"
OTHER_TOKEN = "another-service-token"
PROBLEM = "application/problem+json"


def ok(result):
    return {"ok": True, "result": result}


def error(code, message="as told", retryable=False, fields=()):
    return {"ok": False, "error": {"code": code, "message": message, "retryable": retryable, "fields": list(fields)}}


class Gateway:
    """Calls to a gateway that runs. A token is given per call; the tests' service token unless told otherwise."""

    def __init__(self, worker):
        self.worker = worker
        self.url = worker.url
        host, _, port = worker.settings["GATEWAY_ADDR"].rpartition(":")
        self.address = (host, int(port))
        self.session = requests.Session()
        self.session.trust_env = False

    def call(self, method, path, json=None, token=SERVICE_TOKEN, headers=None, timeout=30, **options):
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = "Bearer " + token
        return self.session.request(
            method, self.url + path, json=json, headers=headers, timeout=timeout, **options
        )

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def post(self, path, json=None, **options):
        return self.call("POST", path, json, **options)

    def delete(self, path, json=None, **options):
        return self.call("DELETE", path, json, **options)

    # Bytes as they are --------------------------------------------------------------------------------------------

    def connect(self, timeout=10):
        return socket.create_connection(self.address, timeout)

    def raw(self, data, timeout=10):
        """All that comes back for these bytes until the gateway closes, b"" when it says nothing."""
        with self.connect(timeout) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has had enough, and has said why
            return read_all(connection)


def read_all(connection):
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def read_response(connection):
    """One response of a connection that stays, and no byte more: (status, headers, body)."""
    file = connection.makefile("rb", buffering=0)
    line = file.readline()
    assert line, "the connection was closed instead of an answer"
    headers = {}
    while (header := file.readline().strip()) != b"":
        name, _, value = header.decode().partition(":")
        headers[name.lower()] = value.strip()
    body, length = b"", int(headers.get("content-length", 0))
    while len(body) < length and (part := file.read(length - len(body))):
        body += part
    return int(line.split()[1]), headers, body


def status_of(data):
    return int(data.split(b" ", 2)[1]) if data else None


def assert_problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == PROBLEM
    body = response.json()
    assert body["status"] == status and body["code"] == code, body
    assert isinstance(body["fields"], list) and body["title"] and body["type"]
    assert body["trace_id"] == response.headers["traceparent"].split("-")[1]
    return body


class Stub:
    """Takes a service's requests in place of it: answer(request) gives the reply's JSON, or None for none."""

    def __init__(self, stack, service, answer):
        self.requests = []
        self._answer = answer
        self._queue = f"game.{service}.rpc"
        self._parameters = pika.URLParameters(stack.amqp_url)
        self._ready = threading.Event()
        self._connection = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20), "the stub does not consume"

    def _run(self):
        self._connection = pika.BlockingConnection(self._parameters)
        channel = self._connection.channel()
        channel.basic_consume(self._queue, self._take, auto_ack=True)
        self._ready.set()
        try:
            channel.start_consuming()
        except pika.exceptions.AMQPError:
            pass

    def _take(self, channel, method, properties, body):
        request = Request(method, properties, body)
        self.requests.append(request)
        reply = self._answer(request)
        if reply is not None:
            data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            properties = pika.BasicProperties(correlation_id=properties.correlation_id)
            channel.basic_publish("", request.properties.reply_to, data, properties)

    def take(self, timeout=10):
        """The oldest request that nobody has taken yet."""
        wait_for(lambda: self.requests, timeout, what="a request to the stub")
        return self.requests.pop(0)

    def stop(self):
        def close():
            self._connection.close()

        if self._connection and self._connection.is_open:
            self._connection.add_callback_threadsafe(close)
        self._thread.join(10)


class Request:
    def __init__(self, method, properties, body):
        self.routing_key = method.routing_key
        self.properties = properties
        self.headers = properties.headers or {}
        self.raw = body
        self.received_at = time.time()
        try:
            self.body = json.loads(body)
        except ValueError:
            self.body = body


class Issuer:
    """Makes access tokens as auth does, by a key of its own in the database."""

    def __init__(self, database):
        self.database = database
        self.key = Ed25519PrivateKey.generate()
        self.kid = "test-" + uuid.uuid4().hex[:12]
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._run("INSERT INTO auth_signing_keys (kid, public_key) VALUES (%s, %s)", self.kid, public)

    def _run(self, statement, *values):
        with self.database.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else None

    def login(self, char_id):
        """A login; char_id None: without a character. Its claims."""
        account = self._run("INSERT INTO accounts (login) VALUES (%s) RETURNING id", uuid.uuid4().hex)[0][0]
        sid = str(uuid.uuid4())
        self._run("INSERT INTO auth_logins (sid, account_id) VALUES (%s, %s)", sid, account)
        now = int(time.time())
        return {"sub": str(account), "char": char_id, "sid": sid, "gen": 1, "iat": now, "exp": now + 600}

    def token(self, claims, key=None, **header):
        return jwt.encode(claims, key or self.key, algorithm="EdDSA", headers={"kid": self.kid, **header})

    def player(self, char_id):
        return self.token(self.login(char_id))

    def revoke(self, claims):
        self._run(
            "UPDATE auth_logins SET revoked_at = now(), generation = generation + 1 WHERE sid = %s", claims["sid"]
        )
