"""Each route with its services: where fields come from, which status an answer has, who may act for whom."""

import uuid

import pytest

from lib.fleet import Fleet
from lib.gateway import OTHER_TOKEN, SERVICE_TOKEN, Gateway, Issuer, Stub, assert_problem, error, ok
from lib.wait import wait_for

pytestmark = pytest.mark.services("gateway", "tick")


@pytest.fixture(scope="module")
def running(stack, tmp_path_factory):
    """The gateway and a real tick."""
    fleet = Fleet(stack, tmp_path_factory.mktemp("fleet"))
    fleet.start("tick")
    yield fleet.start("gateway", service_token=f"{SERVICE_TOKEN},{OTHER_TOKEN}")
    fleet.stop()


@pytest.fixture
def gateway(running):
    return Gateway(running)


@pytest.fixture
def issuer(database):
    return Issuer(database)


@pytest.fixture
def character(sql):
    return sql("INSERT INTO characters (name) VALUES ('Mira') RETURNING id")[0][0]


@pytest.fixture(scope="module")
def stubs(stack):
    """Stubs by service, each answering what .answers[its name] says (a function or a reply)."""

    class Stubs(dict):
        answers = {}

        def play(self, service, answer):
            self.answers[service] = answer
            if service not in self:
                self[service] = Stub(stack, service, lambda request: self._reply(service, request))
            self[service].requests.clear()
            return self[service]

        def _reply(self, service, request):
            answer = self.answers[service]
            return answer(request) if callable(answer) else answer

    stubs = Stubs()
    yield stubs
    for stub in stubs.values():
        stub.stop()


START = "/system/tick/auto-session/start"
DELETE = "/system/tick/auto-session/delete"
STATUS = "/system/tick/auto-session/status"


# Auto sessions, with the real service ----------------------------------------------------------------------------------


