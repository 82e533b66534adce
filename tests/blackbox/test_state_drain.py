"""state-backup: marks in dirty_accounts, and what becomes of them."""

import json
import uuid

import pytest

from lib.wait import wait_for

pytestmark = pytest.mark.services("state-backup")


@pytest.fixture
def characters(sql, redis):
    """characters(n): ids of n new ones with a live cache, state "one"."""
    redis.flushdb()

    def make(n):
        ids = [row[0] for row in sql("INSERT INTO characters (name) SELECT '' FROM generate_series(1, %s) RETURNING id", n)]
        write(redis, ids, "one")
        return ids

    return make


def write(redis, ids, state):
    with redis.pipeline(transaction=False) as pipeline:
        for char_id in ids:
            pipeline.hset(f"ac:{char_id}", mapping={"state": state, "bio": '{"name": "B"}'})
        pipeline.execute()


def saved(sql, ids, state):
    return sql("SELECT count(*) FROM characters WHERE id = ANY (%s) AND game_stage = %s", ids, state)[0][0] == len(ids)


def marks_left(redis):
    return {
        key: redis.zrange(key, 0, -1) if key.endswith(":aside") else redis.smembers(key)
        for key in redis.scan_iter("dirty_accounts*")
        if key == "dirty_accounts" or ":processing:" in key or key.endswith(":aside")
    }


def test_marked_characters_are_backed_up_every_interval(fleet, redis, sql, characters):
    ids = characters(20)
    fleet.start("state-backup", backup_interval="100ms")
    for state in ("two", "three"):
        write(redis, ids, state)
        redis.sadd("dirty_accounts", *ids)
        wait_for(lambda: saved(sql, ids, state))  # noqa: B023
    wait_for(lambda: not marks_left(redis))


def test_all_members_are_drained_in_batches(fleet, redis, sql, characters):
    ids = characters(95)
    redis.sadd("dirty_accounts", *ids)
    fleet.start("state-backup", backup_interval="1h", backup_batch_size=10)
    wait_for(lambda: saved(sql, ids, "one"))
    wait_for(lambda: not marks_left(redis))


def test_marks_wait_for_the_interval(fleet, redis, sql, characters):
    ids = characters(3)
    worker = fleet.start("state-backup", backup_interval="1h")
    wait_for(lambda: redis.exists("dirty_accounts:clean"))
    redis.sadd("dirty_accounts", *ids)
    wait_for(lambda: worker.metrics()["garrison_backup_marks_waiting"] == 3)  # seen, and left
    assert not saved(sql, ids, "one") and redis.scard("dirty_accounts") == 3
    wait_for(lambda: worker.metrics()["garrison_backup_oldest_mark_age_seconds"] > 1)


def test_many_workers_drain_at_once(fleet, redis, sql, characters):
    ids = characters(3000)
    redis.sadd("dirty_accounts", *ids)
    workers = [fleet.start("state-backup", ready=False, backup_interval="50ms", backup_batch_size=50) for _ in range(3)]
    wait_for(lambda: saved(sql, ids, "one"))
    wait_for(lambda: not marks_left(redis))
    for worker in workers:
        worker.wait_ready()


def test_sessions_are_saved_with_the_character(fleet, redis, sql, characters):
    (char_id,) = characters(1)
    session_id = str(uuid.uuid4())
    redis.hset(f"ac:{char_id}", mapping={"state": "scenario", "scenario_session_id": session_id})
    redis.hset(f"scenario:session:{session_id}", mapping={"step": 4})
    redis.sadd("dirty_accounts", char_id)
    fleet.start("state-backup", backup_interval="1h")
    wait_for(
        lambda: sql("SELECT session_id::text, storage FROM session_snapshots WHERE character_id = %s", char_id)
        == [(session_id, "hash")]
    )


def test_an_unreadable_cache_is_set_aside_and_tried_again(fleet, redis, sql, characters):
    good, (bad, worse) = characters(50), characters(2)
    redis.hset(f"ac:{bad}", "stats", "{not json")
    redis.delete(f"ac:{worse}")
    redis.lpush(f"ac:{worse}", "a list")
    redis.sadd("dirty_accounts", *good, bad, worse, "no number")
    worker = fleet.start("state-backup", backup_interval="1s")
    wait_for(lambda: saved(sql, good, "one"))
    wait_for(lambda: set(redis.zrange("dirty_accounts:aside", 0, -1)) == {str(bad), str(worse), "no number"})
    wait_for(lambda: worker.metrics()["garrison_backup_marks_set_aside"] == 3)
    lines = [log["text"] for log in worker.logs if log["event"] == "mark_set_aside"]
    assert any(str(bad) in line and "stats is not JSON" in line for line in lines)
    assert any(str(worse) in line for line in lines) and any("no number" in line for line in lines)
    assert not saved(sql, [bad], "one")
    redis.hset(f"ac:{bad}", "stats", "{}")  # nobody marks it again
    wait_for(lambda: saved(sql, [bad], "one"))
    wait_for(lambda: set(redis.zrange("dirty_accounts:aside", 0, -1)) == {str(worse), "no number"})


