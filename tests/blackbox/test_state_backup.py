"""state-backup: restore_full_state and backup_full_state, sentence by sentence."""

import json
import uuid

import pytest
import redis as redis_module

from lib.wait import wait_for

pytestmark = pytest.mark.services("state-backup")

RESTORE = "state-backup.restore_full_state"
BACKUP = "state-backup.backup_full_state"
VITALS = {"hp": {"cur": 33, "max": 120}, "energy": {"cur": 7, "max": 80}}


@pytest.fixture(autouse=True)
def worker(fleet):
    return fleet.start("state-backup", backup_interval="1h")


@pytest.fixture
def raw(stack):
    """Redis as bytes: sessions may hold any."""
    return redis_module.Redis.from_url(stack.redis_url)


@pytest.fixture
def new_character(sql):
    def make(**columns):
        columns.setdefault("name", "Anna")
        names = ", ".join(columns)
        values = [json.dumps(v) if isinstance(v, dict) else v for v in columns.values()]
        marks = ", ".join(["%s"] * len(values))
        return sql(f"INSERT INTO characters ({names}) VALUES ({marks}) RETURNING id", *values)[0][0]

    return make


def full_cache(**changed):
    cache = {
        "state": "exploring",
        "location": json.dumps({"current": "forest", "prev": "town"}),
        "bio": json.dumps({"name": "Мария", "gender": "female", "created_at": "2025-03-01T10:20:30.123Z"}),
        "stats": json.dumps({"strength": 7, "skills": ["sword", "лук"]}),
        "vitals": json.dumps(VITALS),
        "last_combat_session_id": str(uuid.uuid4()),
    }
    cache.update(changed)
    return {name: value for name, value in cache.items() if value is not None}


def parsed(cache):
    return {k: json.loads(v) if v.startswith("{") else v for k, v in cache.items()}


def in_fight(redis, char_id, ttl=None, **changed):
    session_id = str(uuid.uuid4())
    redis.hset(f"ac:{char_id}", mapping=full_cache(state="combat", combat_session_id=session_id, **changed))
    redis.set(f"combat:session:{session_id}", '{"round": 3}', ex=ttl)
    return session_id


def replies_to(amqp, sent):
    """The replies to many requests, in their order."""

    def all_there():
        amqp.connection.process_data_events(time_limit=0.01)
        found = {reply.properties.correlation_id: reply for reply in amqp.requests.replies}
        return all(i in found for i in sent) and [found[i] for i in sent]

    return wait_for(all_there, 30, interval=0, what=f"{len(sent)} replies")


# Restore ------------------------------------------------------------------------------------------------------------


def test_restore_builds_the_cache_from_the_database(amqp, redis, sql, new_character):
    fight = str(uuid.uuid4())
    char_id = new_character(
        name="Пётр",
        gender="male",
        game_stage="trade",
        location_id="town",
        prev_location_id="forest",
        vitals=VITALS,
        last_combat_session_id=fight,
        created_at="2025-01-02T03:04:05.678901Z",
    )
    sql("INSERT INTO character_stats VALUES (%s, %s)", char_id, '{"agility": 12}')
    assert amqp.call(RESTORE, {"char_id": char_id}).result == {"restored": True, "state": "trade", "sessions": {}}
    assert parsed(redis.hgetall(f"ac:{char_id}")) == {
        "state": "trade",
        "location": {"current": "town", "prev": "forest"},
        "bio": {"name": "Пётр", "gender": "male", "created_at": "2025-01-02T03:04:05.678Z"},
        "stats": {"agility": 12},
        "vitals": VITALS,
        "last_combat_session_id": fight,
    }


def test_a_new_character_restores_idle_with_defaults(amqp, redis, new_character):
    char_id = new_character()
    assert amqp.call(RESTORE, {"char_id": char_id}).result["state"] == "idle"
    cache = parsed(redis.hgetall(f"ac:{char_id}"))
    assert cache["vitals"] == {"hp": {"cur": 100, "max": 100}, "energy": {"cur": 100, "max": 100}}
    assert cache["location"] == {"current": None, "prev": None}
    assert cache["stats"] == {}


def test_an_unknown_character_is_not_found(amqp, redis):
    assert amqp.call(RESTORE, {"char_id": 999}).code == "not_found"
    assert amqp.call(BACKUP, {"char_id": 999}).code == "not_found"
    assert not redis.exists("ac:999")


