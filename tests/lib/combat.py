"""Fights as a game engine reports them, the characters in them, and what is asked about them."""

import json
import uuid

SETTLE = "combat-settlement.settle_combat"
SERVICE = "combat-settlement"


def fight(session_id=None, end=1735460000, winner="blue", reason="victory", **participants):
    """fight(p101=part(xp=5), p102=part()): a result document."""
    return {
        "session_id": session_id or str(uuid.uuid4()),
        "meta": {"end_timestamp": end, "winner_team": winner, "finish_reason": reason},
        "participants": {name[1:]: entry for name, entry in participants.items()},
    }


def fight_of(parts, **options):
    """The same with character ids as they are: fight_of({101: part(xp=5)})."""
    return {**fight(**options), "participants": {str(char_id): entry for char_id, entry in parts.items()}}


def part(winner=True, xp=0, gold=0, hp=None, energy=None, consumed=None, gained=None, wear=None, ui=None):
    """One participant; consumed {inventory_id: (template, qty)}, gained {template: qty}, wear {template: loss}."""
    changes = {"xp_gained": xp, "gold_gained": gold}
    if consumed is not None:
        changes["items_consumed"] = [
            {"inventory_id": item, "item_template_id": template, "qty": qty} for item, (template, qty) in consumed.items()
        ]
    if gained is not None:
        changes["items_gained"] = [{"item_template_id": template, "qty": qty} for template, qty in gained.items()]
    if wear is not None:
        changes["durability_loss"] = {"item:" + template: loss for template, loss in wear.items()}
    entry = {"is_winner": winner, "changes": changes}
    snapshot = {name: value for name, value in (("hp", hp), ("energy", energy)) if value is not None}
    if snapshot:
        entry["state_snapshot"] = snapshot
    if ui is not None:
        entry["ui_report"] = ui
    return entry


class Combat:
    def __init__(self, stack, amqp):
        self.stack = stack
        self.amqp = amqp
        self.redis = stack.redis
        self.database = stack.database()

    def close(self):
        self.database.close()

    def sql(self, statement, *values):
        with self.database.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else None

    # Characters and their things --------------------------------------------------------------------------------------

    def characters(self, n):
        return [row[0] for row in self.sql("INSERT INTO characters (name) SELECT '' FROM generate_series(1, %s) RETURNING id", n)]

    def character(self):
        return self.characters(1)[0]

    def item(self, owner, template, quantity=1, slot=None, durability=None):
        """A row of inventory, equipped where a slot is given; returns its id."""
        return self.sql(
            "INSERT INTO inventory (character_id, item_template_id, quantity, is_equipped, slot, durability)"
            " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
            owner, template, quantity, slot is not None, slot, durability,
        )[0][0]

    def template(self, template_id, name="", stackable=True, max_durability=None, name_en=None):
        self.sql(
            "INSERT INTO item_templates (id, name, name_en, stackable, max_durability) VALUES (%s, %s, %s, %s, %s)",
            template_id, name, name_en, stackable, max_durability,
        )

    def purse(self, char_id):
        """(xp, gold)"""
        return self.sql("SELECT xp, gold FROM characters WHERE id = %s", char_id)[0]

    def vitals(self, char_id):
        """(hp, energy)"""
        return self.sql(
            "SELECT (vitals #>> '{hp,cur}')::int, (vitals #>> '{energy,cur}')::int FROM characters WHERE id = %s", char_id
        )[0]

    def items(self, char_id):
        """{template: pieces in all}"""
        return {
            template: int(pieces)
            for template, pieces in self.sql(
                "SELECT item_template_id, sum(quantity) FROM inventory WHERE character_id = %s GROUP BY 1", char_id
            )
        }

    def quantity(self, inventory_id):
        rows = self.sql("SELECT quantity FROM inventory WHERE id = %s", inventory_id)
        return rows[0][0] if rows else None

    def durability(self, inventory_id):
        return self.sql("SELECT durability FROM inventory WHERE id = %s", inventory_id)[0][0]

    def stage(self, char_id):
        return self.sql("SELECT game_stage FROM characters WHERE id = %s", char_id)[0][0]

    def context(self, char_id, **fields):
        """A live ac:{id}."""
        live = {
            "state": "idle",
            "bio": "{}",
            "stats": "{}",
            "vitals": '{"hp":{"cur":100,"max":100},"energy":{"cur":100,"max":100}}',
            "location": '{"current":"camp","prev":null}',
        }
        self.redis.hset(f"ac:{char_id}", mapping={**live, **fields})

    # Commands ---------------------------------------------------------------------------------------------------------

    def settle(self, document, timeout=20, **options):
        return self.amqp.send_and_wait(SETTLE, document, timeout, **options)

    def publish(self, document, **options):
        self.amqp.publish(SETTLE, document, **options)

    def result(self, session_id, char_id, **more):
        return self.amqp.call(f"{SERVICE}.get_combat_result", {"session_id": session_id, "char_id": char_id, **more})

    def last(self, char_id, **more):
        return self.amqp.call(f"{SERVICE}.get_last_combat", {"char_id": char_id, **more})

    def belt(self, char_id):
        return self.amqp.call(f"{SERVICE}.assemble_belt", {"char_id": char_id})

    def events(self):
        return self.amqp.events("combat-settlement.settled")

    # The history ------------------------------------------------------------------------------------------------------

    def history(self, session_id):
        """(settlement_status, failure, shortfalls), or None."""
        rows = self.sql(
            "SELECT settlement_status, failure, shortfalls FROM combat_history WHERE session_id = %s", session_id
        )
        return rows[0] if rows else None

    def status(self, session_id):
        row = self.history(session_id)
        return row and row[0]

    def write_history(self, document, status, ids=None):
        """A row by another hand, without this service's own columns."""
        self.sql(
            "INSERT INTO combat_history (session_id, participant_ids, finished_at, settlement_status, result_payload)"
            " VALUES (%s, %s, to_timestamp(%s), %s, %s)",
            document["session_id"], ids or [int(id) for id in document["participants"]],
            document["meta"]["end_timestamp"], status, json.dumps(document),
        )
