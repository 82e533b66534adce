"""Players, the game's engine and a bot: all that goes into the fleet while it is harmed, and a note of each thing.

Each actor is a thread with numbers of its own, drawn from the run's seed. What it cannot send it sends again, under the same ids;
what is not answered it asks again. So what was meant is always known, whatever became of the connection.
"""

import json
import random
import threading
import time
import uuid

import pika
import psycopg2
import redis
import requests

from lib.combat import SETTLE, fight_of, part
from lib.gateway import SERVICE_TOKEN

STOCK = 10**6  # potions of each character: never short
LOOT = ("pelt_wolf", "ore_iron", "silk_bolt")
CALL_TIMEOUT_S = 5
FIGHTERS, WORKERS_AWAY, DUELISTS, WALKERS = 30, 30, 12, 20
TROUBLE = (pika.exceptions.AMQPError, OSError, redis.RedisError, requests.RequestException, psycopg2.Error)


class Unanswered(Exception):
    """No answer in time, or one that says: later."""


class Actor(threading.Thread):
    """Does step() again and again while not paused."""

    every_s = 0.1

    def __init__(self, world, history, seed):
        super().__init__(daemon=True, name=type(self).__name__)
        self.world, self.history = world, history
        self.rng = random.Random(f"{seed}-{self.name}")
        self.going, self.at_rest, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.amqp = None
        self.failure = None

    def run(self):
        try:
            while not self.ended.is_set():
                if not self.going.is_set() and self.may_rest():
                    self.at_rest.set()
                    self.going.wait(0.2)
                    continue
                self.at_rest.clear()
                self.try_step()
        except BaseException as failure:
            self.failure = failure
            raise

    def try_step(self):
        try:
            self.step()
        except (Unanswered, *TROUBLE) as trouble:
            self.history.note("trouble", actor=self.name, what=repr(trouble)[:200])
            self.forget_connection()
            self.ended.wait(0.2)
        self.ended.wait(self.every_s * self.rng.uniform(0.5, 1.5))

    def may_rest(self):
        """Nothing is half done."""
        return True

    def step(self):
        raise NotImplementedError

    # By the broker ----------------------------------------------------------------------------------------------------

    def forget_connection(self):
        amqp, self.amqp = self.amqp, None
        try:
            if amqp:
                amqp.close()
        except TROUBLE:
            pass

    def connection(self):
        if not self.amqp:
            self.amqp = self.world.stack.amqp()
        return self.amqp

    def call(self, key, **body):
        """A request's result; None where it was refused as conflict."""
        connection = self.connection()
        began = time.monotonic()
        try:
            reply = connection.call(key, body, timeout=CALL_TIMEOUT_S, expiration=str(CALL_TIMEOUT_S * 1000))
        except AssertionError as error:
            if "waited" not in str(error):
                self.history.note("untrue", key=key, what=str(error))
            raise Unanswered(str(error)) from None
        finally:
            self.history.note("call", key=key, ms=round((time.monotonic() - began) * 1000))
        if reply.ok:
            return reply.result
        if reply.code == "conflict":
            return None
        if reply.error["retryable"] or reply.code in ("unavailable", "timeout"):
            raise Unanswered(reply.code)
        self.history.note("untrue", key=key, what=f"{body}: {reply.body}")
        raise Unanswered(reply.code)


# Fights -----------------------------------------------------------------------------------------------------------------


