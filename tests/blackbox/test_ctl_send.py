"""garrisonctl publish and call, and what all verbs have in common."""

import json
import threading
import time
import uuid

import pytest

pytestmark = pytest.mark.services("arena")

COMMAND = "arena.get_gear_score"
BODY = '{"char_id": 101}'


class Answerer:
    """Takes one request from arena's queue and answers it with the given bytes; None: never."""

    def __init__(self, stack, answer):
        self.amqp = stack.amqp()
        self.answer = answer
        self.requests = []
        self.amqp.channel.basic_consume("game.arena.rpc", self._take, auto_ack=True)
        self.stopped = False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _take(self, channel, method, properties, body):
        self.requests.append((method, properties, body))
        if self.answer is not None:
            answer = type(properties)(correlation_id=properties.correlation_id)
            channel.basic_publish("", properties.reply_to, self.answer, answer)

    def _run(self):
        while not self.stopped:
            self.amqp.connection.process_data_events(time_limit=0.05)

    def stop(self):
        self.stopped = True
        self.thread.join()
        self.amqp.close()


@pytest.fixture
def answer(stack):
    """answer(bytes): somebody answers arena's requests so."""
    running = []

    def start(reply):
        running.append(Answerer(stack, reply))
        return running[-1]

    yield start
    for answerer in running:
        answerer.stop()


# publish --------------------------------------------------------------------------------------------------------------


def test_publish_is_durable_and_complete(stack, amqp):
    told = json.loads(stack.ctl("publish", COMMAND, BODY, "--json").stdout)
    message = amqp.get("game.arena")
    assert (message.exchange, message.routing_key, message.raw) == ("game.commands", COMMAND, BODY.encode())
    properties = message.properties
    assert (properties.type, properties.delivery_mode) == ("get_gear_score", 2)
    assert properties.content_type == "application/json"
    assert told == {"routing_key": COMMAND, "message_id": properties.message_id}
    assert uuid.UUID(properties.message_id)


def test_publish_reads_standard_input_and_takes_a_message_id(stack, amqp):
    body = json.dumps({"char_id": 101, "filler": "ж" * 300_000}, ensure_ascii=False)
    stack.ctl("publish", COMMAND, "-", "--message-id", "mine", stdin=body)
    message = amqp.get("game.arena")
    assert message.properties.message_id == "mine"
    assert message.raw.decode() == body


def test_publish_fails_when_no_queue_takes_it(stack, amqp):
    amqp.channel.queue_unbind("game.arena", "game.commands", "arena.#")
    try:
        failed = stack.ctl("publish", COMMAND, BODY, check=False)
    finally:
        amqp.channel.queue_bind("game.arena", "game.commands", "arena.#")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "no queue takes arena.get_gear_score" in failed.stderr


@pytest.mark.services("auth")
def test_publish_of_what_only_game_rpc_takes_says_what_to_use(stack):
    refused = stack.ctl("publish", "auth.login", "{}", check=False)
    assert refused.returncode == 64 and "use garrisonctl call" in refused.stderr


# call -----------------------------------------------------------------------------------------------------------------


def test_call_prints_the_reply(stack, answer):
    reply = b'{"ok":true,"result":{"gear_score":100}}'
    answerer = answer(reply)
    done = stack.ctl("call", COMMAND, BODY)
    assert done.stdout.encode() == reply + b"\n"
    method, properties, body = answerer.requests[0]
    assert (method.exchange, method.routing_key, body) == ("game.rpc", COMMAND, BODY.encode())
    assert (properties.type, properties.expiration) == ("get_gear_score", "10000")
    assert isinstance(properties.headers["g-deadline"], int) and properties.message_id


def test_call_fails_when_the_reply_is_not_ok(stack, answer):
    reply = '{"ok":false,"error":{"code":"not_found","message":"no character 101","retryable":false}}'
    answer(reply.encode())
    failed = stack.ctl("call", COMMAND, BODY, check=False)
    assert (failed.returncode, failed.stdout) == (1, reply + "\n")
    assert failed.stderr == "garrisonctl: not_found: no character 101\n"


