"""combat-settlement: what a settled fight does, sentence by sentence."""

import copy
import json
import uuid
from datetime import datetime, timezone

import pytest

from lib.combat import Combat, fight, fight_of, part
from lib.wait import wait_for

pytestmark = pytest.mark.services("combat-settlement", "ctl")


@pytest.fixture
def combat(stack, amqp):
    combat = Combat(stack, amqp)
    yield combat
    combat.close()


@pytest.fixture
def worker(fleet, combat):
    return fleet.start("combat-settlement")


@pytest.fixture
def lone_worker(fleet, combat):
    """One thread, so that messages are taken in their order."""
    return fleet.start("combat-settlement", max_concurrent_tasks=1)


@pytest.fixture(autouse=True)
def no_dead_letters_left(amqp):
    yield
    amqp.purge("game.combat-settlement.dead")


# The effects ----------------------------------------------------------------------------------------------------------


def test_a_fight_is_settled_with_all_its_effects(worker, combat):
    hero, foe = combat.characters(2)
    potions = combat.item(hero, "hp_pot_small", 5, slot="belt_1")
    sword = combat.item(hero, "sword_epic", 1, slot="weapon", durability=40)
    document = fight_of(
        {
            hero: part(
                xp=1250, gold=100, hp=45, energy=20, consumed={potions: ("hp_pot_small", 2)}, gained={"wolf_pelt": 1},
                wear={"sword_epic": 5},
            ),
            foe: part(winner=False, xp=50, hp=0),
        }
    )
    reply = combat.settle(document)
    assert reply.result == {"session_id": document["session_id"], "status": "processed", "replayed": False}
    assert combat.purse(hero) == (1250, 100)
    assert combat.purse(foe) == (50, 0)
    assert combat.vitals(hero) == (45, 20)
    assert combat.vitals(foe) == (0, 100)
    assert combat.quantity(potions) == 3
    assert combat.durability(sword) == 35
    assert combat.items(hero) == {"hp_pot_small": 3, "sword_epic": 1, "wolf_pelt": 1}
    row = combat.sql(
        "SELECT participant_ids, finished_at, settlement_status, result_payload FROM combat_history WHERE session_id = %s",
        document["session_id"],
    )[0]
    assert sorted(row[0]) == sorted([hero, foe])
    assert row[1] == datetime.fromtimestamp(1735460000, timezone.utc)
    assert row[2:] == ("processed", document)
    assert combat.sql("SELECT last_combat_session_id::text FROM characters WHERE id = %s", hero) == [
        (document["session_id"],)
    ]


def test_vitals_are_cut_to_their_bounds(worker, combat):
    strong, weak, own = combat.characters(3)
    combat.sql(
        """UPDATE characters SET vitals = '{"hp":{"cur":1,"max":450},"energy":{"cur":1,"max":30},"mana":7}' WHERE id = %s""",
        own,
    )
    combat.settle(fight_of({strong: part(hp=5000, energy=101), weak: part(hp=-3, energy=-1), own: part(hp=450)}))
    assert combat.vitals(strong) == (100, 100)
    assert combat.vitals(weak) == (0, 0)
    assert combat.sql("SELECT vitals FROM characters WHERE id = %s", own)[0][0] == {
        "hp": {"cur": 450, "max": 450},
        "energy": {"cur": 1, "max": 30},
        "mana": 7,
    }


HUNDRED = {"cur": 100, "max": 100}
STRANGE_VITALS = [
    ({"hp": None, "energy": 50}, {"hp": HUNDRED, "energy": {"cur": 7, "max": 100}}),
    ({"hp": {"cur": 1, "max": 99.5}, "energy": {"cur": 1, "max": "5"}}, {"hp": {"cur": 99, "max": 99.5}, "energy": {"cur": 5, "max": "5"}}),
    ({"hp": {"cur": 1, "max": "many"}}, {"hp": {"cur": 100, "max": "many"}, "energy": {"cur": 7, "max": 100}}),
    (None, {"hp": HUNDRED, "energy": {"cur": 7, "max": 100}}),
    ([1], {"hp": HUNDRED, "energy": {"cur": 7, "max": 100}}),
]


@pytest.mark.parametrize("strange, mended", STRANGE_VITALS)
def test_vitals_by_another_hand_become_gauges(worker, combat, strange, mended):
    hero = combat.character()
    combat.sql("UPDATE characters SET vitals = %s WHERE id = %s", json.dumps(strange), hero)
    combat.context(hero, vitals=json.dumps(strange))
    assert combat.settle(fight_of({hero: part(xp=1, hp=450, energy=7)})).result["status"] == "processed"
    assert combat.sql("SELECT vitals FROM characters WHERE id = %s", hero)[0][0] == mended


