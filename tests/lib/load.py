"""A steady load on the service of the tests' own, and the effects that it leaves."""

import threading

import pika

EFFECTS = "fixture:effects"


def effects(redis):
    return redis.lrange(EFFECTS, 0, -1)


class Publisher:
    """Publishes distinct messages, each confirmed, until stopped."""

    def __init__(self, stack, commands=("note", "note_batch"), every=0.0):
        self.stack, self.commands, self.every = stack, commands, every
        self.sent = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        amqp = self.stack.amqp()
        while not self._stop.is_set():
            key = f"m{len(self.sent)}"
            command = self.commands[len(self.sent) % len(self.commands)]
            try:
                amqp.publish("fixture." + command, {"key": key}, message_id=key)
            except pika.exceptions.AMQPError:  # cut off: what was not confirmed is sent again
                amqp = self.stack.amqp()
                continue
            self.sent.append(key)
            self._stop.wait(self.every)
        amqp.close()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