def test_call_says_that_no_worker_runs(stack):
    failed = stack.ctl("call", COMMAND, BODY, check=False)
    assert (failed.returncode, failed.stdout) == (69, "")
    assert "no worker of arena is running" in failed.stderr


def test_call_gives_up_after_its_timeout(stack, answer):
    answer(None)
    failed = stack.ctl("call", COMMAND, BODY, "--timeout=200ms", check=False, timeout=5)
    assert failed.returncode == 69 and "no reply in time" in failed.stderr


def test_call_reaches_a_real_worker(stack, fleet, sql):
    sql("INSERT INTO characters (id) VALUES (101) ON CONFLICT DO NOTHING")
    fleet.start("arena")
    assert json.loads(stack.ctl("call", COMMAND, BODY).stdout) == {"ok": True, "result": {"gear_score": 100}}
    assert stack.ctl("call", COMMAND, '{"char_id": 999}', check=False).returncode == 1


# What is refused, before anything is sent -----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["publish", "call"])
@pytest.mark.parametrize(
    "name, suggestion",
    [
        ("arena.get_gear_scor", "; did you mean arena.get_gear_score?"),
        ("areba.join_queue", "; did you mean arena.join_queue?"),
        ("check_match", "; did you mean arena.check_match?"),
        ("nothing.like.that.at.all", ""),
    ],
)
def test_an_unknown_command_is_named_with_the_nearest(stack, amqp, verb, name, suggestion):
    refused = stack.ctl(verb, name, "{}", check=False)
    assert (refused.returncode, refused.stdout) == (64, "")
    assert refused.stderr == f'garrisonctl: unknown command "{name}"{suggestion}\n'


@pytest.mark.parametrize("verb", ["publish", "call"])
@pytest.mark.parametrize("body", ["", "{", "{} {}", "{'a': 1}", '{"a": 1} x', '"\x01"', "[01]"])
@pytest.mark.parametrize("where", ["argument", "standard input"])
def test_what_is_not_one_json_value_is_refused(stack, amqp, verb, body, where):
    if where == "argument":
        refused = stack.ctl(verb, COMMAND, body, check=False)
    else:
        refused = stack.ctl(verb, COMMAND, "-", check=False, stdin=body)
    assert (refused.returncode, refused.stdout) == (64, "")
    assert refused.stderr.startswith("garrisonctl: ") and len(refused.stderr.splitlines()) == 1
    assert amqp.depth("game.arena") == 0


@pytest.mark.parametrize(
    "words, part",
    [
        ([], "which verb?"),
        (["frobnicate"], 'no such verb "frobnicate"'),
        (["topology"], "did you mean topology apply or topology check or topology export?"),
        (["topology", "aply"], "did you mean topology apply?"),
        (["call", COMMAND], "usage: garrisonctl call SERVICE.COMMAND JSON|-"),
        (["call", COMMAND, BODY, "more"], "usage:"),
        (["call", COMMAND, BODY, "--tmeout=1s"], "call has no option --tmeout; did you mean timeout?"),
        (["call", COMMAND, BODY, "--timeout"], "--timeout needs a value"),
        (["call", COMMAND, BODY, "--timeout=soon"], "--timeout"),
        (["dead", "redrive", "arena", "--rate=-1"], "--rate"),
        (["migrate", "NO_SUCH_SETTING=1"], "NO_SUCH_SETTING"),
        (["migrate", "STARTUP_TIMEOUT=later"], "STARTUP_TIMEOUT"),
        (["topology", "apply", "AMQP_URL=http://nobody"], "AMQP_URL"),
        (["topology", "check", "RABBITMQ_API_URL=nobody"], "RABBITMQ_API_URL"),
    ],
)
def test_wrong_usage_is_64_and_one_line(stack, words, part):
    refused = stack.ctl(*words, check=False)
    assert (refused.returncode, refused.stdout) == (64, "")
    assert refused.stderr.startswith("garrisonctl: ") and len(refused.stderr.splitlines()) == 1
    assert part in refused.stderr