def test_a_session_is_started_once(gateway, character):
    first = gateway.post(START, {"player_id": character, "active_category": "trade"})
    again = gateway.post(START, {"player_id": character, "active_category": "crafting"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.headers["Content-Type"] == "application/json"
    assert first.json()["started"] is True and again.json()["started"] is False
    assert first.json()["session"] == again.json()["session"]
    assert first.json()["session"]["player_id"] == character


def test_status_is_200_either_way(gateway, character):
    none = gateway.get(f"{STATUS}?player_id={character}")
    gateway.post(START, {"player_id": character, "active_category": "trade"})
    active = gateway.get(f"{STATUS}?player_id={character}")

    assert (none.status_code, active.status_code) == (200, 200)
    assert none.json() == {"active": False, "session": None}
    assert active.json()["active"] is True


def test_delete_takes_the_character_from_body_or_query(gateway, character):
    for how in ({"json": {"player_id": character}}, {"params": {"player_id": character}}):
        gateway.post(START, {"player_id": character, "active_category": "trade"})
        assert gateway.delete(DELETE, **how).json() == {"deleted": True}
        gone = gateway.delete(DELETE, **how)
        assert gone.status_code == 200 and gone.json() == {"deleted": False}


def test_a_field_in_body_and_query_is_refused(gateway, character):
    problem = gateway.delete(f"{DELETE}?player_id={character}", {"player_id": character})
    assert assert_problem(problem, 422, "invalid_payload")["fields"] == [{"field": "player_id", "problem": "given twice"}]
    problem = gateway.get(f"{STATUS}?player_id={character}&player_id={character}")
    assert assert_problem(problem, 422, "invalid_payload")["fields"][0]["field"] == "player_id"


def test_wrong_fields_are_named(gateway):
    problem = gateway.post(START, {"player_id": 0, "active_category": "fishing"})
    fields = {field["field"] for field in assert_problem(problem, 422, "invalid_payload")["fields"]}
    assert fields == {"player_id", "active_category"}
    problem = gateway.get(STATUS + "?player_id=abc")
    assert assert_problem(problem, 422, "invalid_payload")["fields"][0]["field"] == "player_id"
    assert_problem(gateway.get(STATUS), 422, "invalid_payload")


def test_values_that_nothing_can_hold_are_named(gateway, issuer, character):
    for token in (SERVICE_TOKEN, issuer.player(character)):
        wait_for(lambda: gateway.get(STATUS, token=token).status_code != 401, what="the key to be known")  # noqa: B023
        for body, field in (
            ('{"player_id":1e400}', "player_id"),
            ('{"player_id":1%s}' % ("0" * 99), "player_id"),
            ('{"active_category":"\\u0000"}', "active_category"),
            ('{"active_category":"\\ud800"}', "active_category"),
            ('{"a":[1,{"b":1e400}]}', "a.1.b"),
        ):
            problem = gateway.post(START, data=body.encode(), token=token)
            fields = assert_problem(problem, 422, "invalid_payload")["fields"]
            assert [field["field"] for field in fields] == [field], body


def test_a_body_that_is_no_json_object(gateway, issuer, character):
    for token in (SERVICE_TOKEN, issuer.player(character)):
        wait_for(lambda: gateway.get(STATUS, token=token).status_code != 401, what="the key to be known")  # noqa: B023
        for body in (b"{", b'{"player_id":1}x', b"\xff", b'{"a":01}'):
            assert_problem(gateway.post(START, data=body, token=token), 400, "invalid_json")
        for body in (b"[1]", b"7", b"null", b"[" * 40 + b"]" * 40):
            assert_problem(gateway.post(START, data=body, token=token), 422, "invalid_payload")


def test_an_unknown_character_is_not_found(gateway):
    assert_problem(gateway.post(START, {"player_id": 2**52, "active_category": "trade"}), 404, "not_found")


# Who may call ---------------------------------------------------------------------------------------------------------


def test_without_a_token(gateway, character):
    for method, path in (("POST", START), ("GET", STATUS), ("DELETE", DELETE), ("POST", "/commands/tick/start_auto_session")):
        response = gateway.call(method, path, token=None)
        assert_problem(response, 401, "unauthorized")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    response = gateway.get(STATUS, token=None, headers={"Authorization": "Basic eDp5"})
    assert_problem(response, 401, "unauthorized")


def test_every_service_token_counts_and_no_other(gateway, character):
    path = f"{STATUS}?player_id={character}"
    assert gateway.get(path).status_code == 200
    assert gateway.get(path, token=OTHER_TOKEN).status_code == 200
    for token in (SERVICE_TOKEN[:-1], SERVICE_TOKEN + "x", f"{SERVICE_TOKEN},{OTHER_TOKEN}", "x"):
        response = gateway.get(path, token=token)
        assert_problem(response, 401, "unauthorized")
        assert "invalid_token" in response.headers["WWW-Authenticate"]


@pytest.fixture
def player(gateway, issuer, character):
    """A token the gateway honours."""
    token = issuer.player(character)
    wait_for(lambda: gateway.get(STATUS, token=token).status_code == 200, what="the key to be known")
    return token


def test_a_players_character_is_the_default(gateway, player, character):
    started = gateway.post(START, {"active_category": "trade"}, token=player)
    assert started.status_code == 201 and started.json()["session"]["player_id"] == character
    assert gateway.get(STATUS, token=player).json()["session"]["player_id"] == character
    assert gateway.get(f"{STATUS}?player_id={character}", token=player).json()["active"] is True
    assert gateway.delete(DELETE, token=player).json() == {"deleted": True}
    again = gateway.post(START, {"player_id": character, "active_category": "trade"}, token=player)
    assert again.status_code == 201


def test_a_player_acts_for_nobody_else(gateway, player, character):
    other = character + 1
    assert_problem(gateway.post(START, {"player_id": other, "active_category": "trade"}, token=player), 403, "forbidden")
    assert_problem(gateway.get(f"{STATUS}?player_id={other}", token=player), 403, "forbidden")
    assert_problem(gateway.delete(f"{DELETE}?player_id={other}", token=player), 403, "forbidden")
    assert_problem(gateway.delete(DELETE, {"player_id": other}, token=player), 403, "forbidden")
    hidden = b'{"player_id":%d,"player_\\u0069d":%d,"active_category":"trade"}' % (character, other)
    assert_problem(gateway.post(START, data=hidden, token=player), 403, "forbidden")
    twice = b'{"player_id":%d,"player_id":%d}' % (character, character)
    assert_problem(gateway.delete(DELETE, data=twice, token=player), 422, "invalid_payload")


def test_a_player_sends_no_commands_of_its_choice(gateway, player):
    response = gateway.post("/commands/tick/get_auto_session_status?wait=1000", {"player_id": 1}, token=player)
    assert_problem(response, 403, "forbidden")


def test_a_login_without_a_character(gateway, issuer, player):
    token = issuer.player(None)
    wait_for(lambda: gateway.get(STATUS, token=token).status_code != 401, what="the key to be known")
    assert_problem(gateway.get(STATUS, token=token), 403, "forbidden")
    assert_problem(gateway.get(STATUS + "?player_id=1", token=token), 403, "forbidden")


# The other services' routes, in front of stubs ---------------------------------------------------------------------------

PLAYER_ROUTES = [
    ("POST", "/arena/queue/join", "arena.join_queue", {"mode": "1v1"}, {}, "char_id"),
    ("POST", "/arena/queue/cancel", "arena.cancel_queue", {"mode": "1v1"}, {}, "char_id"),
    ("POST", "/arena/match/check", "arena.check_match", {"mode": "1v1"}, {}, "char_id"),
    ("GET", "/arena/queue/status", "arena.get_queue_status", None, {}, "char_id"),
    (
        "GET",
        "/combat/result",
        "combat-settlement.get_combat_result",
        None,
        {"session_id": "0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11", "lang": "en"},
        "char_id",
    ),
    ("GET", "/combat/last", "combat-settlement.get_last_combat", None, {"lang": "ru"}, "char_id"),
]


@pytest.mark.parametrize("method, path, command, body, query, subject", PLAYER_ROUTES, ids=[r[1] for r in PLAYER_ROUTES])
def test_routes_for_players(gateway, stubs, player, character, method, path, command, body, query, subject):
    stub = stubs.play(command.split(".")[0], ok({"fine": True}))
    in_query = method == "GET"

    def call(token, char_id):
        given = {subject: char_id} if char_id else {}
        json = None if in_query else {**body, **given}
        return gateway.call(method, path, json, token=token, params={**query, **(given if in_query else {})})

    for token, char_id in ((SERVICE_TOKEN, 4711), (player, character), (player, None)):
        response = call(token, char_id)
        assert response.status_code == 200 and response.json() == {"fine": True}
        request = stub.take()
        assert request.routing_key == command and request.properties.type == command.split(".")[1]
        assert request.body == {**(body or query), subject: char_id or character}
    assert_problem(call(player, 4711), 403, "forbidden")
    assert not stub.requests


AUTH_ROUTES = [
    ("/auth/register", "register", 201, False),
    ("/auth/login", "login", 200, False),
    ("/auth/telegram", "login_telegram", 200, False),
    ("/auth/refresh", "refresh", 200, False),
    ("/auth/logout", "logout", 200, True),
    ("/auth/password", "change_password", 200, True),
    ("/auth/characters", "create_character", 201, True),
]


@pytest.mark.services("auth")
@pytest.mark.parametrize("path, command, status, bearer", AUTH_ROUTES, ids=[r[1] for r in AUTH_ROUTES])
def test_routes_of_auth(gateway, stubs, path, command, status, bearer):
    stub = stubs.play("auth", ok({"fine": True}))
    response = gateway.post(path, {"login": "mira"}, token="any.token.here" if bearer else None)
    assert response.status_code == status and response.json() == {"fine": True}
    request = stub.take()
    assert request.routing_key == "auth." + command
    assert request.body == {"login": "mira", **({"access_token": "any.token.here"} if bearer else {})}
    assert request.headers["g-client"] == "127.0.0.1"
    if bearer:
        assert_problem(gateway.post(path, {"access_token": "x"}, token=None), 401, "unauthorized")
        assert not stub.requests
        gateway.post(path, {"access_token": "x"}, token="y")
        assert stub.take().body == {"access_token": "y"}  # the header alone says it
        assert gateway.post(path, token="z").status_code == status  # nothing else to say
        assert stub.take().body == {"access_token": "z"}


# What comes back ---------------------------------------------------------------------------------------------------------

STATUSES = {
    "invalid_json": 400,
    "invalid_payload": 422,
    "unknown_command": 404,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "rate_limited": 429,
    "timeout": 504,
    "unavailable": 503,
    "internal": 500,
}


@pytest.mark.parametrize("code, status", STATUSES.items())
def test_every_code_has_its_status(gateway, stubs, code, status):
    fields = [{"field": "a.b", "problem": "Жалоба"}] if code == "invalid_payload" else []
    stubs.play("arena", error(code, "said the stub", fields=fields))
    response = gateway.get("/arena/queue/status?char_id=1")
    body = assert_problem(response, status, code)
    assert body["detail"] == "said the stub" and body["fields"] == fields
    assert ("Retry-After" in response.headers) == (status in (429, 503))
    assert ("WWW-Authenticate" in response.headers) == (status == 401)


def test_a_code_of_tomorrow_is_internal(gateway, stubs):
    stubs.play("arena", error("out_of_coffee"))
    assert_problem(gateway.get("/arena/queue/status?char_id=1"), 500, "internal")


@pytest.mark.parametrize("reply", [b"", b"nonsense", b"[]", b'{"ok":true}', b'{"ok":false}', b'{"ok":false,"error":7}'])
def test_a_reply_that_is_none_is_internal(gateway, stubs, reply):
    stubs.play("arena", reply)
    assert_problem(gateway.get("/arena/queue/status?char_id=1"), 500, "internal")


def test_results_are_passed_on_whole(gateway, stubs):
    result = {"n": 9007199254740991, "x": 0.1, "text": 'Шкура волка "\\/\n', "list": [None, True, {}], "deep": {"a": {}}}
    stubs.play("arena", ok(result))
    assert gateway.get("/arena/queue/status?char_id=1").json() == result
    stubs.play("arena", ok({"long": "x" * 300_000}))
    assert len(gateway.get("/arena/queue/status?char_id=1").json()["long"]) == 300_000


# What goes out -----------------------------------------------------------------------------------------------------------


def test_the_trace_is_continued(gateway, stubs):
    stub = stubs.play("arena", ok({}))
    trace, parent = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    given = f"00-{trace}-{parent}-01"
    response = gateway.get("/arena/queue/status?char_id=1", headers={"traceparent": given})
    sent = stub.take().headers["traceparent"]
    assert response.headers["traceparent"] == sent
    assert sent.split("-")[1] == trace and sent.split("-")[2] != parent and sent.endswith("-01")
    for later in (f"01-{trace}-{parent}-01", f"cc-{trace}-{parent}-01-what-the-future-will-be-like"):
        response = gateway.get("/arena/queue/status?char_id=1", headers={"traceparent": later})
        assert response.headers["traceparent"].startswith(f"00-{trace}-") and len(response.headers["traceparent"]) == 55
    none = (
        "x", "", f"00-{'0' * 32}-{parent}-01", f"00-{trace}-{parent}-01-more", f"ff-{trace}-{parent}-01", f"01-{trace}-{parent}-01.more",
        f"01-{trace}-{parent}", f"00-{trace.upper()}x-{parent}-01",
    )  # fmt: skip
    for bad in none:
        response = gateway.get("/arena/queue/status?char_id=1", headers={"traceparent": bad})
        assert response.headers["traceparent"].split("-")[1] not in (trace, "0" * 32)


def test_the_idempotency_key_becomes_the_message_id(gateway, stubs):
    stub = stubs.play("arena", ok({}))
    gateway.post("/arena/queue/join", {"char_id": 1, "mode": "1v1"}, headers={"Idempotency-Key": "press-17"})
    assert stub.take().properties.message_id == "press-17"
    gateway.post("/arena/queue/join", {"char_id": 1, "mode": "1v1"})
    assert not stub.take().properties.message_id
    gateway.post("/arena/queue/join", {"char_id": 1, "mode": "1v1"}, headers={"Idempotency-Key": "x" * 255})
    assert stub.take().properties.message_id == "x" * 255
    response = gateway.post("/arena/queue/join", {"char_id": 1}, headers={"Idempotency-Key": "x" * 256})
    assert response.status_code == 400 and not stub.requests


def test_a_request_carries_its_end(gateway, stubs):
    stub = stubs.play("arena", ok({}))
    gateway.get("/arena/queue/status?char_id=1")
    request = stub.take()
    assert 0 < int(request.properties.expiration) <= 10_000
    assert 0 < request.headers["g-deadline"] / 1000 - request.received_at <= 10.5
    assert request.properties.content_type == "application/json"


# Any command ---------------------------------------------------------------------------------------------------------------


def test_a_command_is_published_and_confirmed(gateway, amqp, character):
    commands = amqp.listen("game.commands", "tick.start_auto_session")
    body = {"player_id": character, "active_category": "trade"}
    response = gateway.post("/commands/tick/start_auto_session", body)
    assert response.status_code == 202
    message = commands.next()
    assert response.json() == {"message_id": message.properties.message_id}
    assert message.body == body and message.properties.type == "start_auto_session"
    assert message.properties.delivery_mode == 2 and message.headers["traceparent"] == response.headers["traceparent"]
    wait_for(lambda: gateway.get(f"{STATUS}?player_id={character}").json()["active"], what="the effect")


def test_a_published_command_keeps_its_key(gateway, amqp, character):
    commands = amqp.listen("game.commands", "tick.delete_auto_session")
    response = gateway.post(
        "/commands/tick/delete_auto_session", {"player_id": character}, headers={"Idempotency-Key": "mine"}
    )
    assert response.json() == {"message_id": "mine"} and commands.next().properties.message_id == "mine"


def test_wait_asks_and_answers(gateway, character):
    response = gateway.post("/commands/tick/get_auto_session_status?wait=5000", {"player_id": character})
    assert response.status_code == 200 and response.json() == {"active": False, "session": None}
    response = gateway.post("/commands/tick/start_auto_session?wait=5000", {"player_id": character})
    assert_problem(response, 422, "invalid_payload")


@pytest.mark.parametrize("wait", ["0", "30001", "-1", "", "1s", "1e3", "1&wait=2", " 5"])
def test_wait_has_limits(gateway, wait):
    response = gateway.post(f"/commands/tick/get_auto_session_status?wait={wait}", {"player_id": 1})
    assert assert_problem(response, 422, "invalid_payload")["fields"][0]["field"] == "wait"


def test_wait_is_kept(gateway, stubs):
    stub = stubs.play("arena", None)
    response = gateway.post("/commands/arena/get_gear_score?wait=300", {"char_id": 1})
    assert_problem(response, 504, "timeout")
    assert 0.25 < response.elapsed.total_seconds() < 2
    assert int(stub.take().properties.expiration) <= 300


def test_unknown_commands(gateway):
    for path in ("/commands/tick/no_such", "/commands/nobody/start", "/commands/tick/no_such?wait=100"):
        assert_problem(gateway.post(path, {}), 404, "unknown_command")
    for path in ("/commands/tick", "/commands/tick/", "/commands/tick/a/b", "/commands/ti.ck/start", "/commands"):
        assert_problem(gateway.post(path, {}), 404, "not_found")


@pytest.mark.services("combat-settlement")
def test_a_lane_that_the_command_does_not_have(gateway, amqp):
    body = assert_problem(gateway.post("/commands/combat-settlement/settle_combat?wait=100", {}), 403, "forbidden")
    assert "game.commands" in body["detail"]


@pytest.mark.services("auth")
def test_secrets_stay_off_the_durable_lane(gateway, amqp):
    commands = amqp.listen("game.commands", "auth.#")
    body = assert_problem(gateway.post("/commands/auth/login", {"login": "a", "password": "b"}), 403, "forbidden")
    assert "use game.rpc" in body["detail"] and not commands.all()


def test_invalid_json_is_not_published(gateway, amqp):
    commands = amqp.listen("game.commands", "#")
    assert_problem(gateway.post("/commands/tick/start_auto_session", data=b"{"), 400, "invalid_json")
    assert_problem(gateway.post("/commands/tick/start_auto_session", data=b"[]"), 422, "invalid_payload")
    assert not commands.all()


# Paths and methods -----------------------------------------------------------------------------------------------------------


def test_unknown_paths_and_methods(gateway):
    for path in ("/", "/nothing", STATUS + "/", "/arena", "/%2e%2e/etc/passwd", "//healthz"):
        assert_problem(gateway.get(path), 404, "not_found")
    response = gateway.get(START)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"
    assert gateway.call("PUT", "/healthz").headers["Allow"] == "GET, HEAD"
    response = gateway.get("/healthz?" + "&".join(["a=1"] * 33))
    assert_problem(response, 400, "bad_request")


def test_head_is_get_without_a_body(gateway):
    response = gateway.call("HEAD", "/healthz", token=None)
    assert response.status_code == 200 and response.content == b"" and response.headers["Content-Length"] == "15"


def test_limits_of_bodies(gateway, stubs, issuer):
    stub = stubs.play("arena", ok({}))
    fits = b'{"char_id":1,"mode":"%s"}' % (b"x" * (2**20 - 23))
    assert len(fits) == 2**20
    assert gateway.post("/arena/queue/join", data=fits).status_code == 200
    assert len(stub.take().raw) == 2**20
    assert_problem(gateway.post("/arena/queue/join", data=fits + b" "), 413, "invalid_payload")
    chunks = (b" " * 65536 for _ in range(17))
    assert_problem(gateway.post("/arena/queue/join", data=chunks), 413, "invalid_payload")
    assert not stub.requests


@pytest.mark.services("combat-settlement")
def test_a_commands_own_limit(gateway, amqp):
    assert gateway.post("/commands/combat-settlement/settle_combat", data=b'{"a":"%s"}' % (b"x" * 2**21)).status_code == 202
    big = b'{"a":"%s"}' % (b"x" * 2**23)
    assert_problem(gateway.post("/commands/combat-settlement/settle_combat", data=big), 413, "invalid_payload")
    amqp.purge("game.combat-settlement")
