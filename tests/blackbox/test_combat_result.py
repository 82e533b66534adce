"""combat-settlement: what a player is told of a fight, and the belt."""

import uuid

import pytest

from lib.combat import Combat, fight_of, part
from lib.wait import wait_for

pytestmark = pytest.mark.services("combat-settlement", "ctl")

NOT_FOUND = {"ru": "Бой устарел или не существует", "en": "This fight is too old or does not exist"}


@pytest.fixture
def combat(stack, amqp):
    combat = Combat(stack, amqp)
    yield combat
    combat.close()


@pytest.fixture
def worker(fleet, combat):
    return fleet.start("combat-settlement", unknown_fight_ttl="2s")


def forget(combat, document):
    """The tombstone is gone: the history has to answer."""
    assert combat.redis.delete(f"combat:result_cache:{document['session_id']}") == 1


# Finished fights ------------------------------------------------------------------------------------------------------


def test_a_finished_fight_is_told_from_the_tombstone_and_the_history_alike(worker, combat):
    hero, foe = combat.characters(2)
    document = fight_of(
        {
            hero: part(
                xp=1250, gold=100, gained={"wolf_pelt": 1},
                ui={"damage_dealt": 5000, "loot_obtained": [{"name": "Шкура волка", "qty": 1}]},
            ),
            foe: part(winner=False),
        }
    )
    combat.settle(document)
    answer = combat.result(document["session_id"], hero).result
    assert answer == {
        "status": "finished",
        "source": "tombstone",
        "is_last": True,
        "result": {
            "session_id": document["session_id"],
            "finish_reason": "victory",
            "winner_team": "blue",
            "finished_at": "2024-12-29T08:13:20.000Z",
            "is_winner": True,
            "xp_gained": 1250,
            "gold_gained": 100,
            "items_gained": [{"item_template_id": "wolf_pelt", "qty": 1}],
            "damage_dealt": 5000,
        },
        "message": "Бой уже завершен!\nПобедитель: Синие\nНаграда: 1250 опыта, 100 золота, Шкура волка ×1",
        "ui": {"clear_keyboard": True, "button": "view_result"},
    }
    loser = combat.result(document["session_id"], foe).result
    assert loser["message"] == "Бой уже завершен!\nПобедитель: Синие"
    assert loser["result"]["is_winner"] is False
    forget(combat, document)
    assert combat.result(document["session_id"], hero).result == {**answer, "source": "history"}
    assert combat.result(document["session_id"], foe).result == {**loser, "source": "history"}
    assert combat.last(hero).result == {**answer, "source": "history"}


MESSAGES = [
    ("ru", "red", "victory", "Бой уже завершен!\nПобедитель: Красные"),
    ("en", "red", "defeat", "The fight is over!\nWinner: Red"),
    ("en", "blue", "flee", "The fight is over!\nWinner: Blue"),
    ("ru", "Орки", "victory", "Бой уже завершен!\nПобедитель: Орки"),
    ("ru", "", "flee", "Бой уже завершен!"),
    ("ru", "blue", "draw", "Бой уже завершен!\nНичья"),
    ("en", "blue", "draw", "The fight is over!\nDraw"),
]


@pytest.mark.parametrize("lang, winner, reason, message", MESSAGES)
def test_messages(worker, combat, lang, winner, reason, message):
    hero = combat.character()
    document = fight_of({hero: part()}, winner=winner, reason=reason)
    combat.settle(document)
    assert combat.result(document["session_id"], hero, lang=lang).result["message"] == message
    forget(combat, document)
    assert combat.result(document["session_id"], hero, lang=lang).result["message"] == message


