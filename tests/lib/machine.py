"""The machine that a figure was taken on, and what ran there."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

import psycopg2
import redis

from .management import Management
from .servers import ROOT
from .stack import with_path


def first_line(*words):
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    return (done.stdout.strip() or "unknown").splitlines()[0]


NOT_PAGES = ("--", ".", ":!docs", ":!*.md")


def commit():
    """The last commit that touched more than pages for people; with "-dirty" where the work tree differs from it there."""
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", *NOT_PAGES], cwd=ROOT, capture_output=True)
    return first_line("git", "log", "-1", "--abbrev=10", "--format=%h", *NOT_PAGES) + ("-dirty" if changed.returncode else "")


def cpu_model():
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def memory_gib():
    return int(re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)[1]) / 2**20


def compiler():
    flags = ROOT / "build/flags"
    return first_line(flags.read_text().split()[0], "--version") if flags.exists() else "unknown"


def sync_us(folder, seconds=0.5):
    """Microseconds until 8 kB written to that folder's disk are safe."""
    path = Path(folder) / "sync-probe"
    with open(path, "wb", buffering=0) as file:
        n, begun = 0, time.monotonic()
        while time.monotonic() - begun < seconds:
            file.seek(0)
            file.write(b"x" * 8192)
            os.fdatasync(file.fileno())
            n += 1
        taken = time.monotonic() - begun
    path.unlink()
    return 1e6 * taken / n


def describe(servers):
    """What a reader needs to know of where figures come from: {name: text}, in the order of the table."""
    connection = psycopg2.connect(with_path(servers.url("DATABASE_URL"), "postgres"))
    broker = Management(servers.url("RABBITMQ_API_URL"), "/").get("overview")
    cores = len(os.sched_getaffinity(0))
    described = {
        "processor": cpu_model(),
        "cores": f"{cores}, for the servers, the workers and the load generators together",
        "memory": f"{memory_gib():.0f} GiB",
        "disk": f"8 kB written and synced in {sync_us(servers.folder):.0f} µs",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "compiler": compiler(),
        "RabbitMQ": f"{broker['rabbitmq_version']} on Erlang {broker['erlang_version']}",
        "Redis": redis.Redis.from_url(servers.url("REDIS_URL")).info("server")["redis_version"],
        "PostgreSQL": connection.get_parameter_status("server_version"),
    }
    connection.close()
    return described
