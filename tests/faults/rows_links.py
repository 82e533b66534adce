"""What a network does to the link between workers and one server: the second of each pair, auth and the gateway lie behind it."""

import time

from lib.proxy import DOWN, UP

from .table import row
from .world import LINKS

NAMES = {"rabbitmq": "RabbitMQ", "redis": "Redis", "postgres": "PostgreSQL"}
# Until a silent server is noticed: two heartbeats, or a command's limit and the probe's.
SILENT_S = {"rabbitmq": 30, "redis": 10, "postgres": 10}


def grown(before, after, count):
    return after[count] - before[count]


def cut(run, proxy, _):
    """All connections are reset, ten times in 2 s."""
    before = proxy.counts()
    for _ in range(10):
        proxy.cut("rst")
        time.sleep(run.rng.uniform(0.1, 0.3))
    return grown(before, proxy.counts(), "cut")


def refused(run, proxy, _):
    """All connections are reset and new ones refused for 5 s."""
    before = proxy.counts()
    proxy.refuse()
    time.sleep(5)
    return grown(before, proxy.counts(), "cut")


def frozen(run, proxy, server):
    """No byte moves, longer than it takes to notice."""
    before = proxy.counts()
    proxy.freeze()
    time.sleep(SILENT_S[server])
    return grown(before, proxy.counts(), "held")


def deaf(run, proxy, server):
    """What workers send arrives, what the server says is swallowed, longer than it takes to notice."""
    before = proxy.counts()
    proxy.drop(DOWN)
    time.sleep(SILENT_S[server])
    return grown(before, proxy.counts(), "dropped")


def mute(run, proxy, server):
    """What workers send is swallowed, longer than it takes to notice."""
    before = proxy.counts()
    proxy.drop(UP)
    time.sleep(SILENT_S[server])
    return grown(before, proxy.counts(), "dropped")


def slow(run, proxy, _):
    """Each piece comes 150 ms late, in both directions, for 6 s."""
    before = proxy.counts()
    proxy.delay(150)
    time.sleep(6)
    return grown(before, proxy.counts(), "held")


def trickling(run, proxy, _):
    """64 bytes at a time, 20 ms apart, in both directions, for 6 s."""
    before = proxy.counts()
    proxy.trickle(64, 20)
    time.sleep(6)
    return grown(before, proxy.counts(), "held")


def broken_off(run, proxy, _):
    """Each connection is reset in the middle: after 1 to 5,000 bytes of the server's or the workers' words, ten times."""
    before = proxy.counts()
    for _ in range(10):
        proxy.cut_after(run.rng.randint(1, 5000), run.rng.choice((UP, DOWN)))
        time.sleep(0.5)
        proxy.heal()
        time.sleep(0.2)
    return grown(before, proxy.counts(), "cut")


KINDS = {
    "cut": (cut, "connections reset, as the proxy counts them"),
    "refused": (refused, "connections reset, as the proxy counts them"),
    "frozen": (frozen, "pieces held, as the proxy counts them"),
    "deaf": (deaf, "bytes swallowed, as the proxy counts them"),
    "mute": (mute, "bytes swallowed, as the proxy counts them"),
    "slow": (slow, "pieces held, as the proxy counts them"),
    "trickling": (trickling, "pieces held, as the proxy counts them"),
    "broken off": (broken_off, "connections reset, as the proxy counts them"),
}


def link_row(server, kind):
    work, fired = KINDS[kind]

    def inflict(run):
        proxy = run.world.proxies[server]
        try:
            return work(run, proxy, server)
        finally:
            proxy.heal()

    inflict.__doc__ = work.__doc__
    row(f"link to {NAMES[server]} {kind}", fired, short=(server, kind) == ("rabbitmq", "cut"))(inflict)


for _server in LINKS:
    for _kind in KINDS:
        link_row(_server, _kind)


@row("COMMIT answers lost", fired="answers lost, as the proxy counts them", short=True)
def commit_lost(run):
    """Transactions commit and nobody is told: the connection is reset in place of the answer to COMMIT, for 4 s."""
    return lose(run, "postgres", "COMMIT", 4)


@row("confirms lost", fired="answers lost, as the proxy counts them", short=True)
def confirm_lost(run):
    """The broker has an event and nobody is told: the connection is reset in place of its confirm, for 4 s."""
    return lose(run, "rabbitmq", "game.events", 4)


def lose(run, server, text, seconds):
    proxy = run.world.proxies[server]
    before = proxy.counts()
    proxy.lose_reply(text, times=10**6)
    time.sleep(seconds)
    proxy.heal()
    return grown(before, proxy.counts(), "lost")