def test_rewards_are_named_as_the_templates_are(worker, combat):
    hero = combat.character()
    combat.template("claw", "Коготь", name_en="Claw")
    combat.template("bone", "Кость")
    document = fight_of({hero: part(gold=5, gained={"claw": 2, "bone": 1, "dust": 3})})
    combat.settle(document)
    texts = {
        "ru": "Бой уже завершен!\nПобедитель: Синие\nНаграда: 5 золота, Коготь ×2, Кость ×1, dust ×3",
        "en": "The fight is over!\nWinner: Blue\nReward: 5 gold, Claw ×2, Кость ×1, dust ×3",
    }
    for lang, text in texts.items():
        assert combat.result(document["session_id"], hero, lang=lang).result["message"] == text
    forget(combat, document)
    for lang, text in texts.items():
        assert combat.result(document["session_id"], hero, lang=lang).result["message"] == text
        assert combat.last(hero, lang=lang).result["message"] == text


def test_loot_by_name_is_what_was_gained(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part(ui={"loot_obtained": [{"name": "Шкура волка", "qty": 1}]})})
    combat.settle(document)
    for _ in range(2):
        answer = combat.result(document["session_id"], hero).result
        assert answer["result"]["items_gained"] == [{"item_template_id": "Шкура волка", "qty": 1}]
        assert answer["message"].endswith("Награда: Шкура волка ×1")
        combat.redis.delete(f"combat:result_cache:{document['session_id']}")


def test_is_last(worker, combat):
    hero = combat.character()
    first, second = fight_of({hero: part()}, end=1000), fight_of({hero: part()}, end=2000)
    combat.settle(first)
    combat.settle(second)
    for live in (False, True):
        if live:
            combat.context(hero, last_combat_session_id=second["session_id"])
        assert combat.result(first["session_id"], hero).result["is_last"] is False
        assert combat.result(second["session_id"], hero).result["is_last"] is True
    forget(combat, first)
    assert combat.result(first["session_id"], hero).result["is_last"] is False


def test_who_was_not_in_it_is_not_told(worker, combat):
    hero, stranger = combat.characters(2)
    document = fight_of({hero: part()})
    combat.settle(document)
    assert combat.result(document["session_id"], stranger).code == "forbidden"
    forget(combat, document)
    assert combat.result(document["session_id"], stranger).code == "forbidden"


def test_a_tombstone_that_cannot_be_read_is_none(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part(xp=3)})
    combat.settle(document)
    for broken in ("{", "[]", '{"session_id":5}'):
        combat.redis.set(f"combat:result_cache:{document['session_id']}", broken)
        answer = combat.result(document["session_id"], hero).result
        assert (answer["source"], answer["result"]["xp_gained"]) == ("history", 3)


# Fights that are not finished -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["combat:session:", "cs:"])
@pytest.mark.parametrize("kind", ["string", "hash"])
def test_a_live_session_alone_is_active(worker, combat, key, kind):
    hero, session = combat.character(), str(uuid.uuid4())
    if kind == "string":
        combat.redis.set(key + session, "{}")
    else:
        combat.redis.hset(key + session, "turn", 1)
    combat.context(hero, state="combat", combat_session_id=session)
    answer = combat.result(session, hero).result
    assert (answer["status"], answer["source"], answer["result"]) == ("active", "session", None)
    assert answer["message"]
    assert answer["ui"] == {"clear_keyboard": False, "button": None}


def test_a_live_session_does_not_bring_a_finished_fight_back(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part()})
    combat.settle(document)
    combat.redis.set(f"combat:session:{document['session_id']}", "{}")
    assert combat.result(document["session_id"], hero).result["status"] == "finished"
    forget(combat, document)
    assert combat.result(document["session_id"], hero).result["status"] == "finished"


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_a_fight_that_is_not_settled_yet_is_settling(worker, combat, status):
    hero, stranger = combat.characters(2)
    document = fight_of({hero: part()})
    combat.write_history(document, status)
    answer = combat.result(document["session_id"], hero).result
    assert (answer["status"], answer["source"], answer["result"]) == ("settling", "history", None)
    assert answer["ui"]["button"] is None
    assert combat.result(document["session_id"], stranger).code == "forbidden"
    assert combat.last(hero).result["status"] == "settling"


