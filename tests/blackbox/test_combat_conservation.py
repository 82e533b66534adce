"""Nothing is made or lost: thousands of random fights, some twice, some contradicting each other, some hopeless, some no fights at
all, through workers that are killed at random. In the end everybody has what the distinct valid fights add up to.

GARRISON_SEED repeats a run; the seed of each run is printed.
"""

import copy
import json
import os
import random
import time
import uuid
from collections import Counter, defaultdict

import pytest

from faults.mutation import forgetful_bin
from lib.combat import SERVICE, SETTLE, Combat, fight_of, part
from lib.fleet import Fleet
from lib.servers import ROOT
from lib.wait import wait_for

pytestmark = pytest.mark.services("combat-settlement", "ctl")

CHARACTERS = 60
STOCK = 400
LOOT = ("pelt", "claw", "Клык", "coin")
START_XP = 1000


class Crowd:
    """A seeded batch of messages, and what must come of them."""

    def __init__(self, combat, n, seed):
        self.combat = combat
        self.rng = random.Random(seed)
        self.ids = combat.characters(CHARACTERS)
        combat.sql("UPDATE characters SET xp = %s WHERE id = ANY(%s)", START_XP, self.ids)
        self.belts = {char_id: combat.item(char_id, "pot", STOCK, slot="belt_1") for char_id in self.ids}
        self.candidates = defaultdict(list)  # session: the documents that claim to be it
        self.hopeless = {}  # session: the document
        self.messages = []  # (message id, body)
        self.expected_dead = {}  # message id: codes it may have; for those that are certainly dead
        self.documents = {}  # message id: the document of a message that is one
        for i in range(n):
            self.add(i)
        self.rng.shuffle(self.messages)

    def number(self, largest):
        return self.rng.choice((0, self.rng.randint(1, largest)))

    def participant(self, char_id):
        rng = self.rng
        consumed = {self.belts[char_id]: ("pot", rng.randint(1, 5))} if rng.random() < 0.5 else None
        if rng.random() < 0.02:
            consumed = {self.belts[rng.choice(self.ids)]: ("pot", 1)}  # perhaps somebody else's
        gained = {rng.choice(LOOT): rng.randint(1, 9) for _ in range(rng.randint(0, 2))}
        ui = None
        if rng.random() < 0.1:
            gained, ui = None, {"loot_obtained": [{"name": rng.choice(LOOT), "qty": rng.randint(1, 3)}]}
        return part(
            winner=rng.random() < 0.5, xp=self.number(5000), gold=self.number(300), consumed=consumed, gained=gained, ui=ui,
            hp=rng.randint(-5, 120) if rng.random() < 0.8 else None, energy=rng.randint(0, 100) if rng.random() < 0.8 else None,
        )

    def fight(self):
        rng = self.rng
        members = rng.sample(self.ids, rng.choice((1, 2, 2, 2, 3, 5)))
        session = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        return fight_of({m: self.participant(m) for m in members}, session_id=session, end=1735460000 + rng.randint(0, 500))

    def send(self, body, dead=None, document=None):
        message_id = f"m-{len(self.messages)}"
        self.messages.append((message_id, body))
        if dead:
            self.expected_dead[message_id] = dead
        if document:
            self.documents[message_id] = document

    def spell(self, document):
        """One of many spellings of the same document."""
        keys = list(document)
        self.rng.shuffle(keys)
        return json.dumps({key: document[key] for key in keys}, indent=self.rng.choice((None, 1)), ensure_ascii=False).encode()

    def add(self, i):
        kind = self.rng.random()
        document = self.fight()
        if kind < 0.03:
            self.add_garbage(document)
        elif kind < 0.06:
            stranger = 5_000_000_000 + i
            document["participants"][str(stranger)] = part(winner=False)
            self.hopeless[document["session_id"]] = document
            self.send(self.spell(document), dead={"not_found"}, document=document)
        else:
            self.candidates[document["session_id"]].append(document)
            for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
                self.send(self.spell(document), document=document)
            if kind > 0.95:
                other = copy.deepcopy(document)
                next(iter(other["participants"].values()))["changes"]["xp_gained"] += 1
                self.candidates[document["session_id"]].append(other)
                self.send(self.spell(other), document=other)

    def add_garbage(self, document):
        text = json.dumps(document).encode()
        broken = self.rng.choice(("cut", "missing", "mistyped", "no json", "array"))
        if broken == "cut":
            self.send(text[: len(text) // 2], dead={"invalid_json"})
        elif broken == "missing":
            del document["meta"]["end_timestamp"]
            self.send(json.dumps(document).encode(), dead={"invalid_payload"})
        elif broken == "mistyped":
            next(iter(document["participants"].values()))["changes"]["gold_gained"] = "ten"
            self.send(json.dumps(document).encode(), dead={"invalid_payload"})
        elif broken == "no json":
            self.send(bytes(self.rng.randrange(256) for _ in range(40)) + b"\xff", dead={"invalid_json"})
        else:
            self.send(b"[" + text + b"]", dead={"invalid_payload"})

    def publish(self):
        amqp = self.combat.stack.amqp()
        for message_id, body in self.messages:
            amqp.publish(SETTLE, body, message_id=message_id)
        amqp.close()

    # What came of it ------------------------------------------------------------------------------------------------

    def settled(self):
        return self.combat.sql("SELECT count(*) FROM combat_history WHERE settlement_status = 'processed'")[0][0]

    def winners(self):
        """{session: the document that was settled}: of each session one of its candidates, and of no other session any."""
        rows = self.combat.sql(
            "SELECT session_id::text, result_payload FROM combat_history WHERE settlement_status = 'processed'"
        )
        assert {session for session, _ in rows} == set(self.candidates)
        for session, payload in rows:
            assert payload in self.candidates[session]
        return dict(rows)

    def check_sums(self, winners):
        xp, gold, spent = Counter(), Counter(), Counter()
        loot = defaultdict(Counter)
        owner_of = {belt: owner for owner, belt in self.belts.items()}
        for document in winners.values():
            for name, entry in document["participants"].items():
                char_id, changes = int(name), entry["changes"]
                xp[char_id] += changes["xp_gained"]
                gold[char_id] += changes["gold_gained"]
                for item in changes.get("items_consumed", []):
                    if owner_of[item["inventory_id"]] == char_id:
                        spent[char_id] += item["qty"]
                gained = changes.get("items_gained")
                if gained is None:
                    gained = [{"item_template_id": i["name"], "qty": i["qty"]} for i in entry["ui_report"]["loot_obtained"]]
                for item in gained:
                    loot[char_id][item["item_template_id"]] += item["qty"]
        for char_id in self.ids:
            assert self.combat.purse(char_id) == (START_XP + xp[char_id], gold[char_id]), char_id
            left = max(0, STOCK - spent[char_id])
            expected = {**loot[char_id], **({"pot": left} if left else {})}
            assert self.combat.items(char_id) == expected, char_id

    def check_vitals(self, winners):
        newest = defaultdict(dict)
        for document in sorted(winners.values(), key=lambda d: (d["meta"]["end_timestamp"], d["session_id"])):
            for name, entry in document["participants"].items():
                newest[int(name)]["last"] = document["session_id"]
                newest[int(name)].update(entry.get("state_snapshot", {}))
        for char_id, known in newest.items():
            cut = {gauge: min(max(known.get(gauge, 100), 0), 100) for gauge in ("hp", "energy")}
            assert self.combat.vitals(char_id) == (cut["hp"], cut["energy"]), char_id
            last = self.combat.sql("SELECT last_combat_session_id::text FROM characters WHERE id = %s", char_id)[0][0]
            assert last == known["last"], char_id

    def check_dead(self, dead, winners):
        """Exactly the hopeless ones, with their reasons. A worker that dies may leave one there twice, never lose one."""
        expected = dict(self.expected_dead)
        for message_id, document in self.documents.items():
            session = document["session_id"]
            if session in winners and document != winners[session]:
                expected[message_id] = {"conflict"}
        found = {message.properties.message_id: message for message in dead}
        assert set(found) == set(expected)
        for message_id, message in found.items():
            assert message.headers["g-code"] in expected[message_id], message
            assert message.headers["g-error"]
        for session in self.hopeless:
            status, failure, _ = self.combat.history(session)
            assert status == "failed"
            assert "character" in failure

    def check_events(self, events, winners):
        ids, bodies = defaultdict(set), defaultdict(set)
        for event in events:
            ids[event.body["session_id"]].add(event.properties.message_id)
            bodies[event.body["session_id"]].add(json.dumps(event.body, sort_keys=True))
        assert set(ids) == set(winners)
        assert all(len(some) == 1 for some in ids.values())
        assert all(len(some) == 1 for some in bodies.values())

    def check_cache(self, winners):
        """Nobody is left in a fight."""
        for session in winners:
            assert self.combat.redis.exists(f"combat:result_cache:{session}") == 1
        for char_id in self.ids:
            context = self.combat.redis.hgetall(f"ac:{char_id}")
            if context:
                assert context["state"] == "idle"
                assert "combat_session_id" not in context
                hp, energy = self.combat.vitals(char_id)
                vitals = json.loads(context["vitals"])
                assert (vitals["hp"]["cur"], vitals["energy"]["cur"]) == (hp, energy)


def seed_of_run():
    seed = int(os.environ.get("GARRISON_SEED", random.SystemRandom().randrange(2**32)))
    print(f"GARRISON_SEED={seed}")
    return seed


def all_over(combat, crowd):
    """Settled what can be, dead what cannot, and nothing on its way."""
    amqp = combat.amqp
    waiting = [f"game.{SERVICE}"] + [f"game.{SERVICE}.retry.{delay}" for delay in ("1s", "10s", "60s", "10m")]
    assert crowd.settled() >= len(crowd.candidates), f"{crowd.settled()} of {len(crowd.candidates)} settled"
    assert all(amqp.depth(queue) == 0 for queue in waiting), {queue: amqp.depth(queue) for queue in waiting}
    return True


def run(combat, fleet, crowd, kills):
    """Publishes, has it settled by two workers of which one is killed now and then, and judges."""
    events = combat.events()
    rng = random.Random(kills)
    for char_id in crowd.ids[::3]:
        combat.context(char_id, state="combat", combat_session_id=rng.choice(list(crowd.candidates)))
        combat.redis.hdel(f"ac:{char_id}", "combat_session_id")
    workers = [fleet.start(SERVICE) for _ in range(2)]
    crowd.publish()
    for _ in range(kills):
        victim = rng.randrange(2)
        workers[victim].kill()
        workers[victim] = fleet.start(SERVICE)
        time.sleep(rng.uniform(0, 0.2))  # kills are spread, not in step with anything
    wait_for(lambda: all_over(combat, crowd), timeout=120, what="everything to be settled or dead")
    fleet.stop()  # what a worker still held has gone back, or is done
    winners = crowd.winners()
    crowd.check_sums(winners)
    crowd.check_vitals(winners)
    crowd.check_dead(combat.amqp.drain(f"game.{SERVICE}.dead"), winners)
    crowd.check_events(events.all(), winners)
    crowd.check_cache(winners)


@pytest.fixture
def combat(stack, amqp):
    combat = Combat(stack, amqp)
    combat.sql("TRUNCATE characters, combat_history CASCADE")
    stack.redis.flushdb()
    for queue in (f"game.{SERVICE}", f"game.{SERVICE}.dead"):
        amqp.purge(queue)
    yield combat
    combat.close()


def test_everybody_has_what_the_distinct_valid_fights_add_up_to(combat, fleet):
    run(combat, fleet, Crowd(combat, 3000, seed_of_run()), kills=8)


@pytest.fixture(scope="module")
def forgetful_stack(stack, build):
    """The same stack with a worker that was built without idempotency."""
    if build != ROOT / "build/bin":
        pytest.skip("once is enough")
    forgetful = copy.copy(stack)
    forgetful.bin_dir = forgetful_bin()
    return forgetful


def test_without_idempotency_the_proof_fails(combat, forgetful_stack, tmp_path):
    fleet = Fleet(forgetful_stack, tmp_path)
    try:
        with pytest.raises(AssertionError) as failure:
            run(combat, fleet, Crowd(combat, 300, 1), kills=0)
        assert "waited" not in str(failure.value), "it failed for another reason"
    finally:
        fleet.stop()