@pytest.mark.parametrize("key", [RESTORE, BACKUP])
def test_bad_requests_name_the_field(amqp, key):
    for body in ({}, {"char_id": "101"}, {"char_id": 1.5}, {"char_id": 0}, {"char_id": -1}):
        reply = amqp.call(key, body)
        assert reply.code == "invalid_payload" and "char_id" in reply.fields
    if key == RESTORE:
        assert "force" in amqp.call(key, {"char_id": 1, "force": "yes"}).fields


def test_a_live_cache_is_not_overwritten_unless_forced(amqp, redis, new_character):
    char_id = new_character(game_stage="trade")
    cache = {"state": "exploring", "bio": "{}", "vitals": json.dumps(VITALS), "extra": "kept"}
    redis.hset(f"ac:{char_id}", mapping=cache)
    reply = amqp.call(RESTORE, {"char_id": char_id}).result
    assert reply == {"restored": False, "state": "exploring", "sessions": {}}
    assert redis.hgetall(f"ac:{char_id}") == cache
    reply = amqp.call(RESTORE, {"char_id": char_id, "force": True}).result
    assert reply == {"restored": True, "state": "trade", "sessions": {}}
    assert parsed(redis.hgetall(f"ac:{char_id}"))["vitals"]["hp"]["cur"] == 100
    assert redis.hget(f"ac:{char_id}", "extra") is None


def test_a_cache_that_comes_alive_during_the_restore_is_left(amqp, redis, stack, sql, new_character):
    char_id = new_character(game_stage="trade")
    other = stack.database()
    other.autocommit = False
    other.cursor().execute("LOCK TABLE character_stats IN ACCESS EXCLUSIVE MODE")
    request = amqp.request(RESTORE, {"char_id": char_id})  # sees no cache, and waits for the database
    wait_for(lambda: sql("SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'", stack.name))
    cache = {"state": "exploring", "bio": "{}"}
    redis.hset(f"ac:{char_id}", mapping=cache)
    other.rollback()
    reply = amqp.requests.wait(request, 10).result
    assert reply == {"restored": False, "state": "exploring", "sessions": {}}
    assert redis.hgetall(f"ac:{char_id}") == cache


@pytest.mark.parametrize("lacking", ["state", "bio"])
def test_a_partial_hash_is_filled_and_its_fields_kept(amqp, redis, new_character, lacking):
    char_id = new_character(game_stage="trade", name="Olga", location_id="town")
    partial = {"state": "exploring", "bio": '{"name": "kept"}', "vitals": json.dumps(VITALS), "mine": "1"}
    del partial[lacking]
    redis.hset(f"ac:{char_id}", mapping=partial)
    reply = amqp.call(RESTORE, {"char_id": char_id}).result
    assert reply["restored"] is True
    cache = redis.hgetall(f"ac:{char_id}")
    assert partial.items() <= cache.items()
    assert set(cache) == {"state", "bio", "vitals", "mine", "location", "stats"}
    assert reply["state"] == cache["state"] == ("trade" if lacking == "state" else "exploring")
    assert redis.sismember("dirty_accounts", char_id)  # what it kept may never have been saved
    redis.delete("dirty_accounts")


def test_a_key_of_another_type_is_refused_unless_forced(amqp, redis, new_character):
    char_id = new_character()
    redis.set(f"ac:{char_id}", "rubbish")
    reply = amqp.call(RESTORE, {"char_id": char_id})
    assert reply.code == "conflict" and redis.get(f"ac:{char_id}") == "rubbish"
    assert amqp.call(RESTORE, {"char_id": char_id, "force": True}).result["restored"]
    assert redis.hget(f"ac:{char_id}", "state") == "idle"


def test_restored_is_announced(amqp, redis, new_character):
    events = amqp.events("state-backup.restored")
    char_id = new_character(game_stage="trade")
    amqp.call(RESTORE, {"char_id": char_id})
    assert events.next().body == {"char_id": char_id, "state": "trade"}
    amqp.call(RESTORE, {"char_id": char_id})
    other = new_character()
    amqp.call(RESTORE, {"char_id": other})
    assert events.next().body["char_id"] == other  # and nothing of the live one in between