NO_URLS = {
    "AMQP_URL": ["http://u:s3cret@127.0.0.1", "amqp://u:s3cret@127.0.0.1:99999/"],
    "RABBITMQ_API_URL": ["ftp://u:s3cret@127.0.0.1/"],
    "DATABASE_URL": ["mysql://u:s3cret@127.0.0.1/x", "postgresql://u:s3cret@127.0.0.1:bad/x"],
    "REDIS_URL": ["http://u:s3cret@127.0.0.1/0", "redis://:s3cret@127.0.0.1/x"],
}


@pytest.mark.parametrize("words", [["topology", "check"], ["migrate"], ["status"], ["dead", "list", "arena"], ["publish", COMMAND, BODY]])
@pytest.mark.parametrize("name", NO_URLS)
def test_what_is_no_url_is_named_by_every_verb(stack, amqp, words, name):
    for url in NO_URLS[name]:
        refused = stack.ctl(*words, check=False, **{name: url})
        assert (refused.returncode, refused.stdout) == (64, "")
        assert refused.stderr.startswith(f"garrisonctl: {name}: ") and len(refused.stderr.splitlines()) == 1
        assert "s3cret" not in refused.stderr
    assert amqp.depth("game.arena") == 0


NOBODY = {
    "AMQP_URL": "amqp://guest:s3cret@127.0.0.1:1/",
    "RABBITMQ_API_URL": "http://guest:s3cret@127.0.0.1:1/",
    "DATABASE_URL": "postgresql://guest:s3cret@127.0.0.1:1/x",
    "REDIS_URL": "redis://:s3cret@127.0.0.1:1/0",
}


@pytest.mark.parametrize(
    "words",
    [
        ["topology", "apply"],
        ["topology", "check"],
        ["migrate"],
        ["publish", COMMAND, BODY],
        ["call", COMMAND, BODY],
        ["dead", "list", "arena"],
    ],
)
def test_a_server_out_of_reach_is_69_and_no_secret_is_shown(stack, words):
    failed = stack.ctl(*words, check=False, **NOBODY)
    assert (failed.returncode, failed.stdout) == (69, "")
    assert failed.stderr.startswith("garrisonctl: ") and len(failed.stderr.splitlines()) == 1
    assert "127.0.0.1" in failed.stderr and "s3cret" not in failed.stderr


@pytest.mark.parametrize("words", [["topology", "apply"], ["migrate"]])
def test_startup_timeout_is_how_long_it_goes_on_trying(stack, words):
    began = time.monotonic()
    assert stack.ctl(*words, check=False, STARTUP_TIMEOUT="1200ms", **NOBODY).returncode == 69
    assert 1.2 <= time.monotonic() - began < 5


# What it says of itself -----------------------------------------------------------------------------------------------


def test_every_verb_has_help(stack):
    described = json.loads(stack.ctl("--describe").stdout)
    overview = stack.ctl("--help").stdout
    assert {"topology apply", "topology check", "topology export", "migrate", "publish", "call"} <= {
        verb["name"] for verb in described["verbs"]
    }
    for verb in described["verbs"]:
        assert f"  {verb['name']}" in overview
        told = stack.ctl(*verb["name"].split(), "--help").stdout
        assert verb["help"] in told and "--json" in told and "AMQP_URL" in told
        for option in verb["options"]:
            assert f"--{option['name']}" in told


@pytest.mark.parametrize("verb", ["publish", "call"])
def test_help_lists_the_commands(stack, verb):
    told = stack.ctl(verb, "--help").stdout
    assert COMMAND in told and "arena.join_queue" in told


def test_version(stack):
    assert stack.ctl("--version").stdout.startswith("garrisonctl ")