def test_the_newest_fight_sets_vitals_whatever_comes_first(worker, combat):
    hero = combat.character()
    newer = fight_of({hero: part(xp=1, hp=10, energy=11)}, end=2000)
    older = fight_of({hero: part(xp=2, hp=90, energy=91)}, end=1000)
    combat.settle(newer)
    combat.settle(older)
    assert combat.vitals(hero) == (10, 11)
    assert combat.purse(hero) == (3, 0)
    assert combat.sql("SELECT last_combat_session_id::text FROM characters WHERE id = %s", hero)[0][0] == newer["session_id"]


def test_of_two_fights_in_one_second_the_greater_session_is_newer(worker, combat):
    hero = combat.character()
    low, high = sorted(str(uuid.uuid4()) for _ in range(2))
    combat.settle(fight_of({hero: part(hp=70)}, session_id=high))
    combat.settle(fight_of({hero: part(hp=30)}, session_id=low))
    assert combat.vitals(hero)[0] == 70


def test_a_fight_without_a_snapshot_leaves_vitals(worker, combat):
    hero = combat.character()
    combat.settle(fight_of({hero: part(hp=33)}, end=10))
    combat.settle(fight_of({hero: part(energy=44)}, end=20))
    assert combat.vitals(hero) == (33, 44)


def test_game_stage_goes_from_combat_to_idle(worker, combat):
    fighting, crafting = combat.characters(2)
    combat.sql("UPDATE characters SET game_stage = 'combat' WHERE id = %s", fighting)
    combat.sql("UPDATE characters SET game_stage = 'inventory' WHERE id = %s", crafting)
    document = fight_of({fighting: part(), crafting: part()})
    combat.sql(
        "INSERT INTO session_snapshots (kind, session_id, character_id, payload) VALUES ('combat', %s, %s, '{}')",
        document["session_id"], fighting,
    )
    combat.settle(document)
    assert (combat.stage(fighting), combat.stage(crafting)) == ("idle", "inventory")
    assert combat.sql("SELECT count(*) FROM session_snapshots WHERE session_id = %s", document["session_id"]) == [(0,)]


def test_who_is_in_another_fight_already_stays_in_combat(worker, combat):
    hero = combat.character()
    combat.sql("UPDATE characters SET game_stage = 'combat' WHERE id = %s", hero)
    combat.sql(
        "INSERT INTO session_snapshots (kind, session_id, character_id, payload) VALUES ('combat', %s, %s, '{}')",
        str(uuid.uuid4()), hero,
    )
    combat.settle(fight_of({hero: part()}))
    assert combat.stage(hero) == "combat"


# Items ----------------------------------------------------------------------------------------------------------------


def test_what_is_used_up_is_removed_and_nothing_else(worker, combat):
    hero, other = combat.characters(2)
    used = combat.item(hero, "pot", 2, slot="belt_1")
    empty = combat.item(hero, "pot", 0)
    others = combat.item(other, "pot", 0)
    combat.settle(fight_of({hero: part(consumed={used: ("pot", 2)})}))
    assert combat.quantity(used) is None
    assert combat.quantity(empty) == 0
    assert combat.quantity(others) == 0


def test_several_entries_for_one_item_add_up(worker, combat):
    hero = combat.character()
    pots = combat.item(hero, "pot", 10)
    entry = part()
    entry["changes"]["items_consumed"] = [{"inventory_id": pots, "item_template_id": "pot", "qty": qty} for qty in (2, 3, 1)]
    combat.settle(fight_of({hero: entry}))
    assert combat.quantity(pots) == 4


def test_consuming_more_than_there_is_takes_what_there_is(worker, combat):
    hero = combat.character()
    pots = combat.item(hero, "pot", 3)
    events = combat.events()
    document = fight_of({hero: part(consumed={pots: ("pot", 5)})})
    assert combat.settle(document).result["status"] == "processed"
    assert combat.quantity(pots) is None
    shortfall = {"char_id": hero, "inventory_id": pots, "item_template_id": "pot", "missing": 2}
    assert combat.history(document["session_id"])[2] == [shortfall]
    assert events.next().body["shortfalls"] == [shortfall]
    told = json.loads(combat.stack.ctl("audit", "--section=fights", "--json", check=False).stdout)
    assert told["sections"][0]["seen"]["shortfalls"] >= 1


