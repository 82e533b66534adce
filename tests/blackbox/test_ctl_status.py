"""garrisonctl status: the three servers' figures, in words and as JSON, once and again and again."""

import json
import os
import pty
import signal
import subprocess

import pytest

from lib.wait import wait_for

LAG_S = 20  # the management API's figures are up to 5 s old, and a loaded machine adds to that


def status(stack):
    return json.loads(stack.ctl("status", "--json").stdout)


def service(told, name):
    return next(s for s in told["services"] if s["name"] == name)


def test_queues_and_workers(stack, amqp):
    amqp.channel.basic_consume("game.tick", lambda *_: None)
    for _ in range(3):
        amqp.publish("arena.join_queue", {})
        amqp.publish("tick.anything", {})
        amqp.publish("arena.join_queue", {}, exchange="game.dead")
        amqp.publish("arena.join_queue", {}, exchange="game.retry.10m")

    def seen():
        told = status(stack)
        arena, tick = service(told, "arena"), service(told, "tick")
        assert (arena["workers"], arena["durable"]["ready"], arena["dead"]["ready"]) == (0, 3, 3)
        assert arena["retrying"]["ready"] == 3
        assert arena["durable"]["lag_s"] is None and arena["requests"]["lag_s"] == 0, "stuck, and empty"
        assert (tick["workers"], tick["durable"]["ready"], tick["durable"]["in_flight"]) == (1, 0, 3)
        return True

    wait_for(seen, LAG_S, interval=0.3)
    lines = stack.ctl("status").stdout.splitlines()
    assert lines[0].split() == "SERVICE WORKERS READY FLIGHT IN/S OUT/S LAG REQS REQS/S RETRY DEAD".split()
    arena = next(line for line in lines if line.startswith("arena ")).split()
    assert (arena[2], arena[6], arena[9], arena[10]) == ("3", "stuck", "3", "3")
    for queue in ("game.arena", "game.arena.dead", "game.arena.retry.10m", "game.tick"):
        amqp.purge(queue)


def test_rates(stack, amqp):
    def seen():
        for _ in range(50):
            amqp.publish("arena.join_queue", {})
        return service(status(stack), "arena")["durable"]["in_per_s"] > 0

    wait_for(seen, LAG_S, interval=0.3)
    amqp.purge("game.arena")


def test_ticks_and_fights(stack, sql):
    sql("INSERT INTO characters (id) SELECT * FROM generate_series(1, 5)")
    sql(
        "INSERT INTO auto_sessions (player_id, next_tick_at)"
        " SELECT id, now() + CASE WHEN id < 3 THEN interval '-100 s' ELSE interval '1 h' END FROM characters"
    )
    for state, n in (("pending", 2), ("failed", 3), ("processed", 4)):
        sql(
            "INSERT INTO combat_history (session_id, participant_ids, result_payload, settlement_status)"
            " SELECT gen_random_uuid(), '{1}', '{}', %s FROM generate_series(1, %s)",
            state,
            n,
        )
    stack.redis.rpush("tick:queue:trade", "1:2:3", "2:3:4")
    told = status(stack)
    assert (told["ticks"]["sessions"], told["ticks"]["due"], told["ticks"]["queued"]) == (5, 2, 2)
    assert 100 <= told["ticks"]["overdue_s"] < 200
    assert told["fights"] == {"pending": 2, "failed": 3}


def test_marks(stack, redis):
    redis.sadd("dirty_accounts", 1, 2, 3)
    told = status(stack)["backup"]
    assert (told["dirty"], told["in_work"], told["oldest_s"]) == (3, 0, None)
    seconds, micro = redis.time()
    redis.set("dirty_accounts:clean", seconds * 1000 + micro // 1000 - 5000)
    redis.sadd("dirty_accounts:workers", "a", "b")
    redis.sadd("dirty_accounts:processing:a", 4, 5)
    told = status(stack)["backup"]
    assert (told["dirty"], told["in_work"]) == (3, 2)
    assert 5 <= told["oldest_s"] < 10


@pytest.mark.parametrize(
    "setting, error",
    [
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "database"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "cache"),
        ({"RABBITMQ_API_URL": "http://127.0.0.1:1/"}, "broker"),
    ],
)
def test_what_answers_is_shown_though_another_does_not(stack, setting, error):
    done = stack.ctl("status", "--json", check=False, **setting)
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
    errors = json.loads(done.stdout)["errors"]
    assert {name for name, text in errors.items() if text} == {error}
    assert f"{error}: " in stack.ctl("status", check=False, **setting).stdout


def test_watch_writes_a_json_line_each_time(stack):
    process = subprocess.Popen(
        [stack.binary("garrisonctl"), "status", "--watch", "--interval=100ms", "--json"],
        env=stack.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    for _ in range(3):
        assert json.loads(process.stdout.readline())["services"]
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(10) == 0


def test_colour_and_redrawing_only_on_a_terminal(stack, amqp):
    assert "\033" not in stack.ctl("status").stdout
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [stack.binary("garrisonctl"), "status", "--watch", "--interval=100ms"], env=stack.environment, stdout=theirs
    )
    os.close(theirs)
    seen = b""
    while seen.count(b"SERVICE") < 3:
        seen += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    os.close(ours)
    assert b"\033[H" in seen and b"\033[1m" in seen
