"""The examples in docs/ are in the pages word for word, and work."""

import json
import re
import shutil
import subprocess

import pytest

from lib.servers import ROOT
from lib.wait import wait_for

EXAMPLES = ROOT / "docs/examples"


@pytest.fixture(scope="module")
def characters(stack):
    with stack.database() as database, database.cursor() as cursor:
        cursor.execute("INSERT INTO characters (id, name) VALUES (101, 'Mira')")


@pytest.fixture
def tick(fleet, characters):
    return fleet.start("tick")


def run(stack, *words, cwd=EXAMPLES, timeout=60):
    done = subprocess.run(
        words, cwd=cwd, env={**stack.environment, "HOME": str(cwd)}, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["publish.py", "publish.mjs", "publish.c"])
def test_the_page_shows_the_example(name):
    assert (EXAMPLES / name).read_text() in (ROOT / "docs/publish.md").read_text()


def test_every_link_between_the_pages_leads_somewhere():
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} points to {link}"


def test_publish_from_python(stack, tick, sql):
    sql("DELETE FROM auto_sessions")
    answer = json.loads(run(stack, "/usr/bin/python3", "publish.py"))
    assert answer["ok"] and answer["result"]["started"] is True
    assert sql("SELECT active_category FROM auto_sessions WHERE player_id = 101") == [("exploration",)]


def test_publish_from_c(stack, tick, amqp, sql, tmp_path):
    amqp.send_and_wait("tick.start_auto_session", {"player_id": 101, "active_category": "trade"})
    program = tmp_path / "publish"
    subprocess.run(["cc", "-o", program, EXAMPLES / "publish.c", "-lrabbitmq"], check=True)
    assert run(stack, program) == "confirmed\n"
    wait_for(lambda: sql("SELECT count(*) FROM auto_sessions WHERE player_id = 101") == [(0,)])


def test_publish_from_node(stack, tick, tmp_path):
    if not shutil.which("npm"):
        pytest.skip("there is no npm here")
    shutil.copy(EXAMPLES / "publish.mjs", tmp_path)
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "amqplib"], cwd=tmp_path, capture_output=True, timeout=120
    )
    if installed.returncode:
        pytest.skip("npm cannot fetch amqplib")
    answer = json.loads(run(stack, "node", "publish.mjs", cwd=tmp_path))
    assert answer["ok"] and "active" in answer["result"]
