#!/usr/bin/python3
"""Write docs/reference/ from what the binaries say of themselves: make-reference.py BIN_FOLDER OUT_FOLDER"""

import json
import re
import subprocess
import sys
from pathlib import Path

NOTE = "<!-- Written by `make docs` from what the binaries say of themselves: change their tables, not this page. -->\n\n"
# The pages are of the tree they lie in; a commit's name in them would make each commit change them.
VERSION = "unreleased"
SERVERS = {"durable": "game.commands", "rpc": "game.rpc"}


def ask(binary, option):
    return json.loads(subprocess.run([binary, option], check=True, capture_output=True).stdout)


def row(*cells):
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"


def head(*names):
    return row(*names) + row(*["---"] * len(names))


def code(text):
    return f"`{text}`"


def duration(ms):
    for unit, factor in (("d", 86400000), ("h", 3600000), ("m", 60000), ("s", 1000)):
        if ms >= factor and ms % factor == 0:
            return f"{ms // factor}{unit}"
    return f"{ms}ms"


def size(n):
    return f"{n >> 20} MiB" if n % (1 << 20) == 0 else f"{n >> 10} KiB"


# JSON Schema in words -----------------------------------------------------------------------------------------------------


def limits(schema, low, high, unit=""):
    least, most = schema.get(low), schema.get(high)
    if least is None and most is None:
        return ""
    if least == most:
        return f", {least}{unit}"
    if most is None:
        return f", {least} or more{unit}"
    return f", {least or 0} to {most}{unit}"


def words(schema):
    """What a value of this schema is, without what lies below it."""
    kind = schema.get("type", "any JSON")
    null = isinstance(kind, list)
    kind = kind[0] if null else kind
    if "enum" in schema:
        text = ", ".join(code(choice) for choice in schema["enum"] if choice is not None)
    elif kind == "string":
        text = {"uuid": "UUID", "date-time": "RFC 3339 time"}.get(schema.get("format"), "text")
        text += limits(schema, "minLength", "maxLength", " characters")
    elif kind in ("integer", "number"):
        text = kind + limits(schema, "minimum", "maximum")
    elif kind == "boolean":
        text = "true or false"
    elif kind == "array":
        text = f"list of {words(schema['items'])}" + limits(schema, "minItems", "maxItems", " entries")
    elif "additionalProperties" in schema:
        text = f"map: {words(schema['additionalProperties'])} by {schema['propertyNames'].get('description', 'key')}"
        text += limits(schema, "minProperties", "maxProperties", " entries")
    else:
        text = kind
    return text + (" or null" if null else "")


def below(schema):
    """The object under a field, and what its path goes on with."""
    if "items" in schema:
        return below_bare(schema["items"], "[].")
    if "additionalProperties" in schema:
        return below_bare(schema["additionalProperties"], ".*.")
    return (schema, ".") if "properties" in schema else (None, "")


def below_bare(schema, path):
    return (schema, path) if "properties" in schema else (None, "")


def field_rows(schema, request, path=""):
    for name, field in schema.get("properties", {}).items():
        cells = [code(path + name), words(field)]
        if request:
            default = field.get("default")
            given = default if isinstance(default, str) else json.dumps(default)
            must = name in schema.get("required", [])
            cells.append("required" if must else f"default {code(given)}" if default is not None else "optional")
        meaning = field.get("description", "")
        yield row(*cells, meaning + (" (secret)" if field.get("writeOnly") else ""))
        inner, goes_on = below(field)
        if inner:
            yield from field_rows(inner, request, path + name + goes_on)


def field_table(title, schema, request):
    rows = list(field_rows(schema, request))
    if not rows:
        return f"{title} nothing.\n\n"
    columns = ["field", "what", "", "meaning"] if request else ["field", "what", "meaning"]
    return f"{title}\n\n" + head(*columns) + "".join(rows) + "\n"


# The pages ----------------------------------------------------------------------------------------------------------------


def commands_page(services):
    page = "# Commands and events\n\n" + NOTE
    page += "How to send them: [publish commands](../publish.md). The same in the machine's words: [asyncapi.json](asyncapi.json).\n\n"
    page += "A path in the tables: `a.b` is `b` in the object `a`, `a[].b` in each entry of the list, `a.*.b` under each key of the map.\n\n"
    for service in services:
        page += f"- [{service['service']}](#{service['service']}): {service['summary']}\n"
    for service in services:
        page += f"\n## {service['service']}\n\n{service['summary']}.\n\n"
        for command in service["commands"]:
            page += command_section(service["service"], command)
        for event in service["events"]:
            page += f"### Event {code(service['service'] + '.' + event['name'])}\n\n{event['help']}. On `game.events`.\n\n"
            page += field_table("It tells", event["body"], False)
    return page.rstrip("\n") + "\n"