class Engine(Actor):
    """Reports fights, each until the broker or the gateway has confirmed it; some twice."""

    every_s = 0.1

    def __init__(self, world, history, seed, ids, belts):
        super().__init__(world, history, seed)
        self.ids, self.belts = ids, belts
        self.documents = {}  # session: what was meant
        self.confirmed = set()
        self.pending = []  # documents still to be confirmed
        self.battles = {}  # session: when players were first told of it
        self.lock = threading.Lock()

    def may_rest(self):
        with self.lock:
            return not self.pending

    def fight(self, session, members, rng):
        parts = {}
        for char_id in members:
            consumed = {self.belts[char_id]: ("pot", rng.randint(1, 3))} if char_id in self.belts and rng.random() < 0.4 else None
            parts[char_id] = part(
                winner=rng.random() < 0.5, xp=rng.randint(0, 500), gold=rng.randint(0, 50), consumed=consumed,
                gained={rng.choice(LOOT): rng.randint(1, 3)} if rng.random() < 0.5 else {}, hp=rng.randint(0, 100),
                energy=rng.randint(0, 100),
            )  # fmt: skip
        document = fight_of(parts, session_id=session, end=int(time.time()))
        self.documents[session] = document
        self.history.note("fight", session=session, members=members)
        return document

    def add_battle(self, session, members):
        """A battle of the arena is fought; told by any number of players."""
        with self.lock:
            if session not in self.battles:
                self.battles[session] = time.time()
                self.pending.append(self.fight(session, members, random.Random(session)))

    def step(self):
        with self.lock:
            if not self.pending:
                session = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
                members = self.rng.sample(self.ids, self.rng.choice((1, 2, 2, 3)))
                self.pending.append(self.fight(session, members, self.rng))
            document = self.pending[0]
        self.report(document)
        if self.rng.random() < 0.1:
            self.report(document)
        self.confirmed.add(document["session_id"])
        self.history.note("confirmed", session=document["session_id"])
        with self.lock:
            self.pending.remove(document)

    def report(self, document):
        if self.rng.random() < 0.8:
            self.connection().publish(SETTLE, document, message_id=document["session_id"])
            return
        began = time.monotonic()
        response = post(self.world.gateway.url + "/commands/combat-settlement/settle_combat", document, SERVICE_TOKEN,
                        {"Idempotency-Key": document["session_id"]})  # fmt: skip
        self.history.note("call", key="POST /commands", ms=round((time.monotonic() - began) * 1000))
        if response.status_code != 202:
            raise Unanswered(f"HTTP {response.status_code}")

    def burst(self, rng, n=60, pad=0, headers=None):
        """So many fights at once, that workers have something in hand; pad: bytes that each has in excess. By the caller's thread."""
        amqp = self.world.stack.amqp()
        with self.lock:
            sessions = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(n)]
            documents = [self.fight(session, rng.sample(self.ids, 2), rng) for session in sessions]
        for document in documents:
            if pad:
                document["replay_log"] = ["x" * pad]
            amqp.publish(SETTLE, document, message_id=document["session_id"], headers=headers)
            self.confirmed.add(document["session_id"])
        amqp.close()

    def replay(self, documents, rng):
        """All of them again, in another order. By the caller's thread."""
        amqp = self.world.stack.amqp()
        documents = list(documents)
        rng.shuffle(documents)
        for document in documents:
            amqp.publish(SETTLE, document, message_id=document["session_id"])
        amqp.close()
        return len(documents)


def post(url, body, token=None, headers=()):
    with requests.Session() as session:
        session.trust_env = False
        headers = {**dict(headers), **({"Authorization": "Bearer " + token} if token else {})}
        return session.post(url, json=body, headers=headers, timeout=20)


# Ticks ------------------------------------------------------------------------------------------------------------------


