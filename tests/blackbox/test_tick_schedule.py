"""tick: what becomes due is credited, once, on the grid; what it gives; how sessions end; events."""

import json
import time
from datetime import timedelta

import pytest

from lib.servers import ROOT
from lib.tick import CATEGORIES, Tick, time_of
from lib.wait import wait_for

pytestmark = pytest.mark.services("tick", "ctl")

HOUR = 3600


@pytest.fixture
def tick(stack, amqp):
    stack.redis.flushdb()
    tick = Tick(stack, amqp)
    tick.sql("TRUNCATE characters CASCADE")
    tick.keep_ledger()
    tick.sql("TRUNCATE ledger")
    tick.rules()
    yield tick
    tick.close()


def ticks_of(tick, hero, at_least=1, timeout=10):
    """The session's row once it has so many ticks."""

    def row():
        row = tick.row(hero)
        return row if row and row["ticks"] >= at_least else None

    return wait_for(row, timeout, what=f"{at_least} ticks of {hero}")


def live_cache(tick, hero, cur, maximum, **fields):
    vitals = {"hp": {"cur": 40, "max": 90}, "energy": {"cur": cur, "max": maximum}}
    tick.redis.hset(f"ac:{hero}", mapping={"state": "idle", "bio": "{}", "vitals": json.dumps(vitals), **fields})


def live_vitals(tick, hero):
    return json.loads(tick.redis.hget(f"ac:{hero}", "vitals"))


# The grid -------------------------------------------------------------------------------------------------------------


def test_a_session_ticks_on_its_grid(fleet, tick):
    fleet.start("tick", tick_interval="1s")
    hero = tick.character()
    session = tick.start(hero, "trade").result["session"]
    assert time_of(session["next_tick_at"]) - time_of(session["started_at"]) == timedelta(seconds=1)
    row = ticks_of(tick, hero, 4)
    assert row["last_tick_at"] == row["started_at"] + row["ticks"] * timedelta(seconds=1)
    assert row["next_tick_at"] == row["last_tick_at"] + timedelta(seconds=1)
    session = tick.session(hero)
    assert session["totals"]["xp"] == session["ticks"] * 10 and session["totals"]["gold"] == session["ticks"] * 3
    assert tick.check_ledger(1) >= 4
    late = tick.sql("SELECT max(at - last), avg(at - last) FROM ledger")[0]
    assert late[0] < timedelta(seconds=2) and late[1] < timedelta(milliseconds=500)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_ticks(fleet, tick, category):
    fleet.start("tick", tick_interval="1h")
    hero = tick.character()
    tick.start(hero, category)
    tick.age(hero, HOUR)
    assert ticks_of(tick, hero)["ticks"] == 1
    assert tick.purse(hero) == (10, 3)


@pytest.mark.parametrize("passed, credited", ((1, 1), (2, 2), (9, 9), (10, 10), (11, 10), (500, 10)))
def test_missed_due_times_are_caught_up_to_a_limit(fleet, tick, passed, credited):
    fleet.start("tick", tick_interval="1h")
    hero = tick.character()
    started = time_of(tick.start(hero).result["session"]["started_at"])
    tick.age(hero, passed * HOUR + 60)
    row = ticks_of(tick, hero)
    assert row["ticks"] == credited
    assert row["started_at"] == started - timedelta(hours=passed, seconds=60)
    assert row["last_tick_at"] == row["started_at"] + timedelta(hours=passed)
    assert row["next_tick_at"] == row["started_at"] + timedelta(hours=passed + 1)
    assert tick.purse(hero) == (10 * credited, 3 * credited)
    assert tick.value("SELECT count(*) FROM ledger") == 1, "in one tick"


def test_the_catch_up_limit_is_a_setting(fleet, tick):
    fleet.start("tick", tick_interval="1h", tick_catchup_max=3)
    hero = tick.character()
    tick.put_session(hero, HOUR, 7.5 * HOUR)
    assert ticks_of(tick, hero)["ticks"] == 3


def test_nothing_is_credited_before_its_time(fleet, tick):
    fleet.start("tick", tick_interval="1h")
    early, due = tick.characters(2)
    tick.put_session(early, HOUR, -30)
    tick.put_session(due, HOUR, 0.01)
    ticks_of(tick, due)
    assert tick.row(early)["ticks"] == 0


