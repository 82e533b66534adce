"""Each service under users of its own, with just its rights: it can do its work, and nothing else.

GARRISON_TEST_USERS=1 make test runs every other test in this way, too.
"""

import contextlib
import json
import subprocess
import uuid

import pika
import psycopg2
import pytest
import redis

from lib.amqp import Amqp
from lib.fleet import Fleet, free_address
from lib.users import Users
from lib.wait import wait_for

pytestmark = pytest.mark.services("arena", "auth", "combat-settlement", "gateway", "state-backup", "tick")
SERVICES = ["arena", "auth", "combat-settlement", "gateway", "state-backup", "tick"]


@pytest.fixture(scope="module")
def users(own_stack):
    own_stack.users = own_stack.users or Users(own_stack).apply()
    return own_stack.users


@pytest.fixture(scope="module")
def workers(own_stack, users, tmp_path_factory):
    fleet = Fleet(own_stack, tmp_path_factory.mktemp("logs"))
    token = (users.folder / "service-token").read_text().strip()
    workers = {
        name: fleet.start(
            name,
            **({"service_token": token} if name == "gateway" else {}),
            **({"tick_interval": "1s", "tick_events": "on"} if name == "tick" else {}),
            **({"backup_interval": "1s"} if name == "state-backup" else {}),
        )
        for name in SERVICES
    }
    yield workers
    fleet.stop()


@pytest.fixture(scope="module")
def as_user(users):
    """as_user("bot"): that user's connection to the broker."""
    opened = []

    def connect(name):
        opened.append(Amqp(users.url(name, "amqp")))
        return opened[-1]

    yield connect
    for amqp in opened:
        amqp.close()


# What they must be able to do ------------------------------------------------------------------------------------------


def document(session, *ids):
    return {
        "session_id": session,
        "meta": {"end_timestamp": 1735460000, "winner_team": "blue", "finish_reason": "victory"},
        "participants": {
            str(i): {
                "is_winner": True,
                "state_snapshot": {"hp": 50, "energy": 20},
                "changes": {"xp_gained": 10, "gold_gained": 5, "items_gained": [{"item_template_id": "new_thing", "qty": 2}]},
            }
            for i in ids
        },
    }


def test_the_fleet_does_its_work(own_stack, users, workers, as_user):
    bot, engine = as_user("bot"), as_user("engine")
    database = own_stack.database()
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO characters (id, name) VALUES (101, 'Mira'), (102, 'Borin')")

    events = bot.channel.queue_declare("garrison-bot.events", exclusive=True).method.queue
    bot.channel.queue_bind(events, "game.events", "#")

    # auth: an account, a login with its state restored (auth asks state-backup), a character
    account = bot.call("auth.register", {"login": "mira", "password": "correct horse"}).result["account_id"]
    login = bot.call("auth.login", {"login": "mira", "password": "correct horse"}).result
    made = bot.call("auth.create_character", {"access_token": login["access_token"], "name": "Ada", "gender": "female"})
    character = made.result["char_id"]
    again = bot.call("auth.refresh", {"refresh_token": login["refresh_token"], "char_id": character}).result
    assert again["state_restored"] is True
    assert bot.call("auth.validate_token", {"access_token": again["access_token"]}).result["account_id"] == account

    # tick: credited, with its event
    assert bot.call("tick.start_auto_session", {"player_id": 101, "active_category": "exploration"}).result["started"]

    def ticked():
        return bot.call("tick.get_auto_session_status", {"player_id": 101}).result["session"]["ticks"] >= 2

    wait_for(ticked, 15)
    assert bot.send_and_wait("tick.delete_auto_session", {"player_id": 101}).result == {"deleted": True}

    # arena: a pair, found by asking or by itself
    for char in (101, 102):
        bot.call("arena.join_queue", {"char_id": char, "mode": "1v1"})
    wait_for(lambda: bot.call("arena.check_match", {"char_id": 101, "mode": "1v1"}).result["status"] == "matched", 10)

    # combat-settlement: settled from the engine, with effects in all stores; state-backup is told
    session = str(uuid.uuid4())
    engine.call("state-backup.restore_full_state", {"char_id": 101})
    own_stack.redis.hset("ac:101", mapping={"state": "combat", "combat_session_id": session})
    own_stack.redis.set(f"combat:session:{session}", "{}")
    assert engine.send_and_wait("combat-settlement.settle_combat", document(session, 101, 102)).result["status"] == "processed"
    result = engine.call("combat-settlement.get_combat_result", {"session_id": session, "char_id": 101}).result
    assert result["status"] == "finished"
    wait_for(lambda: own_stack.redis.hget("ac:101", "state") == "idle", 10)

    # state-backup: from a mark
    own_stack.redis.hset("ac:101", "location", json.dumps({"current": "tavern", "prev": "road"}))
    own_stack.redis.sadd("dirty_accounts", 101)

    def saved():
        with database.cursor() as cursor:
            cursor.execute("SELECT location_id FROM characters WHERE id = 101")
            return cursor.fetchone() == ("tavern",)

    wait_for(saved, 15)
    database.close()

    def heard():
        seen.update(method.routing_key for method, _, _ in iter(lambda: bot.channel.basic_get(events, True), (None,) * 3))
        return {"tick.completed", "arena.battle_created", "combat-settlement.settled", "auth.logged_in"} <= seen

    seen = set()
    wait_for(heard, 10)


