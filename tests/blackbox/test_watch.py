"""deploy/watch: the dashboard and the alarms speak of metrics that exist, and the alarms ring when they should."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from lib.fleet import http_get
from lib.servers import ROOT

WATCH = ROOT / "deploy/watch"
NAME = re.compile(r"\b(?:garrison|process)_[a-z0-9_]+")
SUFFIX = re.compile(r"_(bucket|sum|count)$")
SERVICES = sorted(
    line.split()[0] for line in (ROOT / "deploy/fleet.list").read_text().splitlines() if line and not line.startswith("#")
)


def names_in(expression):
    return {SUFFIX.sub("", name) for name in NAME.findall(expression)}


@pytest.fixture(scope="module")
def exposed(stack, tmp_path_factory):
    """The metrics on /metrics of one running worker of each service."""
    from lib.fleet import Fleet

    fleet = Fleet(stack, tmp_path_factory.mktemp("logs"))
    try:
        names = set()
        for service in SERVICES:
            text = http_get(fleet.start(service).admin_url + "/metrics").text
            names |= set(re.findall(r"^# TYPE (\S+) ", text, re.M))
        return names
    finally:
        fleet.stop()


def test_the_dashboard_shows_exactly_what_there_is(exposed):
    dashboard = json.loads((WATCH / "dashboard.json").read_text())
    shown = set()
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            shown |= names_in(target["expr"])
    assert shown == exposed, "run make dashboard"


def test_the_dashboard_is_what_the_binaries_describe(build):
    made = subprocess.run(
        [WATCH / "dashboard.py", *(build / f"garrison-{service}" for service in SERVICES)], capture_output=True, text=True, check=True
    )
    assert made.stdout == (WATCH / "dashboard.json").read_text(), "run make dashboard"


def test_alarms_speak_of_what_there_is(exposed):
    rules = yaml.safe_load((WATCH / "rules/garrison.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert names_in(rule["expr"]) <= exposed, rule["alert"]
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"]["summary"]


def test_every_alarm_is_tested():
    rules = yaml.safe_load((WATCH / "rules/garrison.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    tests = yaml.safe_load((WATCH / "rules/garrison.test.yaml").read_text())
    ringing = {case["alertname"] for test in tests["tests"] for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert alerts == ringing


needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="there is no promtool (Debian: prometheus)")


@needs_promtool
def test_the_alarms_ring_when_they_should():
    done = subprocess.run(["promtool", "test", "rules", "garrison.test.yaml"], cwd=WATCH / "rules", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_takes_the_configuration():
    done = subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=WATCH, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_what_workers_say_is_well_formed(fleet):
    text = http_get(fleet.start("tick").admin_url + "/metrics").text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: matters of taste
