"""The gateway's description of itself: OpenAPI, and the page that shows it."""

import json
import re

import jsonschema
import pytest
from jsonschema.validators import validator_for

from lib.browser import AVAILABLE, Browser
from lib.fleet import Fleet
from lib.gateway import SERVICE_TOKEN, Gateway
from lib.servers import ROOT

pytestmark = pytest.mark.services("gateway", "tick", "auth", "arena", "combat-settlement")

START = "/system/tick/auto-session/start"


@pytest.fixture(scope="module")
def gateway(stack, tmp_path_factory):
    fleet = Fleet(stack, tmp_path_factory.mktemp("fleet"))
    fleet.start("tick")
    yield Gateway(fleet.start("gateway", service_token=SERVICE_TOKEN))
    fleet.stop()


@pytest.fixture(scope="module")
def description(gateway):
    return gateway.get("/openapi.json", token=None).json()


def operations(description):
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


# OpenAPI --------------------------------------------------------------------------------------------------------------------


def test_the_description_is_openapi_3_1(description):
    """By the OpenAPI Initiative's own schema, https://spec.openapis.org/oas/3.1/schema/."""
    schema = json.loads((ROOT / "tests/lib/openapi-3.1.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(description)


def test_its_schemas_are_json_schemas(description):
    def schemas(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "schema":
                    yield inner
                else:
                    yield from schemas(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from schemas(inner)

    found = list(schemas(description)) + list(description["components"]["schemas"].values())
    assert len(found) > 30
    for schema in found:
        validator_for({"$schema": "https://json-schema.org/draft/2020-12/schema"}).check_schema(schema)


def test_its_references_lead_somewhere(description):
    for reference in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(description))):
        at = description
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]


def test_operation_ids_are_unique(description):
    ids = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(ids) == len(set(ids))


def test_every_route_of_a_command_has_its_schemas(description):
    for method, path, operation in operations(description):
        if operation["tags"] == ["gateway"]:
            continue
        results = [
            answer["content"]["application/json"]["schema"]
            for status, answer in operation["responses"].items()
            if status.startswith("2")
        ]
        assert results and all(schema.get("properties") for schema in results), (method, path)
        if method == "POST":
            assert "properties" in operation["requestBody"]["content"]["application/json"]["schema"], path


def test_what_is_said_is_what_is_served(gateway, description):
    for method, path, operation in operations(description):
        path = path.format(service="tick", command="get_auto_session_status")
        response = gateway.call(method, path, token=None)
        if operation["security"]:
            assert response.status_code == 401, path
        else:
            assert response.status_code != 404, path
        assert gateway.call("PATCH", path).status_code == 405


def test_the_answer_while_not_ready_is_described(description):
    assert set(description["paths"]["/readyz"]["get"]["responses"]) == {"200", "503"}


def test_the_start_of_a_session(description):
    operation = description["paths"][START]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["active_category"], "a player's character is the default"
    assert schema["properties"]["active_category"]["enum"] == ["exploration", "crafting", "trade", "general"]
    assert {"200", "201", "401", "422", "503"} <= set(operation["responses"])
    assert "access_token" not in json.dumps(description["paths"]["/auth/logout"]["post"]["requestBody"])


# The page -------------------------------------------------------------------------------------------------------------------


def test_the_page_has_a_strict_policy(gateway):
    response = gateway.get("/docs", token=None)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    assert not re.search(r"(src|href)\s*=\s*[\"'](https?:)?//", response.text), "nothing from elsewhere"
    assert " style=" not in response.text and not re.search(r"\son\w+=", response.text)


browser_wanted = pytest.mark.skipif(not AVAILABLE, reason="chromium and chromium-driver are not installed")


@browser_wanted
@pytest.mark.parametrize("width", (390, 1280), ids=("phone", "desktop"))
def test_the_page_in_a_browser(gateway, sql, width):
    character = sql("INSERT INTO characters (name) VALUES ('Mira') RETURNING id")[0][0]
    card = '[id="tick.start_auto_session"] '
    browser = Browser(width, 900)
    try:
        browser.open(gateway.url + "/docs")
        assert browser.text(card + ".path") == START
        assert browser.run("return document.querySelectorAll('main > section > details').length") >= 20
        browser.click(card + "summary")
        assert "exploration" in browser.text(card + "table")

        # A call without a token, then with one.
        browser.type(card + "textarea", json.dumps({"player_id": character, "active_category": "trade"}))
        browser.click(card + "button")
        assert browser.text(card + ".status.bad").startswith("401")
        browser.type("#token", SERVICE_TOKEN)
        browser.click(card + "button")
        assert browser.text(card + ".status:not(.bad)").startswith("201")
        assert json.loads(browser.text(card + "pre"))["session"]["player_id"] == character

        # Nothing is wider than the window, nothing is too small to read, and nothing was blocked or asked for elsewhere.
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        assert browser.run("return parseFloat(getComputedStyle(document.body).fontSize)") >= 16
        assert [entry for entry in browser.log("browser") if entry["level"] == "SEVERE" and "401" not in entry["message"]] == []
        asked = [
            json.loads(entry["message"])["message"]["params"]["request"]["url"]
            for entry in browser.log("performance")
            if '"Network.requestWillBeSent"' in entry["message"]
        ]
        asked = [url for url in asked if not url.startswith("chrome:")]  # the tab's own first page
        assert asked and all(url.startswith((gateway.url, "data:")) for url in asked), asked
    finally:
        browser.close()