def test_what_is_not_ones_own_or_of_another_template_is_a_shortfall(worker, combat):
    hero, foe = combat.characters(2)
    foreign = combat.item(foe, "pot", 9)
    sword = combat.item(hero, "sword", 1)
    document = fight_of({hero: part(consumed={foreign: ("pot", 2), sword: ("pot", 1), 999_999: ("pot", 4)}), foe: part()})
    combat.settle(document)
    assert combat.quantity(foreign) == 9
    assert combat.quantity(sword) == 1
    missing = {entry["inventory_id"]: entry["missing"] for entry in combat.history(document["session_id"])[2]}
    assert missing == {foreign: 2, sword: 1, 999_999: 4}


def test_loot_goes_onto_the_unequipped_stack(worker, combat):
    hero = combat.character()
    equipped = combat.item(hero, "bomb", 2, slot="belt_2")
    stack = combat.item(hero, "bomb", 5)
    combat.settle(fight_of({hero: part(gained={"bomb": 3})}))
    assert (combat.quantity(equipped), combat.quantity(stack)) == (2, 8)
    assert combat.items(hero) == {"bomb": 10}


def test_loot_without_a_stack_makes_one(worker, combat):
    hero = combat.character()
    combat.item(hero, "bomb", 2, slot="belt_2")
    combat.settle(fight_of({hero: part(gained={"bomb": 3})}))
    rows = combat.sql(
        "SELECT quantity, is_equipped, slot FROM inventory WHERE character_id = %s ORDER BY is_equipped", hero
    )
    assert rows == [(3, False, None), (2, True, "belt_2")]


def test_the_stack_that_the_same_fight_used_up_gets_no_loot(worker, combat):
    hero = combat.character()
    stack = combat.item(hero, "bomb", 2)
    combat.settle(fight_of({hero: part(consumed={stack: ("bomb", 5)}, gained={"bomb": 3})}))
    assert combat.quantity(stack) is None
    assert combat.items(hero) == {"bomb": 3}


def test_what_does_not_stack_comes_piece_by_piece(worker, combat):
    hero = combat.character()
    combat.template("mace", stackable=False, max_durability=30)
    combat.item(hero, "mace")
    combat.settle(fight_of({hero: part(gained={"mace": 2})}))
    rows = combat.sql("SELECT quantity, durability FROM inventory WHERE character_id = %s ORDER BY id", hero)
    assert rows == [(1, None), (1, 30), (1, 30)]


def test_a_million_pieces_of_what_does_not_stack_are_few_rows(worker, combat):
    hero = combat.character()
    combat.template("ingot", stackable=False)
    combat.settle(fight_of({hero: part(gained={"ingot": 1_000_000})}))
    assert combat.items(hero) == {"ingot": 1_000_000}
    assert combat.sql("SELECT count(*) FROM inventory WHERE character_id = %s", hero)[0][0] <= 1000


def test_loot_obtained_is_granted_only_where_items_gained_is_absent(worker, combat):
    with_list, with_empty, without, of_null = combat.characters(4)
    combat.template("fang", "Клык")
    loot = {"loot_obtained": [{"name": "Клык волка", "qty": 2}, {"item_template_id": "fang", "name": "x", "qty": 1}]}
    document = fight_of(
        {
            with_list: part(gained={"pelt": 1}, ui=loot),
            with_empty: part(gained={}, ui=loot),
            without: part(ui=loot),
            of_null: part(ui={"loot_obtained": [{"item_template_id": None, "name": "Клык волка", "qty": 3}]}),
        }
    )
    combat.settle(document)
    assert combat.items(with_list) == {"pelt": 1}
    assert combat.items(with_empty) == {}
    assert combat.items(without) == {"Клык волка": 2, "fang": 1}
    assert combat.items(of_null) == {"Клык волка": 3}
    assert combat.sql("SELECT name, stackable FROM item_templates WHERE id = 'Клык волка'") == [("Клык волка", True)]
    assert combat.sql("SELECT name FROM item_templates WHERE id = 'fang'") == [("Клык",)]
    told = combat.stack.ctl("audit", "--section=tombstones", "--json", "--patience=0s", check=False).stdout
    assert document["session_id"] not in told


def test_durability_is_lost_by_the_equipped_item_and_not_below_0(worker, combat):
    hero = combat.character()
    combat.template("spear", stackable=False, max_durability=20)
    worn = combat.item(hero, "spear", slot="weapon")
    spare = combat.item(hero, "spear", durability=9)
    shield = combat.item(hero, "shield", slot="off_hand", durability=3)
    plain = combat.item(hero, "ring", slot="ring")
    combat.settle(fight_of({hero: part(wear={"spear": 5, "shield": 8, "ring": 2, "nothing": 1})}))
    assert [combat.durability(item) for item in (worn, spare, shield, plain)] == [15, 9, 0, None]


# Once for ever --------------------------------------------------------------------------------------------------------


