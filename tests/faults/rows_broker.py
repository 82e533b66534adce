"""RabbitMQ killed, paused, out of memory, and what an operator may do to it."""

import os
import signal
import time
from pathlib import Path

import pika

from lib.combat import SETTLE
from lib.wait import wait_for

from .table import Skip, row


def reconnects(world):
    return sum(world.counter("garrison_consumer_connects_total").values())


@row("broker killed", fired="no worker is ready", short=True)
def broker_killed(run):
    """kill -9 of RabbitMQ under load, then its start."""
    run.load.engine.burst(run.rng)
    run.world.servers.kill("rabbitmq")
    wait_for(lambda: not any(worker.ready() for worker in run.world.workers.values()), 20, what="all workers to notice")
    run.world.servers.start("rabbitmq")
    return 1


@row("broker paused", fired="a call is not answered meanwhile")
def broker_paused(run):
    """SIGSTOP to RabbitMQ for 12 s, then SIGCONT."""
    before = len(run.history.of("trouble"))
    run.world.servers.pause("rabbitmq")
    time.sleep(12)
    run.world.servers.resume("rabbitmq")
    wait_for(lambda: len(run.history.of("trouble")) > before, 20, what="somebody to miss the broker")
    return len(run.history.of("trouble")) - before


@row("all connections closed", fired="workers connect anew", short=True)
def connections_closed(run):
    """rabbitmqctl close_all_connections, three times, 1 s apart."""
    before = reconnects(run.world)
    for _ in range(3):
        run.world.servers.rabbitmqctl("close_all_connections", "--global", "a test")
        time.sleep(1)
    wait_for(lambda: reconnects(run.world) > before, 20, what="workers to connect anew")
    return int(reconnects(run.world) - before)


@row("broker application stopped", fired="workers connect anew")
def app_stopped(run):
    """rabbitmqctl stop_app, 2 s, start_app."""
    before = reconnects(run.world)
    run.world.servers.rabbitmqctl("stop_app")
    time.sleep(2)
    run.world.servers.rabbitmqctl("start_app")
    wait_for(lambda: reconnects(run.world) > before, 30, what="workers to connect anew")
    return int(reconnects(run.world) - before)


@row("listeners suspended", fired="a new connection is refused meanwhile")
def listeners_suspended(run):
    """rabbitmqctl suspend_listeners, all connections closed, 4 s, resume_listeners."""
    fired = 0
    run.world.servers.rabbitmqctl("suspend_listeners")
    try:
        run.world.servers.rabbitmqctl("close_all_connections", "--global", "a test")
        time.sleep(4)
        try:
            run.world.stack.amqp().close()
        except (pika.exceptions.AMQPError, OSError):
            fired = 1
    finally:
        run.world.servers.rabbitmqctl("resume_listeners")
    return fired


@row("memory alarm", fired="the node says mem_alarm", short=True)
def memory_alarm(run):
    """set_vm_memory_high_watermark absolute 1MB for 4 s: the broker takes no publications, acks still go out."""
    def alarmed():
        return any(node.get("mem_alarm") for node in run.world.stack.management.get("nodes"))

    run.world.servers.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        wait_for(alarmed, 15, what="the alarm")
        time.sleep(4)
    finally:
        run.world.servers.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
    return 1


def delete_and_declare(run, services):
    """Empty queues go and come back under their consumers; how many workers noticed."""
    run.load.rest()
    run.judge.drain()
    noticed = 0
    amqp = run.world.stack.amqp()
    for service in services:
        amqp.channel.queue_delete(f"game.{service}")
        workers = [run.world.workers[f"{service}/{n}"] for n in (1, 2)]
        wait_for(lambda: not any(worker.ready() for worker in workers), 20, what="the loss to be noticed")  # noqa: B023
        noticed += len(workers)
    amqp.close()
    run.world.stack.ctl("topology", "apply")
    return noticed


@row("queue deleted and declared again", fired="its consumers are not ready", loses="what was in the queue")
def queue_deleted(run):
    """The durable queues of two services are deleted under their consumers while empty, and declared by topology apply; the load goes on."""
    noticed = delete_and_declare(run, run.rng.sample(("tick", "arena", "combat-settlement", "state-backup"), 2))
    run.load.go()
    return noticed


@row("queue declared again, broker killed at once", fired="the queue has no leader",
     loses="what was confirmed in the second before", spoils=True)
def leader_lost(run):
    """An empty queue is deleted, declared again, and the broker killed at once, until RabbitMQ has lost its data (at most 4 times); then what the operator's page says: deleted, topology apply."""
    stack = run.world.stack
    for _ in range(4):
        delete_and_declare(run, ["arena"])
        run.world.servers.kill("rabbitmq")
        run.world.servers.start("rabbitmq")
        if stack.management.queue("game.arena")["leader"] is None:
            break
        run.world.wait_recovered(time.monotonic())
    else:
        raise Skip("RabbitMQ was quick to write it down each time")
    assert stack.ctl("topology", "check", check=False).returncode == 1, "topology check does not see it"
    stack.management.delete(f"queues/{stack.management.vhost}/game.arena")
    stack.ctl("topology", "apply")
    run.load.go()
    return 1