def test_a_repeated_command_answers_and_announces_the_same(amqp, redis, new_character):
    events = amqp.events("state-backup.restored")
    char_id = new_character()
    body, message_id = {"char_id": char_id, "force": True}, str(uuid.uuid4())
    first = amqp.send_and_wait(RESTORE, body, message_id=message_id)
    redis.hset(f"ac:{char_id}", "vitals", json.dumps(VITALS))
    second = amqp.send_and_wait(RESTORE, body, message_id=message_id)
    assert first.result == second.result and second.result["restored"]
    assert json.loads(redis.hget(f"ac:{char_id}", "vitals")) == VITALS  # not overwritten again
    first, second = events.next(), events.next()
    assert first.body == second.body
    assert first.properties.message_id == second.properties.message_id


def test_two_of_one_character_together(amqp, redis, new_character):
    char_id = new_character()
    ids = [amqp.request(RESTORE, {"char_id": char_id}) for _ in range(20)]
    replies = [reply.result for reply in replies_to(amqp, ids)]
    assert [r["restored"] for r in replies].count(True) == 1
    assert {r["state"] for r in replies} == {"idle"}


# Saved and restored -------------------------------------------------------------------------------------------------


def test_a_saved_character_restored_is_the_same(amqp, redis, raw, new_character):
    char_id = new_character(gender="male")
    sessions = {kind: str(uuid.uuid4()) for kind in ("combat", "inventory", "scenario")}
    cache = full_cache(state="combat", **{f"{kind}_session_id": i for kind, i in sessions.items()})
    redis.hset(f"ac:{char_id}", mapping=cache)
    any_bytes = bytes(range(256)) * 5
    raw.set(f"combat:session:{sessions['combat']}", any_bytes)
    fields = {b"f\x00\xff": any_bytes, b"empty": b"", **{b"n%d" % i: b"%d" % i for i in range(3000)}}
    raw.hset(f"inventory:session:{sessions['inventory']}", mapping=fields)
    raw.set(f"scenario:session:{sessions['scenario']}", "сцена", px=500_000)

    assert amqp.call(BACKUP, {"char_id": char_id}).result == {"saved": True, "sessions": sessions}
    redis.flushdb()
    reply = amqp.call(RESTORE, {"char_id": char_id}).result

    assert reply == {"restored": True, "state": "combat", "sessions": sessions}
    assert parsed(redis.hgetall(f"ac:{char_id}")) == parsed(cache)
    assert raw.get(f"combat:session:{sessions['combat']}") == any_bytes
    assert raw.pttl(f"combat:session:{sessions['combat']}") == -1
    assert raw.hgetall(f"inventory:session:{sessions['inventory']}") == fields
    assert raw.pttl(f"inventory:session:{sessions['inventory']}") == -1
    assert raw.get(f"scenario:session:{sessions['scenario']}") == "сцена".encode()
    assert 490_000 < raw.pttl(f"scenario:session:{sessions['scenario']}") <= 500_000


def test_backup_saves_to_the_contracts_columns(amqp, redis, sql, new_character):
    char_id = new_character(gender="male")
    redis.hset(f"ac:{char_id}", mapping=full_cache())
    amqp.call(BACKUP, {"char_id": char_id}).result
    assert sql(
        "SELECT game_stage, location_id, prev_location_id, name, gender, vitals FROM characters WHERE id = %s", char_id
    ) == [("exploring", "forest", "town", "Мария", "female", VITALS)]
    assert sql("SELECT stats FROM character_stats WHERE character_id = %s", char_id) == [
        ({"strength": 7, "skills": ["sword", "лук"]},)
    ]


def test_xp_and_gold_are_never_written_from_the_cache(amqp, redis, sql, new_character):
    char_id = new_character(xp=5, gold=6)
    redis.hset(f"ac:{char_id}", mapping=full_cache(xp="1000", gold="1000", inventory="[]"))
    amqp.call(BACKUP, {"char_id": char_id}).result
    assert sql("SELECT xp, gold FROM characters WHERE id = %s", char_id) == [(5, 6)]


@pytest.mark.parametrize("absent", ["state", "location", "bio", "stats", "vitals"])
def test_absent_fields_are_left_alone(amqp, redis, sql, new_character, absent):
    char_id = new_character(
        game_stage="trade", location_id="cave", prev_location_id="hut", gender="male", vitals={"hp": {"cur": 1}}
    )
    sql("INSERT INTO character_stats VALUES (%s, %s)", char_id, '{"old": 1}')
    redis.hset(f"ac:{char_id}", mapping=full_cache(**{absent: None}))
    assert amqp.call(BACKUP, {"char_id": char_id}).result["saved"]
    row = sql(
        "SELECT game_stage, location_id, prev_location_id, name, gender, vitals, stats FROM characters c "
        "JOIN character_stats s ON s.character_id = c.id WHERE id = %s",
        char_id,
    )[0]
    stage, location, prev, name, gender, vitals, stats = row
    assert stage == ("trade" if absent == "state" else "exploring")
    assert (location, prev) == (("cave", "hut") if absent == "location" else ("forest", "town"))
    assert (name, gender) == (("Anna", "male") if absent == "bio" else ("Мария", "female"))
    assert vitals == ({"hp": {"cur": 1}} if absent == "vitals" else VITALS)
    assert stats == ({"old": 1} if absent == "stats" else {"strength": 7, "skills": ["sword", "лук"]})


