#!/usr/bin/python3
"""dashboard.py BINARY...: a Grafana dashboard with a panel for each metric that the services' --describe names."""

import json
import subprocess
import sys

# A metric belongs to the first section that has a prefix of its name.
SECTIONS = [
    ("Messages", ("garrison_messages", "garrison_message_", "garrison_deliveries", "garrison_in_flight", "garrison_last_", "garrison_redeliveries",
                  "garrison_retries", "garrison_dead", "garrison_requeued", "garrison_stale", "garrison_consumer", "garrison_up")),
    ("Publishing and requests", ("garrison_publish", "garrison_repl", "garrison_requests")),
    ("HTTP", ("garrison_http_",)),
    ("Processes", ("process_",)),
]  # fmt: skip
# What tells the lines of a panel apart, beside the service.
LABELS = {
    "garrison_messages_total": ["command", "lane", "outcome"],
    "garrison_message_duration_seconds": ["command"],
    "garrison_redeliveries_total": ["command"],
    "garrison_retries_total": ["command"],
    "garrison_dead_letters_total": ["command"],
    "garrison_up": ["server", "instance"],
    "garrison_http_requests_total": ["route", "status"],
    "garrison_http_request_seconds": ["route"],
}


def read_metrics(binaries):
    metrics = {}
    for binary in binaries:
        described = json.loads(subprocess.run([binary, "--describe"], capture_output=True, text=True, check=True).stdout)
        for metric in described["metrics"]:
            metrics.setdefault(metric["name"], (metric["type"], metric["help"].rstrip(".")))
    return metrics


def section_of(name):
    for title, prefixes in SECTIONS:
        if name.startswith(prefixes):
            return title
    return name.split("_")[1].capitalize()  # garrison_tick_queued: of that service alone


def unit_of(name, kind):
    if "timestamp" in name or name == "process_start_time_seconds":
        return "dateTimeFromNow"
    if "cpu_seconds" in name:
        return "percentunit"
    if "seconds" in name:
        return "s"
    if "bytes" in name:
        return "bytes"
    return "ops" if kind == "counter" else "short"


def targets_of(name, kind):
    by = ["service", *LABELS.get(name, [] if kind != "gauge" else ["instance"])]
    legend = " ".join("{{%s}}" % label for label in by)
    chosen = f'{name}{{service=~"$service"}}'
    if kind == "counter":
        return [(f"sum by ({', '.join(by)}) (rate({chosen}[$__rate_interval]))", legend)]
    if kind == "histogram":
        buckets = f'{name}_bucket{{service=~"$service"}}'
        rate = f"sum by ({', '.join([*by, 'le'])}) (rate({buckets}[$__rate_interval]))"
        return [(f"histogram_quantile({q}, {rate})", f"p{int(q * 100)} {legend}") for q in (0.5, 0.99)]
    scale = " * 1000" if unit_of(name, kind) == "dateTimeFromNow" else ""
    return [(f"max by ({', '.join(by)}) ({chosen}){scale}", legend)]


def panel(number, name, kind, text, x, y):
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number,
        "type": "stat" if unit_of(name, kind) == "dateTimeFromNow" else "timeseries",
        "title": name,
        "description": text,
        "datasource": source,
        "gridPos": {"h": 8, "w": 8, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": unit_of(name, kind), "custom": {"fillOpacity": 10}}, "overrides": []},
        "options": {} if unit_of(name, kind) == "dateTimeFromNow" else {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": "AB"[i], "datasource": source, "expr": expression, "legendFormat": legend}
            for i, (expression, legend) in enumerate(targets_of(name, kind))
        ],
    }


def panels_of(metrics):
    sections = {}
    for name in metrics:
        sections.setdefault(section_of(name), []).append(name)
    order = [title for title, _ in SECTIONS[:3]] + sorted(set(sections) - {title for title, _ in SECTIONS}) + ["Processes"]
    panels, y = [], 0
    for title in order:
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})  # fmt: skip
        y += 1
        for i, name in enumerate(sections.get(title, ())):
            panels.append(panel(len(panels) + 1, name, *metrics[name], i % 3 * 8, y + i // 3 * 8))
        y += (len(sections.get(title, ())) + 2) // 3 * 8
    return panels


def dashboard(metrics):
    return {
        "uid": "garrison",
        "title": "Garrison",
        "tags": ["garrison"],
        "schemaVersion": 38,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {
                    "name": "service",
                    "type": "query",
                    "datasource": {"type": "prometheus", "uid": "${datasource}"},
                    "query": "label_values(up{job=\"garrison\"}, service)",
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                    "refresh": 2,
                },
            ]
        },
        "panels": panels_of(metrics),
    }


if __name__ == "__main__":
    print(json.dumps(dashboard(read_metrics(sys.argv[1:])), indent=1, ensure_ascii=False))