def test_what_was_due_while_no_worker_ran_is_credited(fleet, tick):
    heroes = tick.characters(30)
    for number, hero in enumerate(heroes):
        tick.put_session(hero, HOUR, number * 600, CATEGORIES[number % 4])
    fleet.start("tick", tick_interval="1h")
    for number, hero in enumerate(heroes):
        assert ticks_of(tick, hero)["ticks"] == 1 + number // 6
    tick.check_ledger(HOUR)


def test_small_batches_credit_the_same(fleet, tick):
    heroes = tick.characters(100)
    for hero in heroes:
        tick.put_session(hero, HOUR, 5)
    fleet.start("tick", tick_interval="1h", tick_batch_size=7)
    wait_for(lambda: tick.value("SELECT count(*) FROM ledger") == 100, what="all ticks")
    tick.check_ledger(HOUR)


def test_a_shorter_interval_takes_hold_at_once(fleet, tick):
    hero = tick.character()
    worker = fleet.start("tick", tick_interval="1h")
    tick.start(hero)
    worker.stop()
    fleet.start("tick", tick_interval="2s")
    row = ticks_of(tick, hero)
    assert (row["next_tick_at"] - row["started_at"]) % timedelta(seconds=2) == timedelta(0)
    assert row["next_tick_at"] - row["started_at"] < timedelta(minutes=1)


def test_a_longer_interval_takes_hold_at_the_next_tick(fleet, tick):
    hero = tick.character()
    worker = fleet.start("tick", tick_interval="3s")
    first = time_of(tick.start(hero).result["session"]["next_tick_at"])
    worker.stop()
    fleet.start("tick", tick_interval="1h")
    row = ticks_of(tick, hero)
    assert row["ticks"] == 1 and row["last_tick_at"] == first
    assert row["next_tick_at"] == row["started_at"] + timedelta(hours=1)


# What ticks give ------------------------------------------------------------------------------------------------------


def test_the_same_due_time_gives_the_same(fleet, tick):
    """Drawn by character and due time alone: caught up in one tick, or each by itself."""
    tick.sql("DELETE FROM tick_rules")
    tick.sql(
        "INSERT INTO tick_rules (category, xp_min, xp_max, gold_min, gold_max, loot) VALUES ('trade', 0, 1000000, 0, 1000000,"
        """ '[{"item_template_id": "a", "weight": 1, "min": 1, "max": 9}, {"item_template_id": "b", "weight": 2},"""
        """ {"item_template_id": null, "weight": 1}]')"""
    )
    hero = tick.character()
    fleet.start("tick", tick_interval="1h")
    tick.put_session(hero, HOUR, 5.5 * HOUR, "trade")
    due = tick.row(hero)["next_tick_at"]
    ticks_of(tick, hero, 6)
    at_once, items = tick.purse(hero), tick.items(hero)
    assert at_once[0] > 0 and sum(items.values()) == tick.row(hero)["total_items"]
    tick.sql("UPDATE characters SET xp = 0, gold = 0")
    tick.sql("DELETE FROM inventory")
    tick.sql("TRUNCATE ledger")
    fleet.stop()
    fleet.start("tick", tick_interval="1h", tick_catchup_max=1)
    xp = gold = 0
    for number in range(6):
        at = due + timedelta(hours=number)
        tick.sql("DELETE FROM auto_sessions")
        tick.sql("UPDATE characters SET xp = 0, gold = 0")
        tick.sql(
            "INSERT INTO auto_sessions (player_id, active_category, started_at, next_tick_at) VALUES (%s, 'trade', %s, %s)",
            hero, due - timedelta(hours=1), at,
        )  # fmt: skip
        assert ticks_of(tick, hero)["ticks"] == 1
        xp, gold = xp + tick.purse(hero)[0], gold + tick.purse(hero)[1]
    assert (xp, gold) == at_once
    assert tick.items(hero) == items