# Below the limits of commands and of waiting for a lock, so that a handler lives to commit what is no longer its own.
CONSUMER_TIMEOUT_MS, LOOKED_AT_MS, HELD_S = 700, 100, 1.3
USUAL_TIMEOUT_MS, USUALLY_LOOKED_AT_MS = 30 * 60 * 1000, 60 * 1000


def set_consumer_timeout(run, timeout_ms, looked_at_ms):
    """For connections to come; those there are are closed."""
    run.world.servers.rabbitmqctl(
        "eval",
        f"application:set_env(rabbit, consumer_timeout, {timeout_ms}),"
        f" application:set_env(rabbit, channel_tick_interval, {looked_at_ms}).",
    )
    run.world.servers.rabbitmqctl("close_all_connections", "--global", "a test")


@row("handlers past the consumer timeout", fired="channels that RabbitMQ has closed for it, as workers log it")
def consumer_timeout(run):
    """consumer_timeout is 700 ms; LOCK TABLE of characters four times, 1.3 s each: RabbitMQ gives the messages to others while their handlers wait, and then both commit."""
    def closed():
        return sum(worker.log_text.count("delivery acknowledgement on channel") for worker in run.world.fleet.workers)

    before = closed()
    set_consumer_timeout(run, CONSUMER_TIMEOUT_MS, LOOKED_AT_MS)
    try:
        for _ in range(4):
            run.world.wait_recovered(time.monotonic())
            holder = run.world.stack.database()
            holder.autocommit = False
            holder.cursor().execute("LOCK TABLE characters IN ACCESS EXCLUSIVE MODE")
            run.load.engine.burst(run.rng)
            time.sleep(HELD_S)
            holder.rollback()
            holder.close()
    finally:
        set_consumer_timeout(run, USUAL_TIMEOUT_MS, USUALLY_LOOKED_AT_MS)
    return closed() - before


# Messages ---------------------------------------------------------------------------------------------------------------


@row("history replayed twice, shuffled", fired="copies confirmed by the broker", short=True)
def replayed(run):
    """The latest 400 fights are published again, twice over and in another order each time, in mid-load."""
    documents = list(run.load.engine.documents.values())[-400:]
    confirmed = [d for d in documents if d["session_id"] in run.load.engine.confirmed]
    return sum(run.load.engine.replay(confirmed, run.rng) for _ in range(2))


@row("poison in mid-load", fired="each is in the dead queue with its code", short=True)
def poison(run):
    """Messages no worker can use: cut JSON, nested 1,001 deep, 9 MiB, no such command, a wrong type, a fight of nobody; each is dead, and nothing else."""
    amqp = run.world.stack.amqp()
    mark = f"poison-{run.rng.getrandbits(48):x}-"
    deep = b'{"session_id":' + b"[" * 1001 + b"]" * 1001 + b"}"
    stranger = {**next(iter(run.load.engine.documents.values()))}
    stranger["session_id"] = f"00000000-0000-4000-8000-{run.rng.getrandbits(48):012x}"
    stranger["participants"] = {"5000000001": {"is_winner": True, "changes": {"xp_gained": 1, "gold_gained": 0}}}
    messages = {
        "cut": (SETTLE, b'{"session_id":"x', "invalid_json"),
        "deep": (SETTLE, deep, "invalid_payload"),
        "big": (SETTLE, b'{"session_id":"' + b"x" * (9 << 20) + b'"}', "invalid_payload"),
        "unknown": ("tick.no_such_command", b"{}", "unknown_command"),
        "type": ("tick.start_auto_session", b'{"player_id":"one","active_category":"general"}', "invalid_payload"),
        "binary": ("arena.join_queue", bytes(range(256)), "invalid_json"),
        "nobody": (SETTLE, stranger, "not_found"),
        "nothing": ("state-backup.backup_full_state", b'{"char_id":5000000001}', "not_found"),
    }
    run.judge.expected_failed.add(stranger["session_id"])
    for name, (key, body, code) in messages.items():
        amqp.publish(key, body, message_id=mark + name)
        run.judge.expected_dead[mark + name] = {code}
    amqp.close()
    return len(messages)


@row("a crasher in mid-load", fired="processes killed, each with a suspect in it", short=True)
def crasher(run):
    """Three fights come as if for the fourth time, so that each is run alone in a child of its worker; that is killed (SIGKILL) while it waits for a lock. They are dead with stage crash, the load goes on, and a redrive settles them."""
    fired = 0
    for _ in range(3):
        holder = run.world.stack.database()
        holder.autocommit = False
        holder.cursor().execute("LOCK TABLE combat_history IN SHARE MODE")
        run.load.engine.burst(run.rng, 1, headers={"x-delivery-count": 3})
        child = wait_for(lambda: next(iter(children(run)), None), 10, what="the suspect's process")
        os.kill(child, signal.SIGKILL)
        fired += 1
        wait_for(lambda: child not in children(run), 10, what="its end")  # noqa: B023
        holder.rollback()
        holder.close()
    return fired


def children(run):
    """Those in which workers run a suspect alone."""
    parents = {worker.pid for worker in run.world.workers.values()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in parents and b"\0--one\0" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            pass
    return found