def command_section(service, command):
    lanes = " and ".join(code(SERVERS[lane]) for lane in command["lanes"])
    text = f"### {code(service + '.' + command['name'])}\n\n{command['help']}.\n\n"
    text += f"By {lanes}; within {duration(command['timeout_ms'])}"
    if "durable" in command["lanes"]:
        text += f"; {command['max_attempts']} attempts"
    text += f"; body up to {size(command['body_max'])}.\n\n"
    return text + field_table("It takes", command["request"], True) + field_table("It answers", command["result"], False)


def settings_table(settings):
    text = head("name", "default", "takes", "meaning")
    for setting in settings:
        default = code(setting["default"]) if setting["default"] is not None else "unset"
        meaning = setting["help"] + (" (secret)" if setting["secret"] else "")
        text += row(code(setting["name"]), default, setting["accepts"], meaning)
    return text + "\n"


def settings_page(services, ctl):
    shared = [s for s in services[0]["settings"] if all(s["name"] in names(other) for other in services)]
    page = "# Settings\n\n" + NOTE
    page += (
        "Each is an environment variable; `NAME_FILE` names a file that holds the value (for secrets); `NAME=value` on the\n"
        "command line wins, and there an unknown name is refused. A bad value is refused at start, with the name, the value\n"
        "and the reason; a secret's value is never shown. Durations take a unit: `500ms`, `10s`, `6m`, `24h`, `30d`.\n\n"
    )
    page += "## Every service\n\n"
    common = [dict(setting) for setting in shared]
    for setting in common:
        if len({default_of(service, setting["name"]) for service in services}) > 1:
            setting["default"] = ", ".join(f"{s['service']} {default_of(s, setting['name'])}" for s in services)
    page += settings_table(common)
    for service in services:
        own = [s for s in service["settings"] if s["name"] not in {c["name"] for c in common}]
        page += f"## {service['service']}\n\n" + (settings_table(own) if own else "None of its own.\n\n")
    page += "## garrisonctl\n\n" + head("name", "default", "meaning")
    for setting in ctl["settings"]:
        page += row(code(setting["name"]), code(setting["default"]), setting["help"] + (" (secret)" if setting["secret"] else ""))
    return page


def names(service):
    return {setting["name"] for setting in service["settings"]}


def default_of(service, name):
    return next(setting["default"] for setting in service["settings"] if setting["name"] == name)


def garrisonctl_page(ctl):
    page = "# garrisonctl\n\n" + NOTE + f"{ctl['summary']}.\n\n"
    page += "Every verb has `--help` and `--json`. Exit codes: 0 done, 1 failed, 64 wrong usage, 69 a server or service is out of\n"
    page += "reach or not prepared, 70 internal fault. Settings: [settings.md](settings.md#garrisonctl).\n"
    for verb in ctl["verbs"]:
        page += f"\n## {' '.join(part for part in ('garrisonctl', verb['name'], verb['arguments']) if part)}\n\n{verb['help']}.\n"
        if verb["options"]:
            page += "\n" + head("option", "default", "meaning")
            for option in verb["options"]:
                default = code(option["default"]) if option["default"] else ""
                page += row(code("--" + option["name"]), default, option["help"])
    return page


def metrics_page(services):
    page = "# Metrics\n\n" + NOTE
    page += "On `/metrics` of `ADMIN_ADDR`, as Prometheus text. What to do when one rises: [operate](../operate.md#look).\n\n"
    everywhere = [m for m in services[0]["metrics"] if all(m in s["metrics"] for s in services)]
    workers = [s for s in services if s["commands"]]
    consuming = [m for m in workers[0]["metrics"] if all(m in s["metrics"] for s in workers) and m not in everywhere]
    page += "## Every service\n\n" + metrics_table(everywhere)
    page += "## Every service that takes commands\n\n" + metrics_table(consuming)
    for service in services:
        own = [m for m in service["metrics"] if m not in everywhere and m not in consuming]
        if own:
            page += f"## {service['service']}\n\n" + metrics_table(own)
    return page.rstrip("\n") + "\n"


def metrics_table(metrics):
    text = head("metric", "kind", "meaning")
    for metric in sorted(metrics, key=lambda metric: metric["name"]):
        text += row(code(metric["name"]), metric["type"], metric["help"])
    return text + "\n"


# AsyncAPI 3.0 -------------------------------------------------------------------------------------------------------------

REPLY = {
    "name": "reply",
    "title": "The answer to a command",
    "contentType": "application/json",
    "correlationId": {"location": "$message.header#/correlation_id"},
}
CODES = (
    "invalid_json invalid_payload unknown_command unauthorized forbidden not_found conflict rate_limited timeout "
    "unavailable internal"
).split()
ERROR = {
    "type": "object",
    "properties": {
        "ok": {"const": False},
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "enum": CODES},
                "message": {"type": "string"},
                "retryable": {"type": "boolean"},
                "fields": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
                        "required": ["field", "problem"],
                    },
                },
            },
            "required": ["code", "message", "retryable"],
        },
    },
    "required": ["ok", "error"],
}
COMMAND_HEADERS = {
    "type": "object",
    "properties": {
        "g-deadline": {"type": "integer", "description": "Unix milliseconds: on game.rpc nobody serves it after that"},
        "traceparent": {"type": "string", "description": "W3C trace context, continued in logs, answers and events"},
    },
}