def test_the_same_document_again_changes_nothing(worker, combat):
    hero = combat.character()
    pots = combat.item(hero, "pot", 9)
    document = fight_of({hero: part(xp=7, gold=3, hp=50, consumed={pots: ("pot", 2)}, gained={"pelt": 1})})
    combat.settle(document)
    again = combat.settle(document)
    assert again.result == {"session_id": document["session_id"], "status": "processed", "replayed": True}
    assert combat.purse(hero) == (7, 3)
    assert combat.items(hero) == {"pot": 7, "pelt": 1}


def test_another_spelling_is_the_same_document(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part(xp=1000, gold=3)})
    combat.settle(document)
    turned = {key: document[key] for key in reversed(document)}
    text = json.dumps(turned, indent=3).replace('"xp_gained": 1000', '"xp_gained" : 1.0e3')
    assert "1.0e3" in text
    assert combat.settle(text.encode()).result["replayed"] is True
    assert combat.purse(hero) == (1000, 3)


def test_another_document_is_refused_and_changes_nothing(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part(xp=7)})
    combat.settle(document)
    other = copy.deepcopy(document)
    other["participants"][str(hero)]["changes"]["xp_gained"] = 8
    before = combat.sql("SELECT result_payload FROM combat_history WHERE session_id = %s", document["session_id"])
    reply = combat.settle(other)
    assert reply.code == "conflict"
    assert reply.error["retryable"] is False
    assert combat.purse(hero) == (7, 0)
    assert combat.sql("SELECT result_payload FROM combat_history WHERE session_id = %s", document["session_id"]) == before
    dead = combat.amqp.dead("combat-settlement")
    assert (dead.headers["g-code"], dead.headers["g-stage"], dead.body) == ("conflict", "handle", other)


def test_a_document_that_differs_only_in_its_replay_log_is_another(worker, combat):
    document = fight_of({combat.character(): part()})
    combat.settle({**document, "replay_log": []})
    assert combat.settle({**document, "replay_log": [{"t": 1}]}).code == "conflict"


def test_copies_and_conflicts_in_one_batch(lone_worker, combat):
    """All at once, as one batch: the worker is held while they queue up."""
    hero = combat.character()
    document = fight_of({hero: part(xp=5)})
    other = copy.deepcopy(document)
    other["participants"][str(hero)]["changes"]["xp_gained"] = 6
    lone_worker.pause()
    tickets = [combat.amqp.request("combat-settlement.settle_combat", body, exchange="game.commands")
               for body in (document, other, document, other, document)]
    lone_worker.resume()
    replies = [combat.amqp.requests.wait(ticket, 20) for ticket in tickets]
    assert [reply.ok for reply in replies] == [True, False, True, False, True]
    assert [replies[i].result["replayed"] for i in (0, 2, 4)] == [False, True, True]
    assert {replies[i].code for i in (1, 3)} == {"conflict"}
    assert combat.purse(hero) == (5, 0)


def test_a_batch_with_common_characters_sums_up(lone_worker, combat):
    heroes = combat.characters(3)
    pots = combat.item(heroes[0], "pot", 10)
    stack = combat.item(heroes[0], "pelt", 1)
    documents = [
        fight_of(
            {
                heroes[0]: part(xp=i, gold=1, hp=i, consumed={pots: ("pot", 1)}, gained={"pelt": 2}),
                heroes[1 + i % 2]: part(winner=False, xp=1, hp=100 - i),
            },
            end=1000 + i,
        )
        for i in range(1, 13)
    ]
    lone_worker.pause()
    tickets = [combat.amqp.request("combat-settlement.settle_combat", d, exchange="game.commands") for d in reversed(documents)]
    lone_worker.resume()
    for ticket in tickets:
        assert combat.amqp.requests.wait(ticket, 20).result["replayed"] is False
    assert combat.purse(heroes[0]) == (78, 12)
    assert combat.vitals(heroes[0])[0] == 12
    assert combat.vitals(heroes[1])[0] == 88
    assert combat.vitals(heroes[2])[0] == 89
    assert combat.quantity(pots) is None
    assert combat.quantity(stack) == 25
    short = combat.sql(
        "SELECT shortfalls FROM combat_history WHERE shortfalls IS NOT NULL AND participant_ids @> %s::bigint[]", [heroes[0]]
    )
    assert sum(entry["missing"] for (entries,) in short for entry in entries) == 2


def test_in_a_batch_a_fight_without_vitals_does_not_hide_an_older_ones(lone_worker, combat):
    hero = combat.character()
    lone_worker.pause()
    tickets = [
        combat.amqp.request("combat-settlement.settle_combat", fight_of({hero: part(xp=1, **vitals)}, end=end),
                            exchange="game.commands")
        for end, vitals in ((100, {"hp": 41, "energy": 42}), (200, {"hp": 43}), (300, {}))
    ]
    lone_worker.resume()
    for ticket in tickets:
        combat.amqp.requests.wait(ticket, 20)
    assert combat.vitals(hero) == (43, 42)
    assert combat.purse(hero) == (3, 0)


