"""What processes use: processor time and memory, as /proc counts them."""

import os
import re
import time
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def stat_fields(pid):
    """The fields of /proc/PID/stat behind the name, or None when it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu_s(pid):
    """Seconds of processor time that a process has used, in clock ticks of 10 ms."""
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def scheduled_s(pid):
    """The same to the nanosecond, of the threads that live: for what hardly runs."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def children(pid):
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = stat_fields(stat.parent.name)
        if fields and int(fields[1]) == pid:
            yield int(stat.parent.name), fields


def backends_scheduled_s(servers, database):
    """Of the processes that serve connections to that database, to the nanosecond."""
    title = f" {database} 127.0.0.1(".encode()
    pids = (pid for pid, _ in children(servers_pids(servers)["postgres"]))
    return sum(scheduled_s(pid) for pid in pids if title in Path(f"/proc/{pid}/cmdline").read_bytes())


def tree_cpu_s(pid):
    """Of a process, its living children, and those of them that it has reaped."""
    fields = stat_fields(pid)
    total = sum(int(fields[i]) for i in (11, 12, 13, 14))
    for _, child in children(pid):
        total += sum(int(child[i]) for i in (11, 12, 13, 14))
    return total / TICKS_A_SECOND


def servers_pids(servers):
    """{name: pid} of RabbitMQ, Redis and PostgreSQL."""
    folder = servers.folder
    moved = folder / "postgres.path"
    postgres = Path(moved.read_text().strip()) if moved.exists() else folder / "postgres"
    return {
        "rabbitmq": int((folder / "rabbitmq/pid").read_text()),
        "redis": int((folder / "redis/pid").read_text()),
        "postgres": int((postgres / "postmaster.pid").read_text().split()[0]),
    }


class Meter:
    """Processor time of the servers and some workers since it was made: Meter(bench.stack.servers, worker).seconds()"""

    def __init__(self, servers, *workers, only=("rabbitmq", "redis", "postgres")):
        pids = servers_pids(servers)
        self._pids = [*(pids[name] for name in only), *(worker.pid for worker in workers)]
        self._before = self._sum()

    def _sum(self):
        return sum(tree_cpu_s(pid) for pid in self._pids)

    def seconds(self):
        return self._sum() - self._before


def peak_resident_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)[1]) / 1024


def resident_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)[1]) / 1024


def idle_percent(pid, seconds):
    """Percent of one core that a process uses while it is left alone for that long."""
    begun, before = time.monotonic(), scheduled_s(pid)
    time.sleep(seconds)
    return 100 * (scheduled_s(pid) - before) / (time.monotonic() - begun)