def test_a_change_of_rules_takes_hold_with_the_next_tick(fleet, tick):
    fleet.start("tick", tick_interval="1h")
    first, second = tick.characters(2)
    tick.put_session(first, HOUR, 1)
    ticks_of(tick, first)
    tick.rules(xp=77, gold=0)
    tick.put_session(second, HOUR, 1)
    ticks_of(tick, second)
    assert tick.purse(first) == (10, 3) and tick.purse(second) == (77, 0)


def test_a_category_without_rules_ticks_and_gives_nothing(fleet, tick):
    tick.sql("DELETE FROM tick_rules WHERE category = 'trade'")
    hero = tick.character()
    tick.put_session(hero, HOUR, 1, "trade")
    fleet.start("tick", tick_interval="1h")
    assert ticks_of(tick, hero)["total_xp"] == 0 and tick.purse(hero) == (0, 0)


def test_malformed_loot_is_complained_of_and_the_rest_given(fleet, tick):
    tick.rules(loot='[{"item_template_id": "gem", "weight": "heavy"}]')
    hero = tick.character()
    tick.put_session(hero, HOUR, 1)
    worker = fleet.start("tick", tick_interval="1h")
    ticks_of(tick, hero)
    assert tick.purse(hero) == (10, 3) and tick.items(hero) == {}
    assert "loot.0.weight" in worker.wait_for_log(event="tick_rule")["text"]


def test_the_default_rules_give_something_everywhere(fleet, tick):
    tick.sql("DELETE FROM tick_rules")
    migration = (ROOT / "deploy/migrations/0003_default_data.sql").read_text()
    tick.sql(migration[migration.index("INSERT INTO tick_rules") :])
    heroes = tick.characters(400)
    for number, hero in enumerate(heroes):
        tick.put_session(hero, HOUR, 9.5 * HOUR, CATEGORIES[number % 4])
    fleet.start("tick", tick_interval="1h")
    wait_for(lambda: tick.value("SELECT count(*) FROM ledger") == 400, what="all ticks")
    tick.check_ledger(HOUR)
    for category in CATEGORIES:
        xp, gold, items = tick.sql(
            "SELECT min(total_xp), sum(total_gold), sum(total_items) FROM auto_sessions WHERE active_category = %s", category
        )[0]
        assert xp > 0 and gold > 0 and items > 0, category
    unknown = "SELECT count(*) FROM inventory i WHERE NOT EXISTS (SELECT 1 FROM item_templates t WHERE t.id = item_template_id)"
    assert tick.value(unknown) == 0


def test_stackable_items_go_onto_the_unequipped_stack(fleet, tick):
    tick.rules(loot='[{"item_template_id": "herb_sage", "weight": 1, "min": 2, "max": 2}]')
    has, wears, none = tick.characters(3)
    tick.sql("INSERT INTO inventory (character_id, item_template_id, quantity) VALUES (%s, 'herb_sage', 40)", has)
    tick.sql("INSERT INTO inventory (character_id, item_template_id, quantity) VALUES (%s, 'pelt_fox', 1)", has)
    tick.sql(
        "INSERT INTO inventory (character_id, item_template_id, quantity, is_equipped, slot)"
        " VALUES (%s, 'herb_sage', 5, true, 'belt_1')", wears,
    )  # fmt: skip
    for hero in (has, wears, none):
        tick.put_session(hero, HOUR, 2.5 * HOUR)
    fleet.start("tick", tick_interval="1h")
    for hero in (has, wears, none):
        assert ticks_of(tick, hero, 3)["total_items"] == 6

    def stacks(hero):
        return tick.sql(
            "SELECT item_template_id, quantity, is_equipped FROM inventory WHERE character_id = %s ORDER BY id", hero
        )

    assert stacks(has) == [("herb_sage", 46, False), ("pelt_fox", 1, False)]
    assert stacks(wears) == [("herb_sage", 5, True), ("herb_sage", 6, False)]
    assert stacks(none) == [("herb_sage", 6, False)]


def test_other_items_become_rows_of_their_own_in_full_repair(fleet, tick):
    tick.rules(loot='[{"item_template_id": "sword_iron", "weight": 1, "min": 2, "max": 2}]')
    hero = tick.character()
    tick.put_session(hero, HOUR, 1.5 * HOUR)
    fleet.start("tick", tick_interval="1h")
    ticks_of(tick, hero, 2)
    rows = tick.sql("SELECT quantity, durability, is_equipped FROM inventory WHERE character_id = %s", hero)
    assert rows == [(1, 80, False)] * 4


