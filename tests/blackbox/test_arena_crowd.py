"""arena: a crowd joins, leaves and checks through several workers, which are killed on the way; then the record is judged.

The record is made beside the system: what each player sent and was answered, and the events. SEED=... runs one again.
"""

import itertools
import json
import os
import random
import time
from collections import defaultdict
from datetime import datetime

import pika
import pytest

from lib.amqp import REPLY_TO
from lib.arena import Arena, fits
from lib.wait import wait_for

pytestmark = [pytest.mark.services("arena", "ctl"), pytest.mark.timeout(300)]

PLAYERS = 400
COMMANDS = 16000
IN_FLIGHT = 150
WORKERS = 3
KILL_EVERY_S = 0.5
REPLY_TIMEOUT_S = 15
MODES = ("1v1", "ranked")
CLOCK_SLACK_S = 0.002  # times are told in whole milliseconds


def seconds_of(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Player:
    def __init__(self, id, gear):
        self.id, self.gear = id, gear
        self.mode = None
        self.next = "join"
        self.windows = []  # [from, until, mode]: when a match is right; the last may be open (until None)
        self.sent = None  # correlation id of what is in flight

    def close_window(self, at):
        if self.windows and self.windows[-1][1] is None:
            self.windows[-1][1] = at

    def may_be_matched(self, at, mode):
        return any(
            since - CLOCK_SLACK_S <= at and (until is None or at <= until + CLOCK_SLACK_S) and mode == m
            for since, until, m in self.windows
        )


class Crowd:
    def __init__(self, arena, url, rng):
        self.arena, self.rng = arena, rng
        gears = [rng.choice([100, 100, rng.randint(80, 130), rng.randint(50, 5000)]) for _ in range(PLAYERS)]
        self.players = {id: Player(id, gear) for id, gear in zip(arena.characters(gears), gears)}
        self.in_flight = {}  # correlation id -> (player, command, sent at)
        self.events = []
        self.told = []  # (player id, battle) as check_match answered
        self.settled = {}  # session -> when its settlement began
        self.count = defaultdict(int)
        parameters = pika.URLParameters(url)
        parameters.heartbeat = 0
        self.connection = pika.BlockingConnection(parameters)
        self.channel = self.connection.channel()
        self.channel.basic_consume(REPLY_TO, self.take_reply, auto_ack=True)
        queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(queue, "game.events", "arena.#")
        self.channel.basic_consume(queue, self.take_event, auto_ack=True)

    def take_event(self, _channel, method, properties, body):
        self.events.append((method.routing_key, properties.message_id, json.loads(body)))

    def pump(self, seconds=0.005):
        self.connection.process_data_events(time_limit=seconds)

    # One command after the other for each player ----------------------------------------------------------------------

    def send(self, player):
        command = player.next
        if command == "join":
            player.mode = self.rng.choice(MODES)
            player.windows.append([time.time(), None, player.mode])
        lane = "game.rpc" if command == "check" else "game.commands"
        name = {"join": "join_queue", "leave": self.rng.choice(["leave_queue", "cancel_queue"]), "check": "check_match"}[command]
        id = f"{player.id}-{self.count['sent']}"
        self.channel.basic_publish(
            lane,
            f"arena.{name}",
            json.dumps({"char_id": player.id, "mode": player.mode}),
            pika.BasicProperties(type=name, message_id=id, correlation_id=id, reply_to=REPLY_TO, delivery_mode=2),
        )
        player.sent = id
        self.in_flight[id] = (player, command, time.time())
        self.count["sent"] += 1
        self.count[command] += 1

    def take_reply(self, _channel, _method, properties, body):
        player, command, _ = self.in_flight.pop(properties.correlation_id, (None, None, None))
        if player and player.sent == properties.correlation_id:
            player.sent = None
            getattr(self, f"after_{command}")(player, json.loads(body))

    def after_join(self, player, reply):
        if reply["ok"]:
            window = player.windows[-1]
            window[1] = seconds_of(reply["result"]["request"]["expires_at"])
            player.next = self.rng.choice(["check", "check", "check", "leave"])
        elif reply["error"]["code"] == "conflict":  # of a match or request whose answer was lost
            self.count["conflicts"] += 1
            player.windows.pop()
            player.next = "check"
            player.mode = MODES[1 - MODES.index(player.mode)]

    def after_leave(self, player, reply):
        if reply["ok"]:
            player.windows[-1][1] = min(player.windows[-1][1] or time.time(), time.time())
            player.next = "join" if reply["result"]["left"] else "check"

    def after_check(self, player, reply):
        status = reply["ok"] and reply["result"]["status"]
        if status == "matched":
            self.told.append((player.id, reply["result"]))
            battle = reply["result"]["battle"]
            if battle["session_id"] not in self.settled and self.rng.random() < 0.8:
                self.settled[battle["session_id"]] = time.time()
                self.arena.settle(battle["session_id"], [p["char_id"] for p in battle["participants"]])
            player.next = "join" if battle["session_id"] in self.settled else "check"
        elif status == "waiting":
            player.next = self.rng.choice(["check", "check", "leave"])
        elif status:
            player.next = "join"

    def give_up_on_the_lost(self):
        """A worker that died may have taken the reply along, though not the effect."""
        for id, (player, command, sent_at) in list(self.in_flight.items()):
            if time.time() - sent_at > REPLY_TIMEOUT_S:
                del self.in_flight[id]
                player.sent = None
                self.count["lost replies"] += 1
                if command == "leave" and player.windows:
                    player.windows[-1][1] = player.windows[-1][1] or time.time()
                player.next = "check"

    def run(self, fleet, settings):
        workers = [fleet.start("arena", **settings) for _ in range(WORKERS)]
        kill_at = time.time() + KILL_EVERY_S
        while self.count["sent"] < COMMANDS:
            idle = [p for p in self.players.values() if not p.sent]
            for player in self.rng.sample(idle, min(len(idle), IN_FLIGHT - len(self.in_flight))):
                self.send(player)
            self.pump()
            self.give_up_on_the_lost()
            if time.time() > kill_at:
                workers.pop(0).kill()
                workers.append(fleet.start("arena", ready=False, **settings))
                self.count["kills"] += 1
                kill_at = time.time() + KILL_EVERY_S

        def quiet():
            self.pump(0.05)
            self.give_up_on_the_lost()
            return not self.in_flight

        wait_for(quiet, REPLY_TIMEOUT_S + 5, interval=0, what="the last replies")


# The judgement --------------------------------------------------------------------------------------------------------


def without_repeats(events, key):
    """The events of one kind by message id; a repeat says what the first said."""
    found = {}
    for routing_key, message_id, body in events:
        if routing_key == key:
            assert found.setdefault(message_id, body) == body, f"{key} {message_id} was told in two ways"
    return list(found.values())


def judge_battles(crowd, battles):
    by_player = defaultdict(list)
    for battle in battles:
        (a, gear_a), (b, gear_b) = [(p["char_id"], p["gear_score"]) for p in battle["participants"]]
        at = seconds_of(battle["matched_at"])
        assert a != b, f"matched with itself: {battle}"
        assert fits(gear_a, gear_b), f"not fit: {battle}"
        for id, gear in ((a, gear_a), (b, gear_b)):
            player = crowd.players[id]
            assert gear == player.gear
            assert player.may_be_matched(at, battle["mode"]), (
                f"{id} was matched at {at} though it had left, expired or not joined {battle['mode']}: {player.windows}"
            )
            by_player[id].append((at, battle["session_id"]))
    for id, matches in by_player.items():
        for (_, before), (at, session) in itertools.pairwise(sorted(matches)):
            assert crowd.settled.get(before, float("inf")) <= at + CLOCK_SLACK_S, (
                f"{id} was put in {session} while in {before}"
            )


def judge_what_was_told(crowd, battles):
    by_session = {battle["session_id"]: battle for battle in battles}
    assert len(by_session) == len(battles), "a battle was announced under two ids"
    for id, result in crowd.told:
        battle = by_session.get(result["battle"]["session_id"])
        assert battle == result["battle"], f"{id} was told {result}, the world {battle}"
        assert {id, result["opponent_id"]} == {p["char_id"] for p in battle["participants"]}
    found = without_repeats(crowd.events, "arena.match_found")
    expected = []
    for battle in battles:
        a, b = (p["char_id"] for p in battle["participants"])
        expected += [(a, b, battle["session_id"]), (b, a, battle["session_id"])]
    assert sorted((e["char_id"], e["opponent_id"], e["session_id"]) for e in found) == sorted(expected)


def judge_who_is_left(arena):
    for mode in MODES:
        waiting = arena.waiting(mode)
        for a, b in itertools.combinations(waiting, 2):
            assert not fits(waiting[a], waiting[b]), f"{a} and {b} wait in {mode} and fit: {waiting[a]} {waiting[b]}"
        for id in waiting:
            assert arena.redis.hget(f"arena:request:{id}", "mode") == mode, f"{id} is a ghost in {mode}"


def test_a_crowd_is_never_double_booked(stack, fleet, amqp):
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    print(f"SEED={seed}")
    stack.redis.flushdb()
    arena = Arena(stack, amqp)
    crowd = Crowd(arena, stack.amqp_url, random.Random(seed))
    crowd.run(fleet, {"arena_request_ttl": "1s", "arena_announce_lease": "1s", "log_level": "warn"})

    def all_is_told():
        crowd.pump(0.05)
        return arena.redis.zcard("arena:announce") == 0

    wait_for(all_is_told, 10, what="everything to be announced")
    crowd.pump(0.3)
    battles = without_repeats(crowd.events, "arena.battle_created")
    judge_battles(crowd, battles)
    judge_what_was_told(crowd, battles)
    judge_who_is_left(arena)
    expired = without_repeats(crowd.events, "arena.request_expired")
    print(dict(crowd.count), f"battles={len(battles)} expired={len(expired)} settled={len(crowd.settled)}")
    assert crowd.count["kills"] >= 5
    assert len(battles) >= 1000
    assert expired
    amqp.purge("game.arena.dead")
    arena.close()