def test_what_the_database_cannot_store_is_found_among_many(fleet, redis, sql, characters):
    good, bad = characters(300), characters(3)
    for char_id in bad:  # JSON by every rule, but past PostgreSQL's numbers
        redis.hset(f"ac:{char_id}", "stats", '{"n": 1e-20000}')
    redis.sadd("dirty_accounts", *good, *bad)
    fleet.start("state-backup", backup_interval="1h")
    wait_for(lambda: saved(sql, good, "one"))
    wait_for(lambda: sorted(redis.zrange("dirty_accounts:aside", 0, -1)) == sorted(map(str, bad)))
    assert not saved(sql, bad[:1], "one")


def test_a_mark_without_cache_or_character_is_dropped(fleet, redis, sql, characters):
    (char_id,) = characters(1)
    redis.delete(f"ac:{char_id}")
    redis.sadd("dirty_accounts", char_id, 999)
    fleet.start("state-backup", backup_interval="1h")
    wait_for(lambda: not marks_left(redis))


def test_a_cache_without_a_character_is_set_aside(fleet, redis, sql, characters):
    characters(1)
    redis.hset("ac:998", mapping={"state": "one"})
    redis.sadd("dirty_accounts", 998)
    fleet.start("state-backup", backup_interval="500ms")
    wait_for(lambda: redis.zrange("dirty_accounts:aside", 0, -1) == ["998"])
    sql("INSERT INTO characters (id) VALUES (998)")
    wait_for(lambda: saved(sql, [998], "one"))
    sql("DELETE FROM characters WHERE id = 998")


def test_a_locked_row_holds_up_only_itself(fleet, redis, stack, sql, characters):
    ids = characters(40)
    other = stack.database()
    other.autocommit = False
    other.cursor().execute("SELECT 1 FROM characters WHERE id = %s FOR UPDATE", (ids[7],))
    redis.sadd("dirty_accounts", *ids)
    fleet.start("state-backup", backup_interval="200ms")
    free = ids[:7] + ids[8:]
    wait_for(lambda: saved(sql, free, "one"))
    write(redis, free, "two")
    redis.sadd("dirty_accounts", *free)
    wait_for(lambda: saved(sql, free, "two"))
    other.rollback()
    wait_for(lambda: saved(sql, [ids[7]], "one"))
    wait_for(lambda: not marks_left(redis))


def test_a_dead_workers_marks_are_adopted(fleet, redis, sql, characters):
    ids = characters(30)
    redis.sadd("dirty_accounts:processing:gone", *ids)
    redis.sadd("dirty_accounts:workers", "gone")
    fleet.start("state-backup", backup_interval="1h")
    wait_for(lambda: saved(sql, ids, "one"))
    wait_for(lambda: not marks_left(redis) and not redis.sismember("dirty_accounts:workers", "gone"))


def test_a_killed_workers_marks_are_adopted(fleet, redis, stack, sql, characters):
    """It dies while it waits in the middle of a batch: its marks are in nobody's dirty_accounts."""
    ids = characters(30)
    redis.sadd("dirty_accounts", *ids)
    first = fleet.start("state-backup", backup_interval="1h", ready=False)
    other = stack.database()
    other.autocommit = False
    other.cursor().execute("SELECT 1 FROM characters WHERE id = %s FOR UPDATE", (ids[0],))
    wait_for(lambda: redis.keys("dirty_accounts:processing:*") or not redis.scard("dirty_accounts"))
    first.kill()
    other.rollback()
    fleet.start("state-backup", backup_interval="1h")
    wait_for(lambda: saved(sql, ids, "one"), timeout=20)
    wait_for(lambda: not marks_left(redis))


def test_a_clean_stop_leaves_no_mark_behind(fleet, redis, sql, characters):
    ids = characters(2000)
    redis.sadd("dirty_accounts", *ids)
    first = fleet.start("state-backup", backup_interval="1h", backup_batch_size=20, ready=False)
    wait_for(lambda: redis.scard("dirty_accounts") < 1900)
    first.stop()
    held = sum(len(marks) for marks in marks_left(redis).values())
    unsaved = sql("SELECT count(*) FROM characters WHERE id = ANY (%s) AND game_stage <> 'one'", ids)[0][0]
    assert 0 < unsaved <= held
    fleet.start("state-backup", backup_interval="1h", backup_batch_size=1000)
    wait_for(lambda: saved(sql, ids, "one"))


def test_whoever_restores_finds_what_was_drained(fleet, amqp, redis, sql, characters):
    (char_id,) = characters(1)
    vitals = {"hp": {"cur": 1, "max": 50}, "energy": {"cur": 2, "max": 60}}
    redis.hset(f"ac:{char_id}", "vitals", json.dumps(vitals))
    redis.sadd("dirty_accounts", char_id)
    fleet.start("state-backup", backup_interval="50ms")
    wait_for(lambda: saved(sql, [char_id], "one"))
    redis.flushdb()
    assert amqp.call("state-backup.restore_full_state", {"char_id": char_id}).result["state"] == "one"
    assert json.loads(redis.hget(f"ac:{char_id}", "vitals")) == vitals