def test_failures_climb_and_die_under_own_users(own_stack, workers, as_user):
    """Rungs and dead letters are written by the worker itself."""
    engine, admin = as_user("engine"), own_stack.amqp()
    session = str(uuid.uuid4())
    engine.publish("combat-settlement.settle_combat", document(session, 999_999), message_id=session)
    dead = admin.dead("combat-settlement", 20)
    assert dead.properties.message_id == session and dead.headers["g-code"] == "not_found"
    engine.publish("tick.no_such_command", {})
    assert admin.dead("tick", 20).headers["g-stage"] == "unknown"
    admin.close()


def test_http_reaches_every_service(own_stack, users, workers):
    import requests

    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = "Bearer " + (users.folder / "service-token").read_text().strip()
    url = workers["gateway"].url
    assert session.get(f"{url}/system/tick/auto-session/status?player_id=102", timeout=10).status_code == 200
    assert session.get(f"{url}/arena/queue/status?char_id=102", timeout=10).status_code == 200
    assert session.get(f"{url}/combat/last?char_id=102", timeout=10).status_code in (200, 404)
    assert session.post(f"{url}/commands/state-backup/backup_full_state", json={"char_id": 101}, timeout=10).status_code == 202
    assert session.get(f"{url}/.well-known/jwks.json", timeout=10).json()["keys"]


def test_nobody_was_refused_anything(workers):
    """After all of the above: no log of any worker speaks of a right it lacks."""
    for name, worker in workers.items():
        for words in ("permission denied", "NOPERM", "ACCESS_REFUSED", "access to"):
            assert words not in worker.log_text, f"{name}: {words}"


# What must not work ----------------------------------------------------------------------------------------------------