def test_nothing_to_save(amqp, new_character):
    assert amqp.call(BACKUP, {"char_id": new_character()}).result == {"saved": False, "sessions": {}}


def test_many_at_once_each_as_its_own(amqp, redis, sql):
    ids = [row[0] for row in sql("INSERT INTO characters (name) SELECT 'n' || i FROM generate_series(1, 1500) i RETURNING id")]
    for char_id in ids:
        redis.hset(f"ac:{char_id}", mapping=full_cache(state=f"s{char_id}"))
    sent = [amqp.request(BACKUP, {"char_id": char_id}) for char_id in ids + ids[:100]]
    assert all(reply.result["saved"] for reply in replies_to(amqp, sent))
    assert sql("SELECT count(*) FROM characters WHERE id = ANY (%s) AND game_stage = 's' || id", ids) == [(1500,)]
    redis.flushdb()
    sent = [amqp.request(RESTORE, {"char_id": char_id}) for char_id in ids]
    assert all(reply.result["restored"] for reply in replies_to(amqp, sent))
    assert all(redis.hget(f"ac:{char_id}", "state") == f"s{char_id}" for char_id in ids)


# Sessions -----------------------------------------------------------------------------------------------------------


def test_the_older_drafts_key_of_a_fight(amqp, redis, new_character):
    char_id = new_character()
    session_id = in_fight(redis, char_id)
    redis.rename(f"combat:session:{session_id}", f"cs:{session_id}")
    amqp.call(BACKUP, {"char_id": char_id}).result
    redis.flushdb()
    assert amqp.call(RESTORE, {"char_id": char_id}).result["sessions"] == {"combat": session_id}
    assert redis.get(f"cs:{session_id}") == '{"round": 3}' and not redis.exists(f"combat:session:{session_id}")


def test_a_live_session_is_not_overwritten(amqp, redis, new_character):
    char_id = new_character()
    session_id = in_fight(redis, char_id)
    amqp.call(BACKUP, {"char_id": char_id}).result
    redis.set(f"combat:session:{session_id}", "newer")
    redis.delete(f"ac:{char_id}")
    assert amqp.call(RESTORE, {"char_id": char_id}).result["sessions"] == {"combat": session_id}
    assert redis.get(f"combat:session:{session_id}") == "newer"


def test_of_two_fighters_copies_the_newer_is_restored(amqp, redis, new_character):
    first, second = new_character(), new_character()
    session_id = in_fight(redis, first)
    redis.hset(f"ac:{second}", mapping=full_cache(state="combat", combat_session_id=session_id))
    amqp.call(BACKUP, {"char_id": first}).result
    redis.set(f"combat:session:{session_id}", "newer")
    amqp.call(BACKUP, {"char_id": second}).result
    redis.flushdb()
    assert amqp.call(RESTORE, {"char_id": first}).result["state"] == "combat"
    assert redis.get(f"combat:session:{session_id}") == "newer"
    assert amqp.call(RESTORE, {"char_id": second}).result["sessions"] == {"combat": session_id}


def settle(sql, session_id, *char_ids, status="processed"):
    sql(
        "INSERT INTO combat_history (session_id, participant_ids, settlement_status, result_payload) "
        "VALUES (%s, %s, %s, '{}')",
        session_id,
        list(char_ids),
        status,
    )