class Foreman(Actor):
    """Sends characters to work and calls them back by durable commands; goes on once an order shows."""

    every_s = 0.05

    def __init__(self, world, history, seed, ids):
        super().__init__(world, history, seed)
        self.ids = ids
        self.n = 0
        self.wanted = {}  # character: whether it is to be at work, as last confirmed
        self.order = None  # the one that does not show yet

    def may_rest(self):
        return not self.order

    def next_character(self):
        """First all are sent to work, then half of them are called back and sent again, in turn: so slowly that no more than the
        newest two orders for one are unacknowledged at a time. tick knows those two again, however late they come."""
        self.n += 1
        if self.n <= len(self.ids):
            return self.ids[self.n - 1]
        self.every_s = 1.0
        return self.ids[self.n % (len(self.ids) // 2)]

    def step(self):
        if not self.order:
            char_id = self.next_character()
            start = not self.wanted.get(char_id)
            self.order = {"char_id": char_id, "start": start, "id": f"order-{self.rng.getrandbits(64):x}", "sent": False}
        order = self.order
        if not order["sent"]:
            body = {"player_id": order["char_id"], **({"active_category": "general"} if order["start"] else {})}
            key = "tick.start_auto_session" if order["start"] else "tick.delete_auto_session"
            self.connection().publish(key, body, message_id=order["id"])
            order["sent"] = True
            self.wanted[order["char_id"]] = order["start"]
            self.history.note("order", **order)
        if self.call("tick.get_auto_session_status", player_id=order["char_id"])["active"] == order["start"]:
            self.order = None


# The arena --------------------------------------------------------------------------------------------------------------


class Duelists(Actor):
    """Join, look, and tell the engine of their battles; who is refused looks why."""

    every_s = 0.03

    def __init__(self, world, history, seed, ids, engine):
        super().__init__(world, history, seed)
        self.ids, self.engine = ids, engine
        self.waiting = dict.fromkeys(ids, False)

    def step(self):
        char_id = self.rng.choice(self.ids)
        if not self.waiting[char_id] and self.call("arena.join_queue", char_id=char_id, mode="1v1"):
            self.waiting[char_id] = True
            return
        answer = self.call("arena.check_match", char_id=char_id, mode="1v1")
        if answer["status"] == "matched":
            battle = answer["battle"]
            self.engine.add_battle(battle["session_id"], [p["char_id"] for p in battle["participants"]])
        self.waiting[char_id] = answer["status"] == "waiting"


# Characters' state --------------------------------------------------------------------------------------------------------


class Walkers(Actor):
    """A bot that writes to live contexts and marks them, as any program may."""

    every_s = 0.05

    def __init__(self, world, history, seed, ids):
        super().__init__(world, history, seed)
        self.ids = ids
        self.n = 0
        self.places = {char_id: [] for char_id in ids}  # the last write that Redis confirmed, and later ones; empty: not known
        self.forgotten = 0  # how often Redis was emptied
        self.unmarked = None  # a character that was written and not marked yet
        self.redis = None

    def may_rest(self):
        return self.unmarked is None

    def forget(self):
        """Redis was emptied: what it has confirmed may be gone. Called by another thread."""
        self.forgotten += 1
        for char_id in self.ids:
            self.places[char_id] = []

    def step(self):
        self.redis = self.redis or self.world.redis()
        if self.unmarked is None:
            self.write(self.rng.choice(self.ids))
        self.redis.sadd("dirty_accounts", self.unmarked)
        self.unmarked = None

    def write(self, char_id):
        if not self.redis.hexists(f"ac:{char_id}", "state"):
            self.call("state-backup.restore_full_state", char_id=char_id)
        self.n += 1
        forgotten = self.forgotten
        place = f"place-{self.n}"
        if self.places[char_id]:
            self.places[char_id].append(place)
        self.unmarked = char_id
        self.redis.hset(f"ac:{char_id}", "location", json.dumps({"current": place, "prev": None}))
        self.places[char_id] = [place] if forgotten == self.forgotten else []


# Accounts -----------------------------------------------------------------------------------------------------------------


class Newcomers(Actor):
    """Register, log in and make a character through the gateway, each until it is answered."""

    every_s = 1.0

    def __init__(self, world, history, seed):
        super().__init__(world, history, seed)
        self.person = None
        self.made = {}  # login: character

    def may_rest(self):
        return not self.person

    def post(self, path, body, expected, token=None, headers=()):
        began = time.monotonic()
        try:
            response = post(self.world.gateway.url + path, body, token, headers)
        finally:
            self.history.note("call", key=path, ms=round((time.monotonic() - began) * 1000))
        if response.status_code in expected:
            return response.json()
        if response.status_code not in (429, 503, 504):
            self.history.note("untrue", key=path, what=f"HTTP {response.status_code} {response.text[:300]}")
        raise Unanswered(f"HTTP {response.status_code}")

    def step(self):
        if not self.person:
            self.person = {"login": f"new-{self.rng.getrandbits(64):x}", "password": "a long password", "asked": False}
        person = {name: self.person[name] for name in ("login", "password")}
        if not self.person.get("registered"):
            # 409: an earlier attempt whose answer was lost
            self.post("/auth/register", person, (201, 409) if self.person["asked"] else (201,))
            self.person["registered"] = True
            self.history.note("account", login=person["login"])
        token = self.post("/auth/login", person, (200,))["access_token"]
        answer = self.post("/auth/characters", {"name": "Newcomer", "gender": "other"}, (200, 201), token,
                           {"Idempotency-Key": person["login"]})  # fmt: skip
        self.made[person["login"]] = answer["char_id"]
        self.history.note("character", login=person["login"], char_id=answer["char_id"])
        self.person = None

    def forget_connection(self):
        if self.person:
            self.person["asked"] = True
        super().forget_connection()


# All of them --------------------------------------------------------------------------------------------------------------


class Load:
    def __init__(self, world, history, seed):
        tick = world.tick()
        tick.keep_ledger()
        tick.rules(xp=10, gold=3, loot='[{"item_template_id": "herb_sage", "weight": 1}]')
        ids = tick.characters(FIGHTERS + WORKERS_AWAY + DUELISTS + WALKERS)
        tick.sql(
            "INSERT INTO inventory (character_id, item_template_id, quantity, is_equipped, slot)"
            " SELECT unnest(%s), 'pot', %s, true, 'belt_1'", ids, STOCK,
        )  # fmt: skip
        self.belts = dict(tick.sql("SELECT character_id, id FROM inventory WHERE item_template_id = 'pot'"))
        tick.close()
        self.ids = ids
        fighters, away = ids[:FIGHTERS], ids[FIGHTERS : FIGHTERS + WORKERS_AWAY]
        duelists, walkers = ids[-WALKERS - DUELISTS : -WALKERS], ids[-WALKERS:]
        self.engine = Engine(world, history, seed, fighters + away[:10], self.belts)
        self.foreman = Foreman(world, history, seed, away)
        self.duelists = Duelists(world, history, seed, duelists, self.engine)
        self.walkers = Walkers(world, history, seed, walkers)
        self.newcomers = Newcomers(world, history, seed)
        self.actors = [self.duelists, self.engine, self.foreman, self.walkers, self.newcomers]
        for actor in self.actors:
            actor.start()

    def go(self):
        for actor in self.actors:
            actor.going.set()

    def rest(self, timeout_s=60):
        """Each comes to the end of what it does; players first, for the engine fights their battles."""
        end = time.monotonic() + timeout_s
        for actor in self.actors:
            actor.going.clear()
            actor.at_rest.clear()
            while not actor.at_rest.wait(0.05):
                assert actor.failure is None and actor.is_alive(), f"{actor.name} failed: {actor.failure!r}"
                assert time.monotonic() < end, f"{actor.name} does not come to an end: {vars(actor).get('order') or vars(actor).get('pending') or vars(actor).get('person')}"

    def stop(self):
        for actor in self.actors:
            actor.ended.set()
            actor.going.set()
        for actor in self.actors:
            actor.join(30)