def test_a_fight_that_only_the_context_knows_is_settling(worker, combat):
    hero, session = combat.character(), str(uuid.uuid4())
    combat.context(hero, state="combat", combat_session_id=session)
    answer = combat.result(session, hero).result
    assert (answer["status"], answer["result"]) == ("settling", None)


@pytest.mark.services("state-backup")
def test_a_context_of_few_fields_that_names_the_fight_is_not_restored_away(worker, fleet, combat):
    """Another program wrote nothing but the state and the fight: a restore would make it idle."""
    fleet.start("state-backup")
    hero, session = combat.character(), str(uuid.uuid4())
    combat.redis.hset(f"ac:{hero}", mapping={"state": "combat", "combat_session_id": session})
    assert combat.result(session, hero).result["status"] == "settling"
    assert combat.redis.hget(f"ac:{hero}", "combat_session_id") == session


@pytest.mark.services("state-backup")
def test_a_live_session_that_is_restored_with_its_context_is_active(worker, fleet, combat, amqp):
    fleet.start("state-backup")
    hero, session = combat.character(), str(uuid.uuid4())
    combat.redis.set(f"combat:session:{session}", "{}")
    combat.context(hero, state="combat", combat_session_id=session)
    assert amqp.call("state-backup.backup_full_state", {"char_id": hero}).result["saved"]
    assert combat.redis.delete(f"ac:{hero}", f"combat:session:{session}") == 2
    assert combat.result(session, hero).result["status"] == "active"


@pytest.mark.parametrize(("lang", "message"), [("ru", "Бой уже завершен!"), ("en", "The fight is over!")])
def test_a_history_row_without_a_document_is_finished(worker, combat, lang, message):
    hero, session = combat.character(), str(uuid.uuid4())
    combat.sql(
        "INSERT INTO combat_history (session_id, participant_ids, finished_at, settlement_status, result_payload)"
        " VALUES (%s, ARRAY[%s]::bigint[], now(), 'processed', '{}')",
        session, hero,
    )  # fmt: skip
    answer = combat.result(session, hero, lang=lang).result
    assert (answer["status"], answer["source"], answer["result"]) == ("finished", "history", None)
    assert answer["message"] == message
    assert answer["ui"] == {"clear_keyboard": True, "button": None}
    assert combat.last(hero, lang=lang).result["status"] == "finished"


def test_an_unknown_fight(worker, combat):
    hero = combat.character()
    for lang, text in NOT_FOUND.items():
        reply = combat.result(str(uuid.uuid4()), hero, lang=lang)
        assert (reply.code, reply.error["message"], reply.error["retryable"]) == ("not_found", text, False)
        reply = combat.last(hero, lang=lang)
        assert (reply.code, reply.error["message"]) == ("not_found", text)


def scans(combat):
    """How often combat_history was looked into; the server's counters lag by up to ten seconds."""
    return combat.sql(
        "SELECT pg_stat_clear_snapshot()::text, seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'combat_history'"
    )[0][1]


def test_an_unknown_fight_costs_the_database_one_query(fleet, combat):
    fleet.start("combat-settlement")
    hero, session = combat.character(), str(uuid.uuid4())
    combat.context(hero)
    before = scans(combat)
    for _ in range(20):
        assert combat.result(session, hero).code == "not_found"
    assert 25 < combat.redis.ttl(f"combat:unknown:{session}") <= 30
    wait_for(lambda: scans(combat) > before, timeout=30, what="the query to be counted")
    assert scans(combat) == before + 1


def test_an_unknown_fight_is_looked_for_again_after_a_while(worker, combat):
    document = fight_of({combat.character(): part()})
    hero, session = int(next(iter(document["participants"]))), document["session_id"]
    assert combat.result(session, hero).code == "not_found"
    combat.write_history(document, "processed")
    assert combat.result(session, hero).code == "not_found"
    wait_for(lambda: combat.result(session, hero).ok, timeout=5, what="the unknown fight to be looked for again")