def test_an_item_without_a_template_is_given_all_the_same(fleet, tick):
    tick.rules(loot='[{"item_template_id": "unheard_of", "weight": 1}]')
    hero = tick.character()
    tick.put_session(hero, HOUR, 1)
    fleet.start("tick", tick_interval="1h")
    ticks_of(tick, hero)
    assert tick.items(hero) == {"unheard_of": 1}


# Energy ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("energy, before, after", ((-4, 100, 60), (-4, 30, 0), (7, 20, 90), (7, 50, 100), (0, 55, 55)))
def test_energy_stays_within_its_bounds(fleet, tick, energy, before, after):
    tick.rules(energy=energy)
    hero, cached = tick.characters(2)
    tick.sql("UPDATE characters SET vitals = jsonb_set(vitals, '{energy,cur}', to_jsonb(%s))", before)
    live_cache(tick, cached, before, 100)
    for player in (hero, cached):
        tick.put_session(player, HOUR, 9.5 * HOUR)
    fleet.start("tick", tick_interval="1h")
    for player in (hero, cached):
        ticks_of(tick, player, 10)
        assert tick.energy(player) == after
    assert live_vitals(tick, cached) == {"hp": {"cur": 40, "max": 90}, "energy": {"cur": after, "max": 100}}
    assert not tick.redis.exists(f"ac:{hero}"), "no cache is made"
    assert tick.redis.smembers("dirty_accounts") == ({str(cached)} if energy else set())


def test_the_live_energy_is_the_one_that_counts(fleet, tick):
    """The cache has moved on since it was last saved: it is changed from where it is."""
    tick.rules(energy=-10)
    hero = tick.character()
    live_cache(tick, hero, 35, 50, tick_note="kept")
    tick.put_session(hero, HOUR, 1)
    fleet.start("tick", tick_interval="1h")
    ticks_of(tick, hero)
    assert live_vitals(tick, hero)["energy"] == {"cur": 25, "max": 50}
    assert live_vitals(tick, hero)["hp"] == {"cur": 40, "max": 90}
    assert tick.redis.hget(f"ac:{hero}", "tick_note") == "kept"
    assert tick.redis.sismember("dirty_accounts", hero)


@pytest.mark.parametrize("vitals", ("null", "{}", '{"energy": 5}', '{"energy": {"cur": "x", "max": 9}}', "[1]", '"tired"'))
def test_vitals_of_another_shape_are_left_alone(fleet, tick, vitals):
    tick.rules(energy=5)
    odd, hero = tick.characters(2)
    tick.sql("UPDATE characters SET vitals = %s WHERE id = %s", vitals, odd)
    tick.redis.hset(f"ac:{odd}", "vitals", vitals)
    tick.redis.set("ac:12345678", "no hash")
    tick.sql("INSERT INTO characters (id) VALUES (12345678)")
    tick.sql("UPDATE characters SET vitals = jsonb_set(vitals, '{energy,cur}', '50') WHERE id = %s", hero)
    for player in (odd, hero, 12345678):
        tick.put_session(player, HOUR, 1)
    fleet.start("tick", tick_interval="1h")
    for player in (odd, hero, 12345678):
        ticks_of(tick, player)
    assert tick.energy(hero) == 55
    assert tick.value("SELECT vitals FROM characters WHERE id = %s", odd) == json.loads(vitals)
    assert tick.redis.hget(f"ac:{odd}", "vitals") == vitals
    assert tick.redis.get("ac:12345678") == "no hash"


# Deleted and replaced -------------------------------------------------------------------------------------------------


def entry(tick, hero):
    row = tick.sql(
        "SELECT (extract(epoch FROM next_tick_at) * 1000000)::bigint, (extract(epoch FROM started_at) * 1000000)::bigint"
        " FROM auto_sessions WHERE player_id = %s", hero,
    )[0]  # fmt: skip
    return f"{hero}:{row[0]}:{row[1]}"


def wait_until_taken(tick):
    wait_for(lambda: not tick.redis.exists(*[f"tick:queue:{category}" for category in CATEGORIES]), what="empty queues")


