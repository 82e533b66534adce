"""state-backup while its stores sleep, fill up and die."""

import json

import pytest

from lib.wait import wait_for

ONE_BUILD = "last"  # what takes long here is servers

pytestmark = pytest.mark.services("state-backup")

RESTORE = "state-backup.restore_full_state"


@pytest.fixture
def cursor(own_stack):
    connection = own_stack.database()
    yield connection.cursor()
    connection.close()


@pytest.fixture
def amqp(own_stack):
    amqp = own_stack.amqp()
    yield amqp
    amqp.close()


def new_characters(cursor, n):
    cursor.execute("INSERT INTO characters (name) SELECT 'n' FROM generate_series(1, %s) RETURNING id", (n,))
    return [row[0] for row in cursor.fetchall()]


def mark(redis, ids, state):
    for char_id in ids:
        redis.hset(f"ac:{char_id}", mapping={"state": state, "bio": "{}"})
    redis.sadd("dirty_accounts", *ids)


def all_saved(cursor, ids, state):
    cursor.execute("SELECT count(*) FROM characters WHERE id = ANY (%s) AND game_stage = %s", (ids, state))
    return cursor.fetchone()[0] == len(ids)


def test_a_restore_that_slept_past_its_locks_writes_nothing_old(own_stack, own_fleet, amqp, cursor):
    """It has read version 1; while it sleeps before its write, version 2 is saved. What it writes must be version 2."""
    own_fleet.start("state-backup", command_processing_timeout="20s", backup_interval="1h", retry_delays="1s")
    (char_id,) = new_characters(cursor, 1)
    cursor.execute("UPDATE characters SET location_id = 'one' WHERE id = %s", (char_id,))
    blocker = own_stack.database()
    blocker.autocommit = False
    blocker.cursor().execute("LOCK TABLE character_stats IN ACCESS EXCLUSIVE MODE")
    request = amqp.request(RESTORE, {"char_id": char_id})
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    wait_for(lambda: (cursor.execute(waiting, (own_stack.name,)), cursor.fetchone())[1])
    own_stack.redis.execute_command("CLIENT", "PAUSE", 60000, "WRITE")
    try:
        blocker.rollback()  # now it reads version 1, and sleeps on its write
        # Granted only once the sleeper's session has been ended, with its lock.
        cursor.execute("UPDATE characters SET location_id = 'two' WHERE id = %s", (char_id,))
    finally:
        own_stack.redis.execute_command("CLIENT", "UNPAUSE")
    amqp.requests.wait(request, 20)
    amqp.call(RESTORE, {"char_id": char_id})
    assert json.loads(own_stack.redis.hget(f"ac:{char_id}", "location"))["current"] == "two"


def test_marks_outlive_a_redis_without_memory(own_stack, own_fleet, cursor):
    redis = own_stack.redis
    ids = new_characters(cursor, 200)
    mark(redis, ids, "full")
    redis.config_set("maxmemory", "1mb")
    try:
        worker = own_fleet.start("state-backup", backup_interval="50ms", backup_batch_size=20)
        worker.wait_for_log(event="drain_failed")
        left = redis.scard("dirty_accounts") + sum(
            redis.scard(key) for key in redis.scan_iter("dirty_accounts:processing:*")
        )
        cursor.execute("SELECT count(*) FROM characters WHERE id = ANY (%s) AND game_stage <> 'full'", (ids,))
        assert left >= cursor.fetchone()[0]
    finally:
        redis.config_set("maxmemory", "0")
    wait_for(lambda: all_saved(cursor, ids, "full"), 20)


def test_marks_outlive_a_killed_database(own_stack, own_fleet, cursor):
    redis = own_stack.redis
    ids = new_characters(cursor, 500)
    own_fleet.start("state-backup", backup_interval="50ms", backup_batch_size=20)
    mark(redis, ids, "before")
    own_stack.servers.kill("postgres")
    mark(redis, ids[:250], "after")
    own_stack.servers.start("postgres")
    with own_stack.database() as again:
        fresh = again.cursor()
        wait_for(lambda: all_saved(fresh, ids[250:], "before") and all_saved(fresh, ids[:250], "after"), 30)


def test_commands_are_retried_while_redis_is_away(own_stack, own_fleet, amqp):
    cursor = own_stack.database().cursor()
    (char_id,) = new_characters(cursor, 1)
    own_fleet.start("state-backup", backup_interval="1h", retry_delays="1s")
    own_stack.servers.kill("redis")
    try:
        request = amqp.request(RESTORE, {"char_id": char_id}, exchange="game.commands")
    finally:
        own_stack.servers.start("redis")
    assert amqp.requests.wait(request, 30).result["restored"]
    assert own_stack.redis.hget(f"ac:{char_id}", "state") == "idle"