@pytest.mark.parametrize("status", ["processed", "pending", "failed"])
def test_a_finished_fight_is_not_brought_back(amqp, redis, sql, new_character, status):
    char_id = new_character()
    session_id = in_fight(redis, char_id)
    amqp.call(BACKUP, {"char_id": char_id}).result
    settle(sql, session_id, char_id, status=status)
    redis.flushdb()
    assert amqp.call(RESTORE, {"char_id": char_id}).result == {"restored": True, "state": "idle", "sessions": {}}
    assert not redis.exists(f"combat:session:{session_id}")
    assert redis.hget(f"ac:{char_id}", "combat_session_id") is None
    assert redis.hget(f"ac:{char_id}", "state") == "idle"
    assert sql("SELECT game_stage FROM characters WHERE id = %s", char_id) == [("idle",)]
    assert sql("SELECT count(*) FROM session_snapshots WHERE character_id = %s", char_id) == [(0,)]


def test_a_finished_fight_is_not_saved(amqp, redis, sql, new_character):
    """A cache that the settlement has not reached yet is older than the database."""
    char_id = new_character(vitals={"hp": {"cur": 9, "max": 9}})
    session_id = in_fight(redis, char_id)
    settle(sql, session_id, char_id)
    assert amqp.call(BACKUP, {"char_id": char_id}).result == {"saved": True, "sessions": {}}
    assert sql("SELECT game_stage, vitals, location_id FROM characters WHERE id = %s", char_id) == [
        ("idle", {"hp": {"cur": 9, "max": 9}}, "forest")
    ]
    assert sql("SELECT count(*) FROM session_snapshots WHERE character_id = %s", char_id) == [(0,)]


def test_a_state_whose_session_is_gone_becomes_idle(amqp, redis, sql, new_character):
    for state in ("combat", "inventory", "scenario"):
        char_id = new_character(game_stage=state)
        assert amqp.call(RESTORE, {"char_id": char_id}).result == {"restored": True, "state": "idle", "sessions": {}}
        assert sql("SELECT game_stage FROM characters WHERE id = %s", char_id) == [("idle",)]


def test_a_session_that_has_run_out_is_gone(amqp, redis, sql, new_character):
    char_id = new_character()
    session_id = in_fight(redis, char_id, ttl=1)
    amqp.call(BACKUP, {"char_id": char_id}).result
    redis.delete(f"ac:{char_id}")
    wait_for(lambda: not redis.exists(f"combat:session:{session_id}"))
    wait_for(lambda: sql("SELECT now() > expires_at FROM session_snapshots WHERE character_id = %s", char_id)[0][0])
    assert amqp.call(RESTORE, {"char_id": char_id}).result["state"] == "idle"


def test_a_session_left_is_forgotten(amqp, redis, sql, new_character):
    char_id = new_character()
    in_fight(redis, char_id)
    amqp.call(BACKUP, {"char_id": char_id}).result
    second = in_fight(redis, char_id)
    assert amqp.call(BACKUP, {"char_id": char_id}).result["sessions"] == {"combat": second}
    assert sql("SELECT session_id::text FROM session_snapshots WHERE character_id = %s", char_id) == [(second,)]
    redis.hset(f"ac:{char_id}", "state", "idle")
    redis.hdel(f"ac:{char_id}", "combat_session_id")
    amqp.call(BACKUP, {"char_id": char_id}).result
    assert sql("SELECT count(*) FROM session_snapshots WHERE character_id = %s", char_id) == [(0,)]


@pytest.mark.parametrize("state", ["combat", "inventory", "scenario"])
def test_a_session_that_ended_is_not_brought_back(amqp, redis, sql, new_character, state):
    """Its owner has removed it, and the character's cache names it still."""
    char_id, session_id = new_character(), str(uuid.uuid4())
    redis.hset(f"ac:{char_id}", mapping=full_cache(state=state, **{f"{state}_session_id": session_id}))
    redis.set(f"{state}:session:{session_id}", "{}")
    amqp.call(BACKUP, {"char_id": char_id}).result
    redis.delete(f"{state}:session:{session_id}")
    assert amqp.call(BACKUP, {"char_id": char_id}).result["sessions"] == {}
    assert sql("SELECT count(*) FROM session_snapshots WHERE character_id = %s", char_id) == [(0,)]
    redis.flushdb()
    assert amqp.call(RESTORE, {"char_id": char_id}).result["state"] == "idle"


def test_a_session_lost_with_its_cache_is_brought_back(amqp, redis, stack, sql, new_character):
    """Redis is emptied after a save has read the cache, and before it reads the session."""
    char_id = new_character()
    session_id = in_fight(redis, char_id)
    amqp.call(BACKUP, {"char_id": char_id}).result
    with stack.database() as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE combat_history IN ACCESS EXCLUSIVE MODE")  # what it asks in between
        saving = amqp.request(BACKUP, {"char_id": char_id})
        with stack.database() as looker, looker.cursor() as look:

            def is_held_up():
                look.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
                return look.fetchone()[0]

            wait_for(is_held_up, what="the save to ask for finished fights")
        redis.flushdb()
        cursor.execute("ROLLBACK")
    assert amqp.requests.wait(saving, 10).result["saved"]
    assert amqp.call(RESTORE, {"char_id": char_id}).result["sessions"] == {"combat": session_id}


