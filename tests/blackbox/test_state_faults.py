"""state-backup while writers never stop, workers die anywhere and Redis is emptied: no mark lost, never older over newer.

Every write raises a character's version. Triggers in the database note each row whose version goes down.
"""

import json
import os
import random
import threading
import time
import uuid

import pytest
import redis as redis_module

from lib.fleet import Fleet
from lib.stack import Stack
from lib.wait import wait_for

pytestmark = pytest.mark.services("state-backup")

CHARACTERS = 120
SECONDS = float(os.environ.get("GARRISON_FAULT_SECONDS", "12"))
RESTORE = "state-backup.restore_full_state"

GUARD = """
CREATE TABLE regressions (what text, id bigint, old bigint, new bigint, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION guard_character() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF (NEW.vitals->>'version')::bigint < (OLD.vitals->>'version')::bigint THEN
		INSERT INTO regressions VALUES ('vitals', NEW.id, (OLD.vitals->>'version')::bigint, (NEW.vitals->>'version')::bigint);
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER guard AFTER UPDATE ON characters FOR EACH ROW EXECUTE FUNCTION guard_character();
CREATE FUNCTION guard_session() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF convert_from(NEW.payload, 'UTF8')::bigint < convert_from(OLD.payload, 'UTF8')::bigint THEN
		INSERT INTO regressions VALUES ('session', NEW.character_id, convert_from(OLD.payload, 'UTF8')::bigint,
			convert_from(NEW.payload, 'UTF8')::bigint);
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER guard AFTER UPDATE ON session_snapshots FOR EACH ROW EXECUTE FUNCTION guard_session();
"""


class Writer(threading.Thread):
    """Owns some characters: raises their versions without end, and has a cache restored that is gone."""

    def __init__(self, stack, ids, sessions):
        super().__init__()
        self.redis = redis_module.Redis.from_url(stack.redis_url, decode_responses=True, socket_timeout=20)
        self.amqp = stack.amqp()
        self.versions = dict.fromkeys(ids, 0)
        self.sessions = sessions
        self.written = self.restored = 0
        self.problems = []
        self.stopping = threading.Event()

    def restore(self, char_id):
        reply = self.amqp.call(RESTORE, {"char_id": char_id}, timeout=30)
        if not reply.ok:
            return  # a worker died on it, or is overwhelmed: again at the next write
        self.restored += reply.result["restored"]
        session = self.sessions.get(char_id)
        if session and reply.result["state"] == "scenario" and not self.redis.exists(f"scenario:session:{session}"):
            # gone again already if Redis was emptied in between; then the cache is as well
            if self.redis.exists(f"ac:{char_id}"):
                self.problems.append(f"{char_id} was restored without its session")

    def write(self, char_id):
        key = f"ac:{char_id}"
        if self.redis.hmget(key, "state", "bio").count(None):
            return self.restore(char_id)
        self.versions[char_id] += 1
        version = self.versions[char_id]
        session = self.sessions.get(char_id)
        # Three commands, as a careless game server would; the mark comes last.
        if session:
            self.redis.set(f"scenario:session:{session}", version, ex=3600)
        self.redis.hset(key, "vitals", json.dumps({"version": version, "hp": {"cur": 1, "max": 2}}))
        self.redis.sadd("dirty_accounts", char_id)
        self.written += 1
        return None

    def run(self):
        ids = list(self.versions)
        while not self.stopping.is_set():
            try:
                self.write(random.choice(ids))
            except AssertionError:
                pass  # no reply: the worker that had the request was killed
            except Exception as problem:  # noqa: BLE001 # told in the test's thread
                self.problems.append(repr(problem))
                return


def start_worker(fleet):
    return fleet.start(
        "state-backup",
        ready=False,
        backup_interval="20ms",
        backup_batch_size=40,
        retry_delays="1s",
        log_level="warn",
    )


def hurt(fleet, workers):
    """Kill one of the workers, or put one to sleep past everybody's patience."""
    place = random.randrange(len(workers))
    if random.random() < 0.7:
        workers[place].kill()
        workers[place] = start_worker(fleet)
        return "kill"
    workers[place].pause()
    wait_for(lambda: state_of(workers[place]) == "T", 5)
    return "pause"