def refused(amqp, action):
    """The broker closes the channel with 403."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        action(amqp.channel)
    assert closed.value.reply_code == 403


@pytest.mark.parametrize(
    "name,exchange,key",
    [
        ("bot", "game.commands", "combat-settlement.settle_combat"),
        ("bot", "game.rpc", "combat-settlement.get_combat_result"),
        ("bot", "game.commands", "state-backup.restore_full_state"),
        ("bot", "game.events", "arena.battle_created"),
        ("bot", "game.dead", "tick.x"),
        ("bot", "", "game.combat-settlement"),
        ("engine", "game.retry.1s", "tick.x"),
        ("tick", "game.commands", "combat-settlement.settle_combat"),
        ("tick", "game.rpc", "auth.login"),
        ("tick", "game.events", "combat-settlement.settled"),
        ("tick", "game.dead", "arena.join_queue"),
        ("arena", "game.retry.10s", "tick.start_auto_session"),
        ("auth", "game.rpc", "tick.start_auto_session"),
        ("auth", "game.commands", "state-backup.backup_full_state"),
        ("gateway", "game.events", "auth.logged_in"),
        ("gateway", "", "game.tick"),
    ],
)
def test_a_message_that_is_not_ones_own_is_refused(as_user, name, exchange, key):
    refused(as_user(name), lambda channel: channel.basic_publish(exchange, key, b"{}"))


@pytest.mark.parametrize(
    "name,queue",
    [("bot", "game.tick"), ("engine", "game.arena.rpc"), ("tick", "game.arena"), ("tick", "game.tick.dead"), ("gateway", "game.auth.rpc"),
     ("auth", "game.auth.retry.1s")],
)  # fmt: skip
def test_others_queues_cannot_be_read(as_user, name, queue):
    refused(as_user(name), lambda channel: channel.basic_get(queue))


@pytest.mark.parametrize("name", ["bot", "engine", *SERVICES])
def test_the_topology_is_not_theirs(as_user, name):
    refused(as_user(name), lambda channel: channel.queue_delete("game.tick"))
    refused(as_user(name), lambda channel: channel.queue_declare("game.other"))
    refused(as_user(name), lambda channel: channel.exchange_declare("game.other", "topic"))
    refused(as_user(name), lambda channel: channel.queue_purge("game.tick.dead"))


def test_without_its_password_no_user_gets_in(users):
    url = users.url("tick", "amqp").replace("of-tick", "of-arena")
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        Amqp(url)
    with pytest.raises(redis.exceptions.RedisError, match="WRONGPASS|invalid"):
        redis.Redis.from_url(users.url("tick", "redis").replace("of-tick", "of-arena")).ping()


def test_the_operator_can_operate(own_stack, users):
    settings = {"AMQP_URL": users.url("operator", "amqp"), "REDIS_URL": users.url("operator", "redis")}
    own_stack.ctl("topology", "apply", **settings)
    api = own_stack.api_url.replace("guest:guest", "garrison-operator:of-operator")
    own_stack.ctl("topology", "check", RABBITMQ_API_URL=api, **settings)
    own_stack.ctl("status", RABBITMQ_API_URL=api, **settings)
    own_stack.ctl("dead", "list", "tick", RABBITMQ_API_URL=api, **settings)


@pytest.mark.parametrize(
    "service,statement",
    [
        ("arena", "UPDATE characters SET gold = 0"),
        ("arena", "SELECT password_hash FROM accounts"),
        ("auth", "UPDATE characters SET xp = 1"),
        ("auth", "SELECT * FROM inventory"),
        ("combat-settlement", "SELECT * FROM auth_logins"),
        ("combat-settlement", "UPDATE characters SET account_id = 1"),
        ("combat-settlement", "DELETE FROM combat_history"),
        ("gateway", "SELECT private_key FROM auth_signing_keys"),
        ("gateway", "SELECT * FROM characters"),
        ("gateway", "DELETE FROM auth_logins"),
        ("state-backup", "UPDATE characters SET gold = 1"),
        ("state-backup", "UPDATE characters SET xp = 1"),
        ("state-backup", "DELETE FROM characters"),
        ("state-backup", "UPDATE inventory SET quantity = 1"),
        ("tick", "DELETE FROM characters"),
        ("tick", "UPDATE tick_rules SET xp_max = 1"),
        ("tick", "SELECT * FROM combat_history"),
    ],
)
def test_others_tables_and_columns_cannot_be_touched(users, service, statement):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        users.sql(service, statement)


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_changes_the_schema(users, service):
    for statement in (
        "CREATE TABLE mine (id int)",
        "ALTER TABLE characters ADD COLUMN x int",
        "DROP TABLE characters",
        "INSERT INTO schema_migrations (number) VALUES (99)",
        "CREATE TEMP TABLE mine (id int)",
        "CREATE ROLE other",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            users.sql(service, statement)


def cache(users, service):
    return redis.Redis.from_url(users.url(service, "redis"), decode_responses=True)


@pytest.mark.parametrize(
    "service,command",
    [
        ("tick", ("GET", "auth:block:x")),
        ("tick", ("DEL", "arena:queue:1v1")),
        ("tick", ("SET", "combat:session:x", "1")),
        ("arena", ("HSET", "ac:101", "state", "idle")),
        ("arena", ("SET", "combat:result_cache:x", "1")),
        ("auth", ("HGETALL", "ac:101")),
        ("auth", ("EVAL", "return redis.call('HGETALL', 'ac:101')", "0")),
        ("combat-settlement", ("DEL", "tick:cursor")),
        ("state-backup", ("LPUSH", "tick:queue:trade", "1")),
        ("engine", ("DEL", "tick:cursor")),
        ("operator", ("SET", "x", "1")),
    ],
)
def test_others_keys_cannot_be_touched(users, service, command):
    with pytest.raises(redis.exceptions.RedisError, match="(?i)no permissions|NOPERM|can't access|can't run this command"):
        cache(users, service).execute_command(*command)


@pytest.mark.parametrize("service", ["arena", "auth", "combat-settlement", "state-backup", "tick"])
def test_dangerous_commands_are_not_theirs(users, service):
    for command in (("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "SET", "maxmemory", "1"), ("KEYS", "*"), ("ACL", "LIST"), ("SHUTDOWN",),
                    ("REPLICAOF", "NO", "ONE"), ("DEBUG", "SLEEP", "0")):  # fmt: skip
        with pytest.raises(redis.exceptions.ResponseError, match="(?i)no permissions|NOPERM|DEBUG command not allowed"):
            cache(users, service).execute_command(*command)


def test_a_server_starts_from_the_file_and_lets_nobody_else_in(users, tmp_path):
    """redis-server --aclfile, as in compose.yaml."""
    host, _, port = free_address().partition(":")
    server = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "redis-server", "--bind", host, "--port", port, "--aclfile", users.folder / "redis.acl",
         "--save", "", "--dir", tmp_path],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip

    def up():
        with contextlib.suppress(redis.exceptions.ConnectionError):
            with pytest.raises(redis.exceptions.AuthenticationError):
                redis.Redis(host, int(port)).ping()
            return True

    try:
        wait_for(up, 10)
        tick = redis.Redis(host, int(port), username="garrison-tick", password="of-tick")
        assert tick.set("tick:cursor", "1")
        with pytest.raises(redis.exceptions.NoPermissionError):
            tick.get("auth:x")
    finally:
        server.terminate()
        server.wait(10)


def test_rights_that_are_no_longer_listed_are_taken_away(own_stack, users):
    with own_stack.database() as database, database.cursor() as cursor:
        cursor.execute('GRANT SELECT, UPDATE (gold) ON characters TO "garrison-gateway"')
    users.sql("gateway", "SELECT gold FROM characters LIMIT 1")
    users.apply()
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        users.sql("gateway", "SELECT gold FROM characters LIMIT 1")