# The hopeless and the unlucky -----------------------------------------------------------------------------------------


def test_an_unknown_character_fails_the_fight_until_the_cause_is_mended(worker, combat, stack):
    hero = combat.character()
    missing = 777_000_001
    document = fight_of({hero: part(xp=5), missing: part(winner=False, gold=2)})
    reply = combat.settle(document, message_id="doomed-1")
    assert reply.code == "not_found"
    assert str(missing) in reply.error["message"]
    status, failure, _ = combat.history(document["session_id"])
    assert status == "failed"
    assert str(missing) in failure
    assert combat.purse(hero) == (0, 0)
    wait_for(lambda: combat.amqp.depth("game.combat-settlement.dead") == 1, what="the dead letter")
    combat.sql("INSERT INTO characters (id) VALUES (%s)", missing)
    stack.ctl("dead", "redrive", "combat-settlement")
    wait_for(lambda: combat.status(document["session_id"]) == "processed", what="the redriven fight")
    assert combat.history(document["session_id"])[1] is None
    assert combat.purse(hero) == (5, 0)
    assert combat.purse(missing) == (0, 2)
    assert combat.settle(document).result["replayed"] is True


def test_a_hopeless_fight_leaves_its_neighbours_alone(lone_worker, combat):
    heroes = combat.characters(2)
    good = [fight_of({heroes[i % 2]: part(xp=1)}) for i in range(10)]
    bad = [fight_of({heroes[0]: part(xp=100), 888_000_000 + i: part()}) for i in range(3)]
    lone_worker.pause()
    tickets = [combat.amqp.request("combat-settlement.settle_combat", d, exchange="game.commands") for d in good[:5] + bad + good[5:]]
    lone_worker.resume()
    replies = [combat.amqp.requests.wait(ticket, 20) for ticket in tickets]
    assert [reply.ok for reply in replies] == [True] * 5 + [False] * 3 + [True] * 5
    assert combat.purse(heroes[0]) == (5, 0)
    dead = [combat.amqp.dead("combat-settlement") for _ in bad]
    assert sorted(d.body["session_id"] for d in dead) == sorted(d["session_id"] for d in bad)


def test_what_the_database_cannot_hold_fails_alone(lone_worker, combat):
    hero = combat.character()
    full = combat.item(hero, "coin", 2_147_483_647)
    overflow = fight_of({hero: part(xp=5, gained={"coin": 1})})
    fine = fight_of({hero: part(xp=1)})
    lone_worker.pause()
    tickets = [combat.amqp.request("combat-settlement.settle_combat", d, exchange="game.commands") for d in (overflow, fine)]
    lone_worker.resume()
    replies = [combat.amqp.requests.wait(ticket, 20) for ticket in tickets]
    assert replies[0].code == "invalid_payload"
    assert replies[1].ok
    assert combat.status(overflow["session_id"]) == "failed"
    assert combat.purse(hero) == (1, 0)
    assert combat.quantity(full) == 2_147_483_647


def test_a_fight_is_pending_while_something_passing_keeps_it_from_settling(fleet, combat, stack):
    fleet.start("combat-settlement", retry_delays="1s", max_attempts=10)
    locked, free = combat.characters(2)
    stuck = fight_of({locked: part(xp=5)})
    neighbour = fight_of({free: part(xp=6)})
    holder = stack.database()
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("SELECT 1 FROM characters WHERE id = %s FOR UPDATE", (locked,))
        combat.publish(stuck)
        combat.publish(neighbour)
        wait_for(lambda: combat.status(stuck["session_id"]) == "pending", what="the fight to be pending")
        wait_for(lambda: combat.status(neighbour["session_id"]) == "processed", what="its neighbour")
        assert combat.result(stuck["session_id"], locked).result["status"] == "settling"
        assert combat.purse(locked) == (0, 0)
    holder.rollback()
    holder.close()
    wait_for(lambda: combat.status(stuck["session_id"]) == "processed", what="the fight to be settled after all")
    assert combat.purse(locked) == (5, 0)


def test_fights_are_pending_while_nobody_can_tell_what_their_loot_is(fleet, combat, stack):
    fleet.start("combat-settlement", retry_delays="1s", max_attempts=10)
    hero = combat.character()
    stuck = fight_of({hero: part(xp=5, gained={"pelt": 1})})
    with stack.database() as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE item_templates IN ACCESS EXCLUSIVE MODE")
        combat.publish(stuck)
        wait_for(lambda: combat.status(stuck["session_id"]) == "pending", what="the fight to be pending")
        assert combat.result(stuck["session_id"], hero).result["status"] == "settling"
        cursor.execute("ROLLBACK")
    wait_for(lambda: combat.status(stuck["session_id"]) == "processed", what="the fight to be settled after all")
    assert combat.purse(hero) == (5, 0) and combat.items(hero) == {"pelt": 1}


