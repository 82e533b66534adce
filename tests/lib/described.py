"""What is heard against what docs/reference/asyncapi.json says of it: every event and reply that a test receives."""

import functools
import json

import jsonschema

from .servers import ROOT


class NotAsDescribed(Exception):
    """No AssertionError, which wait_for() would take for "not yet"."""


@functools.cache
def components():
    return json.loads((ROOT / "docs/reference/asyncapi.json").read_text())["components"]


def strict(schema):
    """The same, but what is not described may not be there."""
    if isinstance(schema, list):
        return [strict(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(inner) for key, inner in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


@functools.cache
def validator(name):
    message = components()["messages"].get(name)
    if message is None:
        return None
    schema = {**message["payload"], "components": {"schemas": {"error": components()["schemas"]["error"]}}}
    return jsonschema.Draft202012Validator(strict(schema), format_checker=jsonschema.FormatChecker())


def check(name, body):
    described = validator(name)
    if described:
        error = jsonschema.exceptions.best_match(described.iter_errors(body))
        if error:
            raise NotAsDescribed(f"{name} at {error.json_path}: {error.message}")


def check_event(routing_key, body):
    check(routing_key, body)


def check_reply(routing_key, body):
    check(routing_key + ".reply", body)