def test_an_unknown_fight_becomes_known_when_it_is_settled_or_fails(worker, combat):
    hero = combat.character()
    fine, doomed = fight_of({hero: part()}), fight_of({hero: part(), 999_111_999: part()})
    for document, status in ((fine, "finished"), (doomed, "settling")):
        assert combat.result(document["session_id"], hero).code == "not_found"
        combat.settle(document)
        assert combat.result(document["session_id"], hero).result["status"] == status
    combat.amqp.purge("game.combat-settlement.dead")


def test_the_newest_fight_is_by_end_then_session(worker, combat):
    hero = combat.character()
    low, high = sorted(str(uuid.uuid4()) for _ in range(2))
    for session, end in ((high, 2000), (low, 2000), (str(uuid.uuid4()), 1000)):
        combat.settle(fight_of({hero: part()}, session_id=session, end=end))
    assert combat.last(hero).result["result"]["session_id"] == high


@pytest.mark.parametrize("field, value", [("session_id", "x"), ("char_id", 0), ("char_id", None), ("lang", "de")])
def test_bad_questions(worker, combat, field, value):
    question = {"session_id": str(uuid.uuid4()), "char_id": 1, "lang": "ru", field: value}
    reply = combat.amqp.call("combat-settlement.get_combat_result", question)
    assert (reply.code, list(reply.fields)) == ("invalid_payload", [field])


def test_by_the_durable_lane_too(worker, combat):
    hero = combat.character()
    document = fight_of({hero: part()})
    combat.settle(document)
    reply = combat.amqp.send_and_wait(
        "combat-settlement.get_combat_result", {"session_id": document["session_id"], "char_id": hero}
    )
    assert reply.result["status"] == "finished"


# The belt -------------------------------------------------------------------------------------------------------------


def test_the_belt_is_what_is_equipped_in_its_two_slots(worker, combat):
    hero, foe = combat.characters(2)
    second = combat.item(hero, "bomb", 2, slot="belt_2")
    first = combat.item(hero, "pot", 5, slot="belt_1")
    combat.item(hero, "pot", 9)
    combat.item(hero, "sword", slot="weapon")
    combat.item(foe, "pot", 1, slot="belt_1")
    assert combat.belt(hero).result["items"] == [
        {"inventory_id": first, "item_template_id": "pot", "slot": "belt_1", "quantity": 5},
        {"inventory_id": second, "item_template_id": "bomb", "slot": "belt_2", "quantity": 2},
    ]


def test_an_empty_belt_and_nobodys(worker, combat):
    assert combat.belt(combat.character()).result == {"items": []}
    assert combat.belt(987_654_321).code == "not_found"


# A context that is not there ------------------------------------------------------------------------------------------


def test_a_missing_context_is_restored_first(worker, combat, amqp):
    """state-backup's part is played by the test."""
    hero, session = combat.character(), str(uuid.uuid4())
    other = combat.stack.amqp()
    asked = []

    def restore(channel, method, properties, body):
        asked.append(body)
        combat.context(hero, state="combat", combat_session_id=session)
        channel.basic_publish(
            "", properties.reply_to, b'{"ok":true,"result":{"restored":true,"state":"combat","sessions":{}}}',
            other._properties("x", {"correlation_id": properties.correlation_id, "type": None}),
        )

    channel = other.connection.channel()
    channel.basic_consume("game.state-backup.rpc", restore, auto_ack=True)
    ticket = amqp.request("combat-settlement.get_combat_result", {"session_id": session, "char_id": hero})
    wait_for(lambda: other.connection.process_data_events(time_limit=0.05) or asked, what="the restore")
    assert amqp.requests.wait(ticket, 10).result["status"] == "settling"
    other.close()