def test_a_pending_row_by_another_hand_is_settled(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part(xp=5)})
    combat.write_history(document, "pending")
    assert combat.settle(document).result["replayed"] is False
    assert combat.purse(hero) == (5, 0)
    assert combat.settle(document).result["replayed"] is True


def test_a_processed_row_by_another_hand_is_a_replay(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part(xp=5)})
    combat.write_history(document, "processed")
    assert combat.settle(document).result["replayed"] is True
    assert combat.purse(hero) == (0, 0)


# What is refused ------------------------------------------------------------------------------------------------------


def change(document, path, value):
    """The document with one member set (or removed: None)."""
    document = copy.deepcopy(document)
    *way, last = path.split(".")
    place = document
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


FULL = "participants.101."
REFUSALS = [
    ("session_id", None),
    ("session_id", "not-a-uuid"),
    ("meta", None),
    ("meta.end_timestamp", None),
    ("meta.end_timestamp", 1.5),
    ("meta.end_timestamp", "2026-01-01T00:00:00Z"),
    ("meta.winner_team", None),
    ("meta.finish_reason", "fled"),
    ("participants", {}),
    ("participants", []),
    (FULL + "is_winner", None),
    (FULL + "is_winner", 1),
    (FULL + "changes", None),
    (FULL + "changes.xp_gained", None),
    (FULL + "changes.xp_gained", -1),
    (FULL + "changes.xp_gained", 10**12 + 1),
    (FULL + "changes.gold_gained", "5"),
    (FULL + "changes.gold_gained", 0.5),
    (FULL + "changes.items_consumed", {}),
    (FULL + "changes.items_consumed.0.qty", 0),
    (FULL + "changes.items_consumed.0.qty", 1_000_001),
    (FULL + "changes.items_consumed.0.inventory_id", None),
    (FULL + "changes.items_consumed.0.item_template_id", None),
    (FULL + "changes.items_gained.0.qty", 0),
    (FULL + "changes.items_gained.0.item_template_id", None),
    (FULL + "changes.durability_loss.item:sword_epic", -1),
    (FULL + "changes.durability_loss.sword_epic", 1),
    (FULL + "state_snapshot.hp", "full"),
    (FULL + "ui_report.damage_dealt", "many"),
]


@pytest.mark.parametrize("path, value", REFUSALS)
def test_a_bad_field_is_named_by_its_path(worker, combat, path, value):
    good = fight(
        p101=part(
            xp=1, gold=1, hp=5, energy=5, consumed={55: ("pot", 2)}, gained={"pelt": 1}, wear={"sword_epic": 5},
            ui={"damage_dealt": 5},
        )
    )
    reply = combat.settle(change(good, path, value))
    assert reply.code == "invalid_payload"
    assert path in reply.fields
    dead = combat.amqp.dead("combat-settlement")
    assert (dead.headers["g-code"], dead.headers["g-stage"]) == ("invalid_payload", "validate")
    assert combat.status(good["session_id"]) is None


def test_at_most_64_participants(worker, combat):
    ids = combat.characters(65)
    assert combat.settle(fight_of({id: part() for id in ids[:64]})).ok
    assert combat.settle(fight_of({id: part() for id in ids})).fields.keys() == {"participants"}


def test_largest_amounts_are_taken(worker, combat):
    hero = combat.character()
    combat.settle(fight_of({hero: part(xp=10**12, gold=10**12, gained={"dust": 10**6})}))
    assert combat.purse(hero) == (10**12, 10**12)
    assert combat.items(hero) == {"dust": 10**6}


def test_a_draw_needs_no_winner(worker, combat):
    document = fight_of({combat.character(): part(winner=False)}, reason="draw")
    document["meta"]["winner_team"] = None
    assert combat.settle(document).ok


def test_loot_that_is_granted_needs_a_name(worker, combat):
    reply = combat.settle(fight_of({combat.character(): part(ui={"loot_obtained": [{"qty": 1}]})}))
    assert reply.code == "invalid_payload"
    assert any(field.endswith("ui_report.loot_obtained.0.name") for field in reply.fields)


def test_not_by_the_request_lane(worker, combat):
    reply = combat.amqp.call("combat-settlement.settle_combat", fight_of({combat.character(): part()}))
    assert reply.code == "forbidden"
    assert "game.commands" in reply.error["message"]


