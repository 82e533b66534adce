"""Settlement as a Celery task with psycopg2: what a Python shop with a task queue would write.

    CONCURRENCY=8 PREFETCH=4 python3 -m celery -A celery_settlement worker --concurrency 8 -O fair

The queue is a quorum queue that is there already; messages are persistent and acked when the task is done; the event is published
with a confirm. CONCURRENCY is processes, PREFETCH messages for each of them.
"""

import hashlib
import json
import os
from datetime import datetime, timezone

import psycopg2
import redis
from celery import Celery
from celery.signals import worker_process_init
from kombu import Exchange, Queue
from kombu.transport.pyamqp import Transport
from psycopg2.extras import Json, execute_values

# Quorum queues know no prefetch for a whole channel, which this Celery asks of every RabbitMQ; so it is told to ask each consumer's.
Transport.qos_semantics_matches_spec = lambda self, connection: True

QUEUE = "peer.settlement"
EVENTS = Exchange("game.events", "topic", no_declare=True)
TOMBSTONE_MS = 24 * 3600 * 1000

app = Celery("celery_settlement", broker=os.environ["AMQP_URL"])
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_queues=[Queue(QUEUE, Exchange(""), routing_key=QUEUE, no_declare=True)],
    task_default_queue=QUEUE,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", 4)),
    worker_enable_remote_control=False,
)

database = cache = None


@worker_process_init.connect
def connect(**_):
    global database, cache
    database = psycopg2.connect(os.environ["DATABASE_URL"])
    cache = redis.Redis.from_url(os.environ["REDIS_URL"])


class Conflict(Exception):
    """The same session with another document."""


def claim(cursor, document, digest):
    """False when the fight was settled before."""
    cursor.execute(
        "INSERT INTO combat_history (session_id, participant_ids, finished_at, settlement_status, result_payload, doc_hash, settled_at)"
        " VALUES (%s, %s, to_timestamp(%s), 'processed', %s, %s, now()) ON CONFLICT (session_id) DO NOTHING",
        (
            document["session_id"],
            sorted(int(id) for id in document["participants"]),
            document["meta"]["end_timestamp"],
            Json(document),
            digest,
        ),
    )
    if cursor.rowcount:
        return True
    cursor.execute("SELECT doc_hash FROM combat_history WHERE session_id = %s", (document["session_id"],))
    if bytes(cursor.fetchone()[0]) != digest:
        raise Conflict(document["session_id"])
    return False


def change_characters(cursor, document, people):
    session, ended = document["session_id"], datetime.fromtimestamp(document["meta"]["end_timestamp"], timezone.utc)
    cursor.execute(
        "SELECT id, vitals, last_combat_at, last_combat_session_id::text FROM characters WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
        (sorted(people),),
    )
    rows = []
    for id, vitals, last_at, last_session in cursor.fetchall():
        person = people[id]
        if last_at is None or (last_at, last_session) < (ended, session):  # else a newer fight has set the vitals
            last_at, last_session = ended, session
            for name in ("hp", "energy"):
                vitals[name]["cur"] = min(person["state_snapshot"][name], vitals[name]["max"])
        changes = person["changes"]
        rows.append((id, changes["xp_gained"], changes["gold_gained"], json.dumps(vitals), last_at, last_session))
    if len(rows) != len(people):
        raise LookupError("an unknown character")
    execute_values(
        cursor,
        "UPDATE characters c SET xp = c.xp + d.xp, gold = c.gold + d.gold, vitals = d.vitals::jsonb,"
        " last_combat_at = d.at, last_combat_session_id = d.session::uuid, hp_set_at = d.at, hp_set_by = d.session::uuid,"
        " energy_set_at = d.at, energy_set_by = d.session::uuid,"
        " game_stage = CASE WHEN c.game_stage = 'combat' THEN 'idle' ELSE c.game_stage END, updated_at = now()"
        " FROM (VALUES %s) AS d (id, xp, gold, vitals, at, session) WHERE c.id = d.id",
        rows,
    )


def consume(cursor, people):
    rows = [
        (item["inventory_id"], id, item["item_template_id"], item["qty"])
        for id, person in people.items()
        for item in person["changes"].get("items_consumed", [])
    ]
    if not rows:
        return
    left = execute_values(
        cursor,
        "UPDATE inventory i SET quantity = i.quantity - least(i.quantity, d.qty) FROM (VALUES %s) AS d (id, owner, template, qty)"
        " WHERE i.id = d.id AND i.character_id = d.owner AND i.item_template_id = d.template RETURNING i.id, i.quantity",
        rows,
        fetch=True,
    )
    used_up = [id for id, quantity in left if quantity == 0]
    if used_up:
        cursor.execute("DELETE FROM inventory WHERE id = ANY(%s)", (used_up,))