def test_a_queued_tick_of_a_deleted_session_is_dropped(fleet, tick):
    hero = tick.character()
    tick.put_session(hero, HOUR, 1)
    tick.redis.rpush("tick:queue:general", entry(tick, hero))
    tick.sql("DELETE FROM auto_sessions")
    worker = fleet.start("tick", tick_interval="1h")
    wait_until_taken(tick)
    wait_for(lambda: worker.metrics()["garrison_tick_stale_total"] == 1, what="the stale tick to be counted")
    assert tick.purse(hero) == (0, 0)


def test_a_queued_tick_of_a_replaced_session_is_dropped(fleet, tick):
    hero = tick.character()
    tick.put_session(hero, HOUR, 10)
    tick.redis.rpush("tick:queue:general", entry(tick, hero))
    tick.put_session(hero, HOUR, -1800)
    worker = fleet.start("tick", tick_interval="1h")
    wait_for(lambda: worker.metrics()["garrison_tick_stale_total"] == 1, what="it to be dropped")
    assert tick.purse(hero) == (0, 0) and tick.row(hero)["ticks"] == 0


def test_a_queued_tick_of_a_replaced_session_is_dropped_also_where_the_due_time_is_the_same(fleet, tick):
    hero = tick.character()
    tick.put_session(hero, HOUR, 10)
    tick.redis.rpush("tick:queue:general", entry(tick, hero))
    tick.sql("UPDATE auto_sessions SET started_at = started_at - interval '2 hours'")
    tick.redis.rpush("tick:queue:general", entry(tick, hero))
    tick.sql("UPDATE auto_sessions SET started_at = started_at + interval '2 hours 1 minute'")
    fleet.start("tick", tick_interval="1h")
    row = ticks_of(tick, hero)
    assert (row["next_tick_at"] - row["started_at"]) % timedelta(hours=1) == timedelta(0)
    assert tick.value("SELECT count(*) FROM ledger") == 1


def test_a_queued_tick_of_another_category_is_dropped_and_the_session_ticks_in_its_own(fleet, tick):
    tick.sql("UPDATE tick_rules SET xp_min = 500, xp_max = 500 WHERE category = 'crafting'")
    hero = tick.character()
    tick.put_session(hero, HOUR, 1, "trade")
    tick.redis.rpush("tick:queue:crafting", entry(tick, hero))
    fleet.start("tick", tick_interval="1h")
    ticks_of(tick, hero)
    assert tick.purse(hero) == (10, 3)


def test_the_same_tick_queued_many_times_is_credited_once(fleet, tick):
    hero = tick.character()
    tick.put_session(hero, HOUR, 1)
    tick.redis.rpush("tick:queue:general", *[entry(tick, hero)] * 500)
    fleet.start("tick", tick_interval="1h", tick_batch_size=20)
    wait_until_taken(tick)
    assert ticks_of(tick, hero)["ticks"] == 1
    assert tick.check_ledger(HOUR) == 1


def test_delete_and_start_again_while_ticking(fleet, tick):
    """Whatever is queued at that moment: the sessions' ticks never mix."""
    worker = fleet.start("tick", tick_interval="100ms", tick_catchup_max=1000)
    heroes = tick.characters(20)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for hero in heroes:
            tick.start(hero, "trade")
            if hero % 3:
                tick.delete(hero)
    worker.stop()
    assert tick.check_ledger(0.1, 1000) > 50
    assert tick.value("SELECT count(*) FROM ledger l JOIN auto_session_ends e ON e.player_id = l.player_id"
                      " WHERE l.started > e.ended_at AND l.player_id %% 3 <> 0") == 0  # fmt: skip


# Rubbish --------------------------------------------------------------------------------------------------------------


def test_rubbish_in_the_queue_is_dropped(fleet, tick):
    hero = tick.character()
    rubbish = (
        "", "x", "1:2", ":::", "1:2:3:4", "1:2:", "9" * 60, "1:99999999999999999999:1", "1:9223372036854775807:1",
        "1:1:-9223372036854775808", "-1:0:0", "\0\xff", json.dumps({"player_id": 1}),
    )  # fmt: skip
    for category in CATEGORIES:
        tick.redis.rpush(f"tick:queue:{category}", *rubbish)
    worker = fleet.start("tick", tick_interval="1h")
    wait_until_taken(tick)
    tick.put_session(hero, HOUR, 1)
    ticks_of(tick, hero)
    assert worker.metrics()["garrison_tick_unreadable_total"] > 0