def test_large_documents_are_taken(worker, combat):
    hero = combat.character()
    document = {**fight_of({hero: part(xp=1)}), "replay_log": ["x" * 1000] * 7000}
    assert combat.settle(document, timeout=60).ok
    assert combat.purse(hero) == (1, 0)


# What follows the commit ----------------------------------------------------------------------------------------------


def test_the_tombstone_lives_for_a_day(worker, combat):
    document = fight_of({combat.character(): part()})
    combat.settle(document)
    assert 86_390 < combat.redis.ttl(f"combat:result_cache:{document['session_id']}") <= 86_400


def test_the_live_session_is_removed_in_both_spellings(worker, combat):
    document = fight_of({combat.character(): part()})
    combat.redis.hset(f"combat:session:{document['session_id']}", "turn", 5)
    combat.redis.set(f"cs:{document['session_id']}", "{}")
    combat.settle(document)
    assert combat.redis.exists(f"combat:session:{document['session_id']}", f"cs:{document['session_id']}") == 0


def test_the_live_context_is_brought_in_line(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part(hp=45, energy=500)})
    combat.context(hero, state="combat", combat_session_id=document["session_id"], inventory_session_id="x")
    backups = combat.amqp.listen("game.commands", "state-backup.backup_full_state")
    combat.settle(document)
    context = combat.redis.hgetall(f"ac:{hero}")
    assert context["state"] == "idle"
    assert "combat_session_id" not in context
    assert context["last_combat_session_id"] == document["session_id"]
    assert json.loads(context["vitals"]) == {"hp": {"cur": 45, "max": 100}, "energy": {"cur": 100, "max": 100}}
    assert context["inventory_session_id"] == "x"
    assert combat.redis.sismember("dirty_accounts", hero)
    assert backups.next().body == {"char_id": hero}


@pytest.mark.parametrize("vitals", [None, {}, {"energy": {"cur": 9, "max": 90}}])
def test_a_gauge_that_a_context_lacks_is_the_databases(worker, combat, vitals):
    """Other programs may have written only some fields."""
    hero, session = combat.character(), str(uuid.uuid4())
    combat.sql("""UPDATE characters SET vitals = '{"hp":{"cur":1,"max":500},"energy":{"cur":2,"max":60}}' WHERE id = %s""", hero)
    combat.redis.hset(f"ac:{hero}", mapping={"state": "combat", "combat_session_id": session})
    if vitals is not None:
        combat.redis.hset(f"ac:{hero}", "vitals", json.dumps(vitals))
    combat.settle(fight_of({hero: part(hp=450)}, session_id=session)).result
    context = combat.redis.hgetall(f"ac:{hero}")
    others = {"energy": {"cur": 2, "max": 60}} if vitals is None else vitals
    assert json.loads(context["vitals"]) == {**others, "hp": {"cur": 450, "max": 500}}
    assert context["state"] == "idle"
    assert "combat_session_id" not in context


def test_a_context_that_has_none_of_it_yet_is_brought_in_line(worker, combat):
    hero, absent = combat.characters(2)
    document = fight_of({hero: part(hp=45), absent: part(hp=45)})
    combat.redis.hset(f"ac:{hero}", "bio", "{}")
    combat.settle(document)
    context = combat.redis.hgetall(f"ac:{hero}")
    assert json.loads(context["vitals"]) == {"hp": {"cur": 45, "max": 100}, "energy": {"cur": 100, "max": 100}}
    assert context["last_combat_session_id"] == document["session_id"]
    assert combat.redis.sismember("dirty_accounts", hero) and not combat.redis.exists(f"ac:{absent}")


def test_a_context_that_is_not_there_is_not_made(worker, combat):
    hero = combat.character()
    combat.settle(fight_of({hero: part(hp=45)}))
    assert not combat.redis.exists(f"ac:{hero}")
    assert not combat.redis.sismember("dirty_accounts", hero)


def test_an_older_fight_never_overwrites_a_newer_ones_context(worker, combat):
    hero = combat.character()
    older, newer = fight_of({hero: part(hp=90)}, end=1000), fight_of({hero: part(hp=10)}, end=2000)
    combat.context(hero, state="combat", combat_session_id=newer["session_id"])
    combat.settle(newer)
    combat.settle(older)
    context = combat.redis.hgetall(f"ac:{hero}")
    assert context["last_combat_session_id"] == newer["session_id"]
    assert json.loads(context["vitals"])["hp"]["cur"] == 10


