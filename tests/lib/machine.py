"""The machine that a figure was taken on, and what ran there."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

import psycopg2
import redis

from .bench import TOOLS, number
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


def sync_us(folder, seconds=1):
    """Microseconds until 8 kB written to that folder's disk are safe: the median and the 99th percentile."""
    path, taken = Path(folder) / "sync-probe", []
    with open(path, "wb", buffering=0) as file:
        end = time.monotonic() + seconds
        while not taken or time.monotonic() < end:
            file.seek(0)
            begun = time.monotonic()
            file.write(b"x" * 8192)
            os.fdatasync(file.fileno())
            taken.append(1e6 * (time.monotonic() - begun))
    path.unlink()
    taken.sort()
    return taken[len(taken) // 2], taken[int(len(taken) * 0.99)]


def microseconds(median, p99):
    return f"median {number(median)} µs, 99th percentile {number(p99)} µs"


def waking():
    """What it costs that a process wakes another and is woken by it; with a single core only what it costs there."""
    done = subprocess.run([TOOLS / "wake_cost"], check=True, capture_output=True, text=True, timeout=60)
    names = ("a process woken on the same core and back", "a process woken on another core and back")
    return {name: microseconds(*map(float, line.split())) for name, line in zip(names, done.stdout.splitlines(), strict=False)}


def describe(servers):
    """What a reader needs to know of where figures come from: {name: text}, in the order of the table."""
    connection = psycopg2.connect(with_path(servers.url("DATABASE_URL"), "postgres"))
    broker = Management(servers.url("RABBITMQ_API_URL"), "/").get("overview")
    cores = len(os.sched_getaffinity(0))
    described = {
        "processor": cpu_model(),
        "cores": f"{cores}, for the servers, the workers and the load generators together",
        "memory": f"{memory_gib():.0f} GiB",
        "disk": f"8 kB written and synced: {microseconds(*sync_us(servers.folder))}",
        **waking(),
        "kernel": f"{platform.system()} {platform.release()}",
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "compiler": compiler(),
        "RabbitMQ": f"{broker['rabbitmq_version']} on Erlang {broker['erlang_version']}",
        "Redis": redis.Redis.from_url(servers.url("REDIS_URL")).info("server")["redis_version"],
        "PostgreSQL": connection.get_parameter_status("server_version"),
    }
    connection.close()
    return described
