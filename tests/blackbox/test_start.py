"""What a worker wants of its settings and of the broker before it serves, and what it says where that is wanting."""

import pytest

from lib.fleet import Fleet
from lib.stack import Stack

SECRET = "hunter2222"

PARTS = ["game.tick", "game.tick.rpc", "game.tick.dead", "game.tick.retry.60s"]
EXCHANGES = ["game.commands", "game.rpc", "game.events", "game.dead", "game.retry.10s"]

BAD = {
    "ADMIN_ADDR": ["nonsense", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:99999999999999999999"],
    # Unescaped, a password's first half stands where a port is looked for.
    "DATABASE_URL": [f"postgresql://u:{SECRET}/half@h/db", f"postgresql://u:{SECRET}@h:65536/db", f"postgresql://h1:1,h2:{SECRET}/db"],
    "AMQP_URL": [f"amqp://u:{SECRET}/half@h/", f"http://u:{SECRET}@h/"],
    "REDIS_URL": [f"redis://u:{SECRET}/half@h/0", f"http://u:{SECRET}@h/"],
}


@pytest.fixture(scope="module")
def own(servers, build):
    """A vhost and database of this module, whose topology it may take apart."""
    stack = Stack(servers, build)
    try:
        yield stack.create()
    finally:
        stack.remove()


@pytest.mark.parametrize("name, value", [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_address_is_refused_by_name_and_no_secret_is_shown(fleet, name, value):
    done = fleet.run("tick", startup_timeout="0s", **{name: value})
    assert done.returncode == 64 and name in done.stderr, done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize("word", [f"amqp://u:{SECRET}@h/", f"--AMQP_URL=amqp://u:{SECRET}@h/", f"AMQP_URI=amqp://u:{SECRET}@h/"])
def test_a_secret_in_a_word_that_is_no_setting_is_not_shown(fleet, word):
    done = fleet.run("tick", word)
    assert done.returncode == 64 and SECRET not in done.stderr, done.stderr


@pytest.mark.parametrize("missing", PARTS + EXCHANGES)
def test_what_is_missing_in_the_broker_is_named_with_the_command_that_makes_it(own, tmp_path, missing):
    amqp = own.amqp()
    if missing in EXCHANGES:
        amqp.channel.exchange_delete(missing)
    else:
        amqp.channel.queue_delete(missing)
    amqp.close()
    try:
        done = Fleet(own, tmp_path).run("tick")
    finally:
        own.ctl("topology", "apply")
    assert done.returncode == 69
    assert missing in done.stderr and "garrisonctl topology apply" in done.stderr