@pytest.mark.parametrize("cursor", ("rubbish", "", "1", "5:5:5", "-9223372036854775808:1", "9" * 80))
def test_rubbish_in_the_cursor_is_forgotten(fleet, tick, cursor):
    tick.redis.set("tick:cursor", cursor)
    hero = tick.character()
    tick.put_session(hero, HOUR, 1)
    fleet.start("tick", tick_interval="1h")
    ticks_of(tick, hero)
    assert tick.redis.get("tick:cursor") != cursor


def test_a_key_of_another_type_is_complained_of_and_survived(fleet, tick):
    tick.redis.set("tick:queue:trade", "no list")
    hero = tick.character()
    tick.put_session(hero, HOUR, 1)
    worker = fleet.start("tick", tick_interval="1h")
    assert "WRONGTYPE" in worker.wait_for_log(event="tick_schedule")["text"]
    tick.redis.delete("tick:queue:trade")
    ticks_of(tick, hero)


def test_a_row_that_somebody_locks_holds_up_only_itself(fleet, tick, stack):
    stuck, *others = tick.characters(50)
    for hero in (stuck, *others):
        tick.put_session(hero, HOUR, 1)
    other = stack.database()
    other.autocommit = False
    other.cursor().execute("SELECT 1 FROM characters WHERE id = %s FOR UPDATE", (stuck,))
    fleet.start("tick", tick_interval="1h")
    for hero in others:
        ticks_of(tick, hero, timeout=20)
    assert tick.row(stuck)["ticks"] == 0
    other.rollback()
    ticks_of(tick, stuck)
    other.close()
    tick.check_ledger(HOUR)


def test_a_tick_that_cannot_be_credited_holds_up_only_itself(fleet, tick):
    odd, *others = tick.characters(40)
    tick.sql("ALTER TABLE characters ADD CONSTRAINT odd CHECK (id <> %s OR xp = 0) NOT VALID", odd)
    try:
        for hero in (odd, *others):
            tick.put_session(hero, HOUR, 1)
        worker = fleet.start("tick", tick_interval="1h")
        for hero in others:
            ticks_of(tick, hero, timeout=20)
        assert str(odd) in worker.wait_for_log(event="tick")["text"]
        assert tick.row(odd)["ticks"] == 0
    finally:
        tick.sql("ALTER TABLE characters DROP CONSTRAINT odd")
    ticks_of(tick, odd)


def test_a_full_purse_stays_full(fleet, tick):
    hero = tick.character()
    tick.sql("UPDATE characters SET xp = 9223372036854775800, gold = 9223372036854775807")
    tick.put_session(hero, HOUR, 1)
    fleet.start("tick", tick_interval="1h")
    ticks_of(tick, hero)
    assert tick.purse(hero) == (9223372036854775807, 9223372036854775807)


# Lost on the way ------------------------------------------------------------------------------------------------------


def test_a_tick_lost_from_the_queue_is_found_again(fleet, tick):
    """As if a worker had died between taking it and crediting it: the cursor is past it, and it is in no queue."""
    hero = tick.character()
    tick.put_session(hero, HOUR, 1)
    due = int(entry(tick, hero).split(":")[1])
    tick.redis.set("tick:cursor", f"{due}:{hero}")
    worker = fleet.start("tick", tick_interval="1h")
    ticks_of(tick, hero)
    assert worker.metrics()["garrison_tick_lost_found_total"] >= 1


def test_a_lost_tick_behind_a_backlog_of_later_ones_is_found_again(fleet, tick):
    lost, waiting = tick.characters(2)
    tick.put_session(lost, HOUR, 600)
    tick.put_session(waiting, HOUR, 300)
    due = int(entry(tick, waiting).split(":")[1])
    tick.redis.set("tick:cursor", f"{due}:{waiting}")
    tick.redis.rpush("tick:queue:general", entry(tick, waiting))
    fleet.start("tick", tick_interval="1h")
    for hero in (lost, waiting):
        ticks_of(tick, hero)