def ref(*path):
    return {"$ref": "#/" + "/".join(part.replace("/", "~1") for part in path)}


def exchange_binding(exchange):
    return {
        "amqp": {
            "is": "routingKey",
            "exchange": {"name": exchange, "type": "topic", "durable": True, "autoDelete": False},
            "bindingVersion": "0.3.0",
        }
    }


def reply_message(key, command):
    result = {"type": "object", "properties": {"ok": {"const": True}, "result": command["result"]}, "required": ["ok", "result"]}
    return {**REPLY, "name": f"{key} reply", "payload": {"oneOf": [result, ref("components", "schemas", "error")]}}


def asyncapi_command(document, service, command):
    key = f"{service}.{command['name']}"
    messages = document["components"]["messages"]
    messages[key] = {
        "name": command["name"],
        "title": key,
        "summary": command["help"],
        "contentType": "application/json",
        "headers": ref("components", "schemas", "commandHeaders"),
        "payload": command["request"],
        "bindings": {"amqp": {"messageType": command["name"], "bindingVersion": "0.3.0"}},
    }
    messages[key + ".reply"] = reply_message(key, command)
    document["channels"]["replies"]["messages"][key + ".reply"] = ref("components", "messages", key + ".reply")
    for lane in command["lanes"]:
        channel = f"{SERVERS[lane]}.{key}"
        document["channels"][channel] = {
            "address": key,
            "description": f"Exchange {SERVERS[lane]}, routing key {key}",
            "messages": {command["name"]: ref("components", "messages", key)},
            "bindings": exchange_binding(SERVERS[lane]),
        }
        operation = {
            "action": "receive",
            "channel": ref("channels", channel),
            "summary": command["help"],
            "tags": [{"name": service}],
            "messages": [ref("channels", channel, "messages", command["name"])],
            "reply": {
                "address": {"location": "$message.header#/reply_to"},
                "channel": ref("channels", "replies"),
                "messages": [ref("channels", "replies", "messages", key + ".reply")],
            },
        }
        document["operations"][f"{lane}.{key}"] = operation


def asyncapi_event(document, service, event):
    key = f"{service}.{event['name']}"
    channel = f"game.events.{key}"
    document["components"]["messages"][key] = {
        "name": event["name"],
        "title": key,
        "summary": event["help"],
        "contentType": "application/json",
        "payload": event["body"],
    }
    document["channels"][channel] = {
        "address": key,
        "description": f"Exchange game.events, routing key {key}; at least once, message_id the same on every repeat",
        "messages": {event["name"]: ref("components", "messages", key)},
        "bindings": exchange_binding("game.events"),
    }
    document["operations"][f"event.{key}"] = {
        "action": "send",
        "channel": ref("channels", channel),
        "summary": event["help"],
        "tags": [{"name": service}],
        "messages": [ref("channels", channel, "messages", event["name"])],
    }


def asyncapi(services):
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Garrison",
            "version": VERSION,
            "description": "The commands that the game's services take from RabbitMQ, their answers, and the events they tell. "
            "game.commands: kept, retried, done once. game.rpc: answered at once or not at all.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "replies": {
                "address": None,
                "description": "The queue that the command's reply_to names, by the default exchange",
                "messages": {},
            }
        },
        "operations": {},
        "components": {"messages": {}, "schemas": {"commandHeaders": COMMAND_HEADERS, "error": ERROR}},
    }
    for service in services:
        for command in service["commands"]:
            asyncapi_command(document, service["service"], command)
        for event in service["events"]:
            asyncapi_event(document, service["service"], event)
    return document


def pretty(document):
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main(bin_folder, out_folder):
    workers = sorted(path for path in Path(bin_folder).glob("garrison-*") if re.fullmatch(r"garrison-[a-z][a-z0-9-]*", path.name))
    services = [ask(path, "--describe") for path in workers]
    ctl = ask(Path(bin_folder) / "garrisonctl", "--describe")
    openapi = ask(Path(bin_folder) / "garrison-gateway", "--openapi")
    openapi["info"]["version"] = VERSION
    speaking = [service for service in services if service["commands"] or service["events"]]
    out = Path(out_folder)
    out.mkdir(parents=True, exist_ok=True)
    (out / "commands.md").write_text(commands_page(speaking))
    (out / "settings.md").write_text(settings_page(services, ctl))
    (out / "garrisonctl.md").write_text(garrisonctl_page(ctl))
    (out / "metrics.md").write_text(metrics_page(services))
    (out / "openapi.json").write_text(pretty(openapi))
    (out / "asyncapi.json").write_text(pretty(asyncapi(speaking)))


if __name__ == "__main__":
    main(*sys.argv[1:])