def gain(cursor, people):
    rows = {
        (id, item["item_template_id"]): item["qty"]
        for id, person in people.items()
        for item in person["changes"].get("items_gained", [])
    }
    if not rows:
        return
    stacked = execute_values(
        cursor,
        "UPDATE inventory i SET quantity = i.quantity + d.qty FROM (VALUES %s) AS d (owner, template, qty)"
        " WHERE i.id = (SELECT min(s.id) FROM inventory s WHERE s.character_id = d.owner AND s.item_template_id = d.template"
        " AND NOT s.is_equipped) RETURNING d.owner, d.template",
        [(*key, qty) for key, qty in rows.items()],
        fetch=True,
    )
    new = [(*key, qty) for key, qty in rows.items() if key not in stacked]
    if new:
        execute_values(cursor, "INSERT INTO inventory (character_id, item_template_id, quantity) VALUES %s", new)


def wear(cursor, people):
    rows = [
        (id, key.partition(":")[2], loss)
        for id, person in people.items()
        for key, loss in person["changes"].get("durability_loss", {}).items()
    ]
    if rows:
        execute_values(
            cursor,
            "UPDATE inventory i SET durability = greatest(0, i.durability - d.loss) FROM (VALUES %s) AS d (owner, template, loss)"
            " WHERE i.id = (SELECT min(s.id) FROM inventory s WHERE s.character_id = d.owner"
            " AND s.item_template_id = d.template AND s.is_equipped)",
            rows,
        )


def settle_in_database(document, people):
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.blake2b(text.encode(), digest_size=32).digest()
    with database, database.cursor() as cursor:  # one transaction
        if claim(cursor, document, digest):
            change_characters(cursor, document, people)
            consume(cursor, people)
            gain(cursor, people)
            wear(cursor, people)
            cursor.execute(
                "DELETE FROM session_snapshots WHERE kind = 'combat' AND session_id = %s", (document["session_id"],)
            )


def share(person):
    changes, report = person["changes"], person.get("ui_report", {})
    gained = [
        {**item, "name": told["name"]}
        for item, told in zip(changes.get("items_gained", []), report.get("loot_obtained", []), strict=True)
    ]
    return {
        "is_winner": person["is_winner"],
        "xp_gained": changes["xp_gained"],
        "gold_gained": changes["gold_gained"],
        "items_gained": gained,
        "damage_dealt": report.get("damage_dealt", 0),
    }


def summary(document):
    meta = document["meta"]
    return {
        "session_id": document["session_id"],
        "finish_reason": meta["finish_reason"],
        "winner_team": meta["winner_team"],
        "finished_at": datetime.fromtimestamp(meta["end_timestamp"], timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "participants": {id: share(person) for id, person in document["participants"].items()},
    }


def end_session(session, tombstone):
    with cache.pipeline(transaction=False) as pipeline:
        pipeline.set(f"combat:result_cache:{session}", json.dumps(tombstone), px=TOMBSTONE_MS)
        pipeline.delete(f"combat:session:{session}", f"cs:{session}", f"combat:unknown:{session}")
        pipeline.execute()


def publish_settled(tombstone):
    about = {key: value for key, value in tombstone.items() if key != "participants"}
    participants = {}
    for id, result in tombstone["participants"].items():
        items = [{"item_template_id": item["item_template_id"], "qty": item["qty"]} for item in result["items_gained"]]
        participants[id] = {**about, **result, "items_gained": items}
    event = {"session_id": about["session_id"], "participants": participants, "shortfalls": []}
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            event,
            exchange=EVENTS,
            routing_key="combat-settlement.settled",
            message_id="settled-" + about["session_id"],
            type="settled",
            delivery_mode=2,
            retry=True,
        )


@app.task(
    name="settle_combat",
    autoretry_for=(psycopg2.OperationalError, redis.ConnectionError),
    retry_backoff=True,
    max_retries=5,
)
def settle_combat(document):
    people = {int(id): person for id, person in document["participants"].items()}
    settle_in_database(document, people)
    tombstone = summary(document)
    end_session(document["session_id"], tombstone)
    publish_settled(tombstone)