def test_a_partial_hash_forgets_no_session(amqp, redis, new_character):
    char_id = new_character()
    session_id = in_fight(redis, char_id)
    amqp.call(BACKUP, {"char_id": char_id}).result
    redis.flushdb()
    redis.hset(f"ac:{char_id}", "vitals", json.dumps(VITALS))
    amqp.call(BACKUP, {"char_id": char_id}).result
    assert amqp.call(RESTORE, {"char_id": char_id}).result["sessions"] == {"combat": session_id}


def test_a_partial_hash_in_a_finished_fight_becomes_idle(amqp, redis, sql, new_character):
    char_id = new_character()
    session_id = in_fight(redis, char_id, bio=None)
    settle(sql, session_id, char_id)
    assert amqp.call(RESTORE, {"char_id": char_id}).result == {"restored": True, "state": "idle", "sessions": {}}
    assert redis.hget(f"ac:{char_id}", "combat_session_id") is None
    redis.delete("dirty_accounts")


# What cannot be read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        {"stats": "not json"},
        {"vitals": '{"hp":'},
        {"bio": "[]"},
        {"location": '{"current": 5}'},
        {"stats": '{"a": "\\ud800"}'},
        {"combat_session_id": "no uuid"},
        {"state": b"\xff\xfe"},
    ],
    ids=lambda spoil: next(iter(spoil)),
)
def test_an_unreadable_cache_is_refused_naming_the_field(amqp, redis, sql, new_character, spoil):
    char_id = new_character()
    redis.hset(f"ac:{char_id}", mapping={**full_cache(), **spoil})
    reply = amqp.call(BACKUP, {"char_id": char_id})
    assert reply.code == "conflict" and next(iter(spoil)) in reply.error["message"]
    assert sql("SELECT game_stage FROM characters WHERE id = %s", char_id) == [("idle",)]


def test_unreadable_neighbours_hold_up_nobody(amqp, redis, sql, new_character):
    good = [new_character() for _ in range(30)]
    bad = [new_character() for _ in range(4)]
    for char_id in good:
        redis.hset(f"ac:{char_id}", mapping=full_cache())
    redis.set(f"ac:{bad[0]}", "a string")
    redis.hset(f"ac:{bad[1]}", mapping=full_cache(stats="{"))
    session_id = in_fight(redis, bad[2])
    redis.delete(f"combat:session:{session_id}")
    redis.rpush(f"combat:session:{session_id}", "a list")
    redis.hset(f"ac:{bad[3]}", mapping=full_cache(vitals='{"hp": "' + "x" * 100 + "\\u0001\", \"a\": 1e-400}"))
    sent = [amqp.request(BACKUP, {"char_id": i}) for i in good + bad]
    replies = dict(zip(good + bad, replies_to(amqp, sent)))
    assert all(replies[i].result["saved"] for i in good)
    assert [replies[i].code for i in bad[:3]] == ["conflict"] * 3
    assert sql("SELECT count(*) FROM characters WHERE id = ANY (%s) AND game_stage = 'exploring'", good) == [(30,)]


@pytest.mark.parametrize("key", [RESTORE, BACKUP])
def test_a_row_that_somebody_locks_holds_up_only_itself(amqp, redis, stack, new_character, key):
    locked, *free = [new_character() for _ in range(20)]
    if key == BACKUP:
        for char_id in (locked, *free):
            redis.hset(f"ac:{char_id}", mapping=full_cache())
    other = stack.database()
    other.autocommit = False
    other.cursor().execute("SELECT 1 FROM characters WHERE id = %s FOR UPDATE", (locked,))
    sent = [amqp.request(key, {"char_id": char_id}) for char_id in (locked, *free)]
    kept, *others = replies_to(amqp, sent)
    assert all(reply.ok for reply in others)
    assert kept.code == "timeout" and kept.error["retryable"]
    later = amqp.request(key, {"char_id": locked}, exchange="game.commands")
    other.rollback()
    assert amqp.requests.wait(later, 20).ok