def test_many_lost_ticks_are_found_again(fleet, tick):
    heroes = tick.characters(5000)
    tick.sql(
        "INSERT INTO auto_sessions (player_id, started_at, next_tick_at)"
        " SELECT id, now() - interval '1 hour' - id %% 600 * interval '1 s', now() - id %% 600 * interval '1 s' FROM characters"
    )
    tick.redis.set("tick:cursor", f"{int(time.time() * 1e6)}:{heroes[-1]}")
    fleet.start("tick", tick_interval="1h")
    wait_for(lambda: tick.value("SELECT count(*) FROM ledger") == 5000, 30, what="all ticks")
    tick.check_ledger(HOUR)


def test_a_session_moved_back_by_hand_is_found_also_where_sweeps_have_passed(fleet, tick):
    early, late = tick.characters(2)
    tick.put_session(early, HOUR, 1)
    worker = fleet.start("tick", tick_interval="1h")
    ticks_of(tick, early)
    time.sleep(4)  # sweeps find nothing and begin later
    tick.put_session(late, HOUR, 1800)
    ticks_of(tick, late, timeout=15)
    assert worker.metrics()["garrison_tick_lost_found_total"] == 1


# The end --------------------------------------------------------------------------------------------------------------


def test_a_session_ends_by_itself(fleet, tick):
    fleet.start("tick", tick_interval="1s", auto_session_max="3500ms")
    hero = tick.character()
    session = tick.start(hero).result["session"]
    end = time_of(session["started_at"]) + timedelta(milliseconds=3500)
    wait_for(lambda: not tick.status(hero).result["active"], what="the end")
    assert tick.value("SELECT now()") >= end
    wait_for(lambda: tick.row(hero) is None, what="the row to be removed")
    assert tick.value("SELECT sum(ticks) FROM ledger") == 3
    assert tick.purse(hero) == (30, 9)
    assert tick.value("SELECT ended_at FROM auto_session_ends WHERE player_id = %s", hero) == end
    assert tick.delete(hero).result == {"deleted": False}
    assert tick.start(hero).result["started"] is True


def test_what_was_due_before_the_end_is_credited_after_it(fleet, tick):
    """No worker ran at the end of the session."""
    over, running = tick.characters(2)
    tick.put_session(over, HOUR, 8.5 * HOUR)  # 9.5 hours old: due at 1 … 9
    tick.put_session(running, HOUR, 2.5 * HOUR)  # 3.5 hours old
    fleet.start("tick", tick_interval="1h", auto_session_max="5h", tick_catchup_max=100)
    wait_for(lambda: tick.row(over) is None, what="the end")
    assert tick.purse(over) == (50, 15)
    assert ticks_of(tick, running, 3)["ticks"] == 3
    assert tick.status(running).result["active"] is True


def test_a_session_that_is_over_is_replaced_by_the_next(fleet, tick):
    """Its row waits for its next due time; to everybody else it is gone."""
    fleet.start("tick", tick_interval="1h", auto_session_max="90m")
    hero = tick.character()
    tick.start(hero, "trade")
    tick.age(hero, HOUR)
    ticks_of(tick, hero)
    tick.age(hero, 0.6 * HOUR)
    assert tick.status(hero).result == {"active": False, "session": None}
    assert tick.row(hero)
    result = tick.start(hero, "crafting").result
    assert result["started"] is True and result["session"]["active_category"] == "crafting"
    assert result["session"]["ticks"] == 0 and tick.purse(hero) == (10, 3)


def test_a_session_that_is_over_cannot_be_deleted(fleet, tick):
    fleet.start("tick", tick_interval="1h", auto_session_max="90m")
    hero = tick.character()
    tick.put_session(hero, HOUR, -0.1 * HOUR)
    tick.sql("UPDATE auto_sessions SET started_at = started_at - interval '59 minutes'")
    assert tick.status(hero).result == {"active": False, "session": None}
    assert tick.delete(hero).result == {"deleted": False}
    assert tick.row(hero) is None


