"""A player's way through the gateway with the real services behind it."""

import time
import uuid

import pytest

from lib.fleet import Fleet
from lib.gateway import SERVICE_TOKEN, Gateway, assert_problem
from lib.wait import wait_for

pytestmark = pytest.mark.services("gateway", "auth", "tick", "state-backup", "arena")

STATUS = "/system/tick/auto-session/status"


@pytest.fixture(scope="module")
def gateway(stack, tmp_path_factory):
    fleet = Fleet(stack, tmp_path_factory.mktemp("fleet"))
    for service in ("auth", "tick", "state-backup", "arena"):
        fleet.start(service)
    yield Gateway(fleet.start("gateway", service_token=SERVICE_TOKEN))
    fleet.stop()


class Player:
    def __init__(self, gateway):
        self.gateway = gateway
        self.login_name, self.password = "mira-" + uuid.uuid4().hex[:8], "correct horse"
        self.tokens = {}

    def post(self, path, json=None, **options):
        return self.gateway.post(path, json, token=self.tokens.get("access_token"), **options)

    def get(self, path):
        return self.gateway.get(path, token=self.tokens.get("access_token"))

    def register(self):
        return self.post("/auth/register", {"login": self.login_name, "password": self.password})

    def login(self, **more):
        response = self.post("/auth/login", {"login": self.login_name, "password": self.password, **more})
        assert response.status_code == 200, response.text
        self.tokens = response.json()
        return self.tokens


@pytest.fixture
def player(gateway):
    """Registered, with a character, logged in."""
    player = Player(gateway)
    assert player.register().status_code == 201
    player.login()
    made = player.post("/auth/characters", {"name": "Mira", "gender": "female"})
    assert made.status_code == 201, made.text
    player.char_id = made.json()["char_id"]
    player.login()
    wait_for(lambda: player.get(STATUS).status_code != 401, what="the key to be known")
    return player


def test_from_nothing_to_a_session(gateway, player):
    assert player.tokens["char_id"] == player.char_id
    started = player.post("/system/tick/auto-session/start", {"active_category": "exploration"})
    assert started.status_code == 201 and started.json()["session"]["player_id"] == player.char_id
    assert player.post("/arena/queue/join", {"mode": "1v1"}).status_code == 200
    assert player.get("/arena/queue/status").json()["active"] is True
    assert player.post("/arena/queue/cancel", {"mode": "1v1"}).json() == {"left": True}
    assert_problem(player.get(f"{STATUS}?player_id={player.char_id + 1}"), 403, "forbidden")
    for value in ("abc", "", f"{player.char_id + 1}.0", f"{player.char_id}x", "9" * 30):
        problem = player.get(f"{STATUS}?player_id={value}")
        assert assert_problem(problem, 422, "invalid_payload")["fields"][0]["field"] == "player_id", value


def test_a_name_that_is_taken(player):
    assert_problem(player.register(), 409, "conflict")


def test_a_wrong_password(gateway, player):
    response = gateway.post("/auth/login", {"login": player.login_name, "password": "wrong password"}, token=None)
    assert_problem(response, 401, "unauthorized")
    assert "WWW-Authenticate" in response.headers


def test_a_logout_counts_within_a_second(player):
    assert player.get(STATUS).status_code == 200
    assert player.post("/auth/logout").json() == {"revoked": True}
    answered = time.monotonic()
    wait_for(lambda: player.get(STATUS).status_code == 401, timeout=1, what="the logout to count")
    assert time.monotonic() - answered < 1
    assert_problem(player.post("/auth/logout"), 401, "unauthorized")


def test_a_new_password_ends_the_other_logins(gateway, player):
    other = Player(gateway)
    other.login_name, other.password = player.login_name, player.password
    other.login()
    changed = player.post("/auth/password", {"old_password": player.password, "new_password": "battery staple"})
    assert changed.status_code == 200 and changed.json() == {"changed": True}
    wait_for(lambda: other.get(STATUS).status_code == 401, timeout=1, what="the other login to end")
    assert player.get(STATUS).status_code == 200


def test_a_refresh(player):
    old = dict(player.tokens)
    fresh = player.gateway.post("/auth/refresh", {"refresh_token": old["refresh_token"]}, token=None)
    assert fresh.status_code == 200
    player.tokens = fresh.json()
    assert player.tokens["refresh_token"] != old["refresh_token"] and player.get(STATUS).status_code == 200


def test_the_same_key_makes_the_same_character(player):
    key, body = {"Idempotency-Key": uuid.uuid4().hex}, {"name": "Ilka", "gender": "female"}
    first, again = (player.post("/auth/characters", body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201) and first.json() == again.json()
    assert player.post("/auth/characters", body).json() != first.json()


def test_secrets_are_not_logged(gateway, player):
    text = gateway.worker.log_text
    for secret in (player.password, player.tokens["access_token"], player.tokens["refresh_token"]):
        assert secret not in text