@pytest.fixture
def guarded(servers, build, tmp_path):
    """A stack whose database notes every step back."""
    stack = Stack(servers, build)
    fleet = Fleet(stack, tmp_path)
    try:
        stack.create()
        stack.database().cursor().execute(GUARD)
        yield stack, fleet
    finally:
        fleet.stop()
        stack.remove()


@pytest.mark.parametrize("emptied", [False, True], ids=["redis-stays", "redis-emptied"])
def test_no_mark_lost_and_never_older_over_newer(guarded, emptied):
    stack, fleet = guarded
    seed = random.randrange(1 << 32)
    random.seed(seed)
    print("seed", seed)
    cursor = stack.database().cursor()
    cursor.execute("INSERT INTO characters (name) SELECT 'n' FROM generate_series(1, %s) RETURNING id", (CHARACTERS,))
    ids = [row[0] for row in cursor.fetchall()]
    sessions = {char_id: str(uuid.uuid4()) for char_id in ids[::3]}
    for char_id in ids:
        cache = {"state": "idle", "bio": '{"name": "n"}'}
        if char_id in sessions:
            cache = {"state": "scenario", "bio": "{}", "scenario_session_id": sessions[char_id]}
            stack.redis.set(f"scenario:session:{sessions[char_id]}", 0, ex=3600)
        stack.redis.hset(f"ac:{char_id}", mapping=cache)
    stack.redis.sadd("dirty_accounts", *ids)
    workers = [start_worker(fleet) for _ in range(3)]
    # Every session is saved once before Redis may lose it.
    wait_for(
        lambda: (cursor.execute("SELECT count(*) FROM session_snapshots"), cursor.fetchone())[1] == (len(sessions),), 30
    )

    writers = [Writer(stack, ids[i::3], sessions) for i in range(3)]
    for writer in writers:
        writer.start()
    done = {"kill": 0, "pause": 0, "empty": 0}
    asleep = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(random.uniform(0.1, 0.5))  # the pace of misfortune
        if emptied and random.random() < 0.3:
            stack.redis.flushdb()
            done["empty"] += 1
        elif len(asleep) < 2:
            what = hurt(fleet, workers)
            done[what] += 1
            if what == "pause":
                asleep += [(time.monotonic() + random.choice([0.3, 6.5]), w) for w in workers if w not in [a[1] for a in asleep] and state_of(w) == "T"]
        for wakes, worker in list(asleep):
            if time.monotonic() > wakes or worker not in workers:
                if worker.running:
                    worker.resume()
                asleep.remove((wakes, worker))
    for _, worker in asleep:
        if worker.running:
            worker.resume()
    for writer in writers:
        writer.stopping.set()
    for writer in writers:
        writer.join(60)
        assert not writer.problems, writer.problems
    print(done, "written", sum(w.written for w in writers), "restored", sum(w.restored for w in writers))
    assert done["kill"] and done["pause"] and (done["empty"] or not emptied)

    def quiet():
        assert not stack.redis.exists("dirty_accounts")
        assert not list(stack.redis.scan_iter("dirty_accounts:processing:*"))
        assert not stack.redis.exists("dirty_accounts:aside")
        return True

    wait_for(quiet, 30, what="all marks to be drained")
    cursor.execute("SELECT * FROM regressions")
    assert cursor.fetchall() == []
    cursor.execute("SELECT id, vitals->>'version' FROM characters")
    stored = dict(cursor.fetchall())
    for writer in writers:
        for char_id, version in writer.versions.items():
            cached = stack.redis.hget(f"ac:{char_id}", "vitals")
            if cached and version:
                assert json.loads(cached).get("version", 0) <= version
                assert str(json.loads(cached).get("version", None)) == str(stored[char_id]), char_id
            if not emptied and version:
                assert int(stored[char_id]) == version, char_id
    cursor.execute("SELECT character_id, convert_from(payload, 'UTF8') FROM session_snapshots")
    for char_id, payload in cursor.fetchall():
        live = stack.redis.get(f"scenario:session:{sessions[char_id]}")
        # What was written while Redis was emptied is a session that no cache names: not saved, and not older than what is.
        assert live is None or live == payload or (emptied and int(live) > int(payload)), char_id


def state_of(worker):
    with open(f"/proc/{worker.pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]