def test_a_context_restored_from_the_database_is_dated_by_it(worker, combat):
    """It names its last fight, but has not this service's own note of when that was."""
    hero = combat.character()
    first, second, late = (fight_of({hero: part(hp=hp)}, end=end) for hp, end in ((90, 1000), (10, 2000), (50, 1500)))
    combat.settle(first)
    combat.context(hero, last_combat_session_id=first["session_id"])
    combat.settle(second)
    assert combat.redis.hget(f"ac:{hero}", "last_combat_session_id") == second["session_id"]
    assert json.loads(combat.redis.hget(f"ac:{hero}", "vitals"))["hp"]["cur"] == 10
    combat.redis.delete(f"ac:{hero}")
    combat.context(hero, last_combat_session_id=second["session_id"])
    combat.settle(late)
    assert combat.redis.hget(f"ac:{hero}", "last_combat_session_id") == second["session_id"]
    assert json.loads(combat.redis.hget(f"ac:{hero}", "vitals"))["hp"]["cur"] == 100


def test_who_has_gone_on_to_another_fight_stays_there(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part(hp=45)})
    combat.context(hero, state="combat", combat_session_id=str(uuid.uuid4()))
    combat.settle(document)
    context = combat.redis.hgetall(f"ac:{hero}")
    assert context["state"] == "combat"
    assert context["combat_session_id"] != document["session_id"]


def test_a_replay_repeats_what_is_missing_and_nothing_else(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part(xp=1, hp=45)})
    session = document["session_id"]
    combat.context(hero, state="combat", combat_session_id=session)
    combat.settle(document)
    # Life goes on …
    combat.redis.hset(f"ac:{hero}", "vitals", '{"hp":{"cur":77,"max":100},"energy":{"cur":100,"max":100}}')
    combat.redis.hset(f"ac:{hero}", "state", "scenario")
    combat.redis.srem("dirty_accounts", hero)
    # … and some of what was written is lost, or comes back.
    combat.redis.delete(f"combat:result_cache:{session}")
    combat.redis.set(f"combat:session:{session}", "{}")
    events = combat.events()
    assert combat.settle(document).result["replayed"] is True
    context = combat.redis.hgetall(f"ac:{hero}")
    assert json.loads(context["vitals"])["hp"]["cur"] == 77
    assert context["state"] == "scenario"
    assert not combat.redis.sismember("dirty_accounts", hero)
    assert combat.redis.exists(f"combat:result_cache:{session}") == 1
    assert combat.redis.exists(f"combat:session:{session}") == 0
    assert events.next().properties.message_id
    assert combat.purse(hero) == (1, 0)


def test_a_context_that_missed_the_settlement_is_brought_in_line_by_the_replay(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part(hp=45)})
    combat.settle(document)
    combat.context(hero, state="combat", combat_session_id=document["session_id"])
    backups = combat.amqp.listen("game.commands", "state-backup.backup_full_state")
    combat.settle(document)
    context = combat.redis.hgetall(f"ac:{hero}")
    assert (context["state"], "combat_session_id" in context) == ("idle", False)
    assert json.loads(context["vitals"])["hp"]["cur"] == 45
    assert combat.redis.sismember("dirty_accounts", hero)
    assert backups.next().body == {"char_id": hero}


def test_strange_contexts_do_no_harm(worker, combat):
    heroes = combat.characters(3)
    document = fight_of({hero: part(xp=1, hp=45) for hero in heroes})
    combat.redis.set(f"ac:{heroes[0]}", "no hash")
    combat.context(heroes[1], vitals="no json")
    combat.context(heroes[2], vitals='{"hp":7}')
    assert combat.settle(document).ok
    assert combat.redis.get(f"ac:{heroes[0]}") == "no hash"
    assert combat.redis.hget(f"ac:{heroes[1]}", "last_combat_session_id") == document["session_id"]


def test_the_event(worker, combat):
    hero, foe = combat.characters(2)
    document = fight_of(
        {hero: part(xp=5, gold=6, gained={"pelt": 2}, ui={"damage_dealt": 9}), foe: part(winner=False)}, winner="red"
    )
    events = combat.events()
    combat.settle(document)
    event = events.next()
    common = {
        "session_id": document["session_id"],
        "finish_reason": "victory",
        "winner_team": "red",
        "finished_at": "2024-12-29T08:13:20.000Z",
    }
    assert event.body == {
        "session_id": document["session_id"],
        "participants": {
            str(hero): {
                **common, "is_winner": True, "xp_gained": 5, "gold_gained": 6,
                "items_gained": [{"item_template_id": "pelt", "qty": 2}], "damage_dealt": 9,
            },
            str(foe): {**common, "is_winner": False, "xp_gained": 0, "gold_gained": 0, "items_gained": [], "damage_dealt": 0},
        },
        "shortfalls": [],
    }
    combat.settle(document)
    assert events.next().properties.message_id == event.properties.message_id
