"""Twice the rate that can be served, for a while: what is offered, what became of it, how late it was, what it took of memory."""

import json
import threading
import time

import pika

from .usage import resident_mib

CONCURRENCY = 4
WORK_MS = 20  # of each message, whatever the machine: so many a second and no more can be served
CAPACITY = CONCURRENCY * 1000 / WORK_MS
WAITS_MS = 1000  # how long a requester waits
WARM_SHARE = 0.2  # of the time, before memory is held to be what it is


class Memory(threading.Thread):
    """Resident MiB of processes, every half second."""

    def __init__(self, **pids):
        super().__init__(daemon=True)
        self.seen = {name: [] for name in pids}
        self._pids, self._done = pids, threading.Event()
        self.start()

    def run(self):
        while not self._done.wait(0.5):
            for name, pid in self._pids.items():
                self.seen[name].append(resident_mib(pid))

    def stop(self):
        self._done.set()
        self.join()
        return self

    def growth(self, name):
        """What the peak of the end is above the peak of the beginning, MiB."""
        seen = self.seen[name]
        warm = max(1, int(len(seen) * WARM_SHARE))
        return max(seen[warm:]) - max(seen[:warm])

    def peak(self, name):
        return max(self.seen[name])


class Lane(threading.Thread):
    """Publishes a command at a rate, whatever is answered, and notes when the answers come."""

    def __init__(self, stack, exchange, key, rate, seconds, expiration_ms=None):
        super().__init__()
        self.stack, self.exchange, self.key = stack, exchange, key
        self.rate, self.seconds, self.expiration_ms = rate, seconds, expiration_ms
        self.sent, self.refused_by_broker = 0, 0
        self.latencies_ms, self.codes = [], {}
        self._sent_at = {}

    def _take(self, _channel, _method, properties, body):
        sent_at = self._sent_at.pop(int(properties.correlation_id))
        reply = json.loads(body)
        code = "ok" if reply["ok"] else reply["error"]["code"]
        self.codes[code] = self.codes.get(code, 0) + 1
        if code == "ok":
            self.latencies_ms.append((time.monotonic() - sent_at) * 1000)

    def _publish(self, channel, now):
        headers = {"g-deadline": int((time.time() + self.expiration_ms / 1000) * 1000)} if self.expiration_ms else None
        properties = pika.BasicProperties(
            type=self.key.rpartition(".")[2],
            delivery_mode=2,
            correlation_id=str(self.sent),
            reply_to="amq.rabbitmq.reply-to" if self.expiration_ms else None,
            expiration=str(self.expiration_ms) if self.expiration_ms else None,
            headers=headers,
        )
        if self.expiration_ms:
            self._sent_at[self.sent] = now
        channel.basic_publish(self.exchange, self.key, json.dumps({"ms": WORK_MS}), properties)
        self.sent += 1

    def run(self):
        parameters = pika.URLParameters(self.stack.amqp_url)
        parameters.heartbeat = 0
        connection = pika.BlockingConnection(parameters)
        channel = connection.channel()
        if self.expiration_ms:
            channel.basic_consume("amq.rabbitmq.reply-to", self._take, auto_ack=True)
        began = time.monotonic()
        while (now := time.monotonic()) < began + self.seconds:
            while self.sent < (now - began) * self.rate:
                self._publish(channel, now)
            connection.process_data_events(time_limit=0.005)
        end = time.monotonic() + 3 * WAITS_MS / 1000
        while self._sent_at and time.monotonic() < end:
            connection.process_data_events(time_limit=0.05)
        connection.close()

    @property
    def unanswered(self):
        return len(self._sent_at)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
