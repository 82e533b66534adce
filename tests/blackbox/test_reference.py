"""docs/reference/ is what the binaries say of themselves, and the pages for people name nothing that is not there."""

import json
import re
import shutil
import subprocess

import jsonschema
import pytest

from lib.fleet import Fleet, http_get
from lib.servers import ROOT

REFERENCE = ROOT / "docs/reference"
FILES = ["asyncapi.json", "commands.md", "garrisonctl.md", "metrics.md", "openapi.json", "settings.md"]
SERVICES = ["arena", "auth", "combat-settlement", "gateway", "state-backup", "tick"]
PEOPLES_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/ru").glob("*.md"))]

pytestmark = pytest.mark.services(*SERVICES)


def document(name):
    return json.loads((REFERENCE / name).read_text())


# What is committed is what the build says ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    subprocess.run(["/usr/bin/python3", ROOT / "docs/make-reference.py", build, folder], check=True, timeout=60)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_the_reference_is_up_to_date(written, name):
    assert (REFERENCE / name).read_text() == (written / name).read_text(), f'docs/reference/{name}: run "make docs"'


def test_nothing_else_lies_in_the_reference(written):
    assert sorted(path.name for path in REFERENCE.iterdir()) == FILES == sorted(path.name for path in written.iterdir())


# OpenAPI and AsyncAPI -----------------------------------------------------------------------------------------------------


def test_openapi_is_openapi_3_1():
    """By the OpenAPI Initiative's own schema."""
    schema = json.loads((ROOT / "tests/lib/openapi-3.1.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document("openapi.json"))


def references(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def look_up(root, reference):
    for part in reference.removeprefix("#/").split("/"):
        root = root[part.replace("~1", "/")]
    return root


@pytest.mark.parametrize("name", ["openapi.json", "asyncapi.json"])
def test_every_reference_leads_somewhere(name):
    root = document(name)
    for reference in references(root):
        assert look_up(root, reference), reference


def test_asyncapi_schemas_are_json_schemas():
    for message in document("asyncapi.json")["components"]["messages"].values():
        jsonschema.Draft202012Validator.check_schema(message["payload"])


CHECK = """
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const wrong = diagnostics.filter((found) => found.severity <= 1);
console.log(JSON.stringify({ wrong, operations: document ? document.operations().length : 0 }));
"""


def test_asyncapi_is_asyncapi_3_0(tmp_path):
    """By the AsyncAPI Initiative's own parser: no error, no warning."""
    if not shutil.which("npm"):
        pytest.skip("there is no npm here to fetch AsyncAPI's parser with")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "@asyncapi/parser@3"]
    try:
        subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("npm cannot fetch @asyncapi/parser")
    (tmp_path / "check.mjs").write_text(CHECK)
    done = subprocess.run(
        ["node", "check.mjs", REFERENCE / "asyncapi.json"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["operations"] == len(document("asyncapi.json")["operations"])


def test_asyncapi_has_every_command_and_event(build):
    channels = document("asyncapi.json")["channels"]
    for service in SERVICES:
        description = json.loads(subprocess.run([build / f"garrison-{service}", "--describe"], capture_output=True).stdout)
        for command in description["commands"]:
            for lane in command["lanes"]:
                exchange = {"durable": "game.commands", "rpc": "game.rpc"}[lane]
                assert f"{exchange}.{service}.{command['name']}" in channels
        for event in description["events"]:
            assert f"game.events.{service}.{event['name']}" in channels


# Metrics ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workers(stack, tmp_path_factory):
    fleet = Fleet(stack, tmp_path_factory.mktemp("fleet"))
    yield {name: fleet.start(name) for name in SERVICES}
    fleet.stop()


@pytest.mark.parametrize("service", SERVICES)
def test_a_running_worker_shows_the_metrics_it_describes(build, workers, service):
    described = json.loads(subprocess.run([build / f"garrison-{service}", "--describe"], capture_output=True).stdout)
    page = http_get(workers[service].admin_url + "/metrics").text
    shown = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
    assert shown == {metric["name"]: metric["type"] for metric in described["metrics"]}
    for series in re.findall(r"^([a-z_]+)[{ ]", page, re.M):
        assert re.sub(r"_(bucket|sum|count)$", "", series) in shown or series in shown, series


# The pages for people -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PEOPLES_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_metrics_that_exist(page):
    known = set(re.findall(r"`((?:garrison|process)_[a-z_]+)`", (REFERENCE / "metrics.md").read_text()))
    named = set(re.findall(r"\b(?:garrison_|process_(?=cpu|open|resident|start))[a-z_]+", page.read_text()))
    assert named <= known


@pytest.mark.parametrize("page", PEOPLES_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_settings_that_exist(page):
    known = set(re.findall(r"^\| `([A-Z_]+)`", (REFERENCE / "settings.md").read_text(), re.M))
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", page.read_text()))
    of_tools = {"NAME_FILE", "SOURCE_DATE_EPOCH", "GATEWAY_PORTS", "TCP_USER_TIMEOUT"}
    of_tests = {name for name in named if re.match(r"(BENCH|FAULTS|FUZZ|OVERLOAD|GARRISON_TEST|GARRISON_FAULT)_", name)}
    assert named - of_tools - of_tests <= known


@pytest.mark.parametrize("page", PEOPLES_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_commands_and_events_that_exist(page):
    known = set(re.findall(r"^### (?:Event )?`([a-z.-]+[a-z_]+)`", (REFERENCE / "commands.md").read_text(), re.M))
    named = re.findall(rf"(?:{'|'.join(SERVICES)})\.[a-z_]+", page.read_text())
    files = {name for name in named if name.rsplit(".")[-1] in ("c", "h", "md", "lua", "list", "env", "py")}
    assert set(named) - files <= known


@pytest.mark.parametrize("page", PEOPLES_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_verbs_that_exist(page):
    verbs = re.findall(r"^## garrisonctl ([a-z]+(?: [a-z]+)?)", (REFERENCE / "garrisonctl.md").read_text(), re.M)
    for said in re.findall(r"garrisonctl ((?:[a-z]+ )*[a-z]+)\b(?=[ `\n])", page.read_text()):
        assert any(said == verb or said.startswith(verb + " ") or verb.startswith(said) for verb in verbs), said


@pytest.mark.parametrize("page", ["docs/operate.md", "docs/ru/operate.md"])
def test_the_operators_page_says_what_to_do_about_each_metric_that_alarms(page):
    rules = "".join(path.read_text() for path in (ROOT / "deploy/watch/rules").glob("*.yml"))
    alarming = {name.removesuffix("_bucket") for name in re.findall(r"\b(?:garrison|process)_[a-z_]+", rules)}
    assert alarming
    assert alarming <= set(re.findall(r"\b(?:garrison|process)_[a-z_]+", (ROOT / page).read_text()))