def test_sessions_do_not_end_by_default(fleet, tick):
    fleet.start("tick", tick_interval="1h")
    hero = tick.character()
    tick.put_session(hero, HOUR, 100000 * HOUR)
    ticks_of(tick, hero, 10)
    assert tick.status(hero).result["active"] is True


# Events ---------------------------------------------------------------------------------------------------------------


def test_no_events_by_default(fleet, tick, amqp):
    events = amqp.events("tick.#")
    fleet.start("tick", tick_interval="1h")
    hero = tick.character()
    tick.put_session(hero, HOUR, 1)
    ticks_of(tick, hero)
    events.none_for(1)


def test_events_tell_of_every_tick_once(fleet, tick, amqp):
    events = amqp.events("tick.#")
    tick.rules(loot='[{"item_template_id": "herb_sage", "weight": 1, "min": 2, "max": 2}]')
    heroes = tick.characters(12)
    for number, hero in enumerate(heroes):
        tick.put_session(hero, HOUR, (number % 3 + 0.5) * HOUR, CATEGORIES[number % 4])
    fleet.start("tick", tick_interval="1h", tick_events="on")
    told, ids = {}, set()
    while len(told) < len(heroes):
        event = events.next()
        assert event.routing_key == "tick.completed" and event.properties.type == "completed"
        assert event.properties.content_type == "application/json"
        assert set(event.body) == {"category", "ticked_at", "characters"}
        time_of(event.body["ticked_at"])
        ids.add(event.properties.message_id)
        for character in event.body["characters"]:
            assert character["char_id"] not in told
            assert tick.row(character["char_id"])["active_category"] == event.body["category"]
            told[character["char_id"]] = character
    for number, hero in enumerate(heroes):
        n = number % 3 + 1
        assert told[hero] == {"char_id": hero, "ticks": n, "xp": 10 * n, "gold": 3 * n, "items": 2 * n}
    assert all(ids)
    wait_for(lambda: tick.value("SELECT count(*) FROM tick_events") == 0, what="the confirmed events to be deleted")


def test_an_event_left_behind_is_published_with_its_own_id(fleet, tick, amqp):
    """As after a crash between the commit and the confirm."""
    events = amqp.events("tick.#")
    body = {"category": "trade", "ticked_at": "2026-01-01T00:00:00.000Z", "characters": []}
    message_id = tick.value("INSERT INTO tick_events (body) VALUES (%s) RETURNING message_id", json.dumps(body))
    fleet.start("tick", tick_interval="1h", tick_events="on")
    event = events.next()
    assert event.properties.message_id == str(message_id) and event.body == body
    wait_for(lambda: tick.value("SELECT count(*) FROM tick_events") == 0, what="it to be deleted")


# Several workers, and what ticks cost when there are none --------------------------------------------------------------


def test_several_workers_share_the_work(fleet, tick):
    for _ in range(3):
        fleet.start("tick", tick_interval="1s")
    heroes = tick.characters(200)
    for number, hero in enumerate(heroes):
        tick.put_session(hero, 1, -(number % 10) / 10, CATEGORIES[number % 4])
    wait_for(lambda: tick.value("SELECT min(ticks) FROM auto_sessions") >= 6, 30, what="six ticks for everybody")
    fleet.stop()
    tick.check_ledger(1)


def test_an_idle_scan_does_not_grow_with_the_sessions(fleet, tick):
    """By the plan, not by the watch: only the index is touched, and only its pages at the cursor."""
    tick.sql(
        "WITH c AS (INSERT INTO characters (name) SELECT '' FROM generate_series(1, 20000) RETURNING id)"
        " INSERT INTO auto_sessions (player_id, next_tick_at) SELECT id, now() + interval '1 hour' FROM c"
    )
    tick.sql("ANALYZE auto_sessions")
    tick.sql("SET enable_seqscan = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan")
    tick.sql(
        "PREPARE scan (timestamptz, bigint) AS SELECT player_id, next_tick_at, started_at, active_category FROM auto_sessions"
        " WHERE (next_tick_at, player_id) > ($1, $2) AND next_tick_at <= now() ORDER BY next_tick_at, player_id LIMIT 2000"
    )
    plan = tick.value("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE scan (now() - interval '1 minute', 5)")[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 5
