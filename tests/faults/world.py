"""The whole fleet on servers of its own, which may be harmed.

Two of each worker; the second of each pair, and those of which there is one, reach their servers by way of proxies. So a fault of a
link leaves somebody who can do the work, and much is done twice: by who was cut off with it in hand, and by the other.
"""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pika
import redis

from lib.fleet import Fleet
from lib.gateway import SERVICE_TOKEN
from lib.proxy import Proxy
from lib.servers import Servers
from lib.stack import Stack
from lib.tick import Tick
from lib.wait import wait_for

PAIRED = ("tick", "arena", "combat-settlement", "state-backup")
SINGLE = ("auth", "gateway")
LINKS = {"rabbitmq": "AMQP_URL", "redis": "REDIS_URL", "postgres": "DATABASE_URL"}
TICK_S = 1
CATCHUP_MAX = 10  # the default
RETRY_DELAYS = "500ms,1s,2s,4s"
LIMIT = "3s"  # of a command, unless its row says another
SETTINGS = {
    "tick": {"tick_interval": f"{TICK_S}s"},
    "arena": {"arena_request_ttl": "20s"},
    "state-backup": {"backup_interval": "500ms"},
    "auth": {"max_concurrent_tasks": 2},
    "gateway": {"service_token": SERVICE_TOKEN},
}
RECOVERED_WITHIN_S = 45
MIB = 1 << 20


SMALL_DISK = "size=2500m,mode=700"


def small_disk_for_postgres(folder):
    """PostgreSQL's data gets a file system of its own, which can be filled."""
    data = folder / "postgres"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", SMALL_DISK, "none", data], check=True)


class FaultStack(Stack):
    """Rungs that a run lives to see the end of."""

    @property
    def environment(self):
        return {**super().environment, "RETRY_DELAYS": RETRY_DELAYS, "COMMAND_PROCESSING_TIMEOUT": LIMIT}


class World:
    def __init__(self, bin_dir, small_disk=False):
        self.folder = Path(tempfile.mkdtemp(prefix="garrison-faults-"))
        self.small_disk = small_disk
        self.servers = Servers.private(small_disk_for_postgres if small_disk else None)
        self.proxies, self.workers, self.bins = {}, {}, {}
        self.fleet = None
        self.bin_dir = Path(bin_dir)

    def start(self):
        self.servers.wait_until_up()
        self.stack = FaultStack(self.servers, self.bin_dir).create()
        self.fleet = Fleet(self.stack, self.folder)
        for server, setting in LINKS.items():
            self.proxies[server] = Proxy(self.stack.environment[setting]).__enter__()
        self.names = [f"{service}/{n}" for service in PAIRED for n in (1, 2)] + [f"{service}/2" for service in SINGLE]
        for name in self.names:
            self.start_worker(name)
        for worker in self.workers.values():
            worker.wait_ready()
        self.resident = {name: worker.resident_bytes() for name, worker in self.workers.items()}
        return self

    def close(self):
        """Each worker's clean end, and the servers'; the problems there were."""
        try:
            if self.fleet:
                self.fleet.stop()
        finally:
            for proxy in self.proxies.values():
                proxy.__exit__()
            if self.small_disk:
                self.signal_postgres(signal.SIGINT)
                wait_for(lambda: not self.postgres_processes(), 30, what="PostgreSQL to end")
                subprocess.run(["umount", self.postgres_data], check=True)
            self.servers.release()

    # Workers ----------------------------------------------------------------------------------------------------------

    def start_worker(self, name, **settings):
        """That worker anew, not waited for. settings: LD_PRELOAD and the like."""
        service, _, number = name.partition("/")
        links = {LINKS[server].lower(): proxy.url for server, proxy in self.proxies.items()} if number == "2" else {}
        keep = self.stack.bin_dir
        self.stack.bin_dir = self.bins.get(service, keep)
        try:
            old = self.workers.get(name)
            same = {"GATEWAY_ADDR": old.settings["GATEWAY_ADDR"]} if old and service == "gateway" else {}
            self.workers[name] = self.fleet.start(
                service, ready=False, **{**links, **SETTINGS.get(service, {}), **same, **settings}
            )
        finally:
            self.stack.bin_dir = keep
        return self.workers[name]

    def kill_worker(self, name):
        """SIGKILL, and another in its place; whether it died of that."""
        worker = self.workers[name]
        worker.kill()
        self.start_worker(name)
        return worker.process.returncode == -signal.SIGKILL

    def replace_worker(self, name, **settings):
        """SIGTERM, its clean end, and another in its place."""
        worker = self.workers[name]
        worker.stop()
        self.start_worker(name, **settings)
        return worker.process.returncode == 0

    def of(self, number):
        """The names of the first or of the second workers."""
        return [name for name in self.names if name.endswith(f"/{number}")]

    @property
    def gateway(self):
        return self.workers["gateway/2"]

    # Servers ----------------------------------------------------------------------------------------------------------

    @property
    def postgres_data(self):
        return Path(os.path.realpath(self.servers.folder / "postgres"))

    def postgres_processes(self):
        """The postmaster and its children: all that work in the data folder."""
        data = self.postgres_data
        pids = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if Path(os.readlink(process / "cwd")) == data:
                    pids.append(int(process.name))
            except OSError:
                pass
        return pids

    def signal_postgres(self, number):
        for pid in self.postgres_processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    # Recovery ---------------------------------------------------------------------------------------------------------

    def answers(self):
        """Each service by each lane it has, with a new connection; what does not answer raises."""
        amqp = self.stack.amqp()
        try:
            for key, body in PROBES.items():
                amqp.call(key, body, timeout=3, expiration="3000")
            for service in PAIRED:
                assert amqp.consumers(f"game.{service}") == 2, f"game.{service} has {amqp.consumers(f'game.{service}')} consumers"
        finally:
            amqp.close()
        return True

    def recovered(self):
        for worker in self.workers.values():
            assert worker.running, f"{worker} ended with {worker.process.returncode}: {worker.log_text[-2000:]}"
            assert worker.ready(), f"{worker} is not ready"
        try:
            return self.answers()
        except (pika.exceptions.AMQPError, OSError) as error:
            raise AssertionError(f"the broker: {error!r}") from None

    def wait_recovered(self, since):
        """Every worker is ready and every service answers; in how many seconds."""
        wait_for(self.recovered, RECOVERED_WITHIN_S, interval=0.1, what="the fleet to recover")
        return time.monotonic() - since

    # Counts -----------------------------------------------------------------------------------------------------------

    def counter(self, metric):
        """{worker: value} of those that run."""
        return {worker: worker.metrics().get(metric, 0.0) for worker in self.workers.values() if worker.running}

    def tick(self):
        return Tick(self.stack, None)

    def redis(self):
        """A client that does not wait for ever."""
        return redis.Redis.from_url(self.stack.redis_url, decode_responses=True, socket_timeout=2)


PROBES = {
    "tick.get_auto_session_status": {"player_id": 1},
    "arena.get_queue_status": {"char_id": 1},
    "combat-settlement.assemble_belt": {"char_id": 1},
    "state-backup.restore_full_state": {"char_id": 1},
    "auth.validate_token": {"access_token": "none"},
}
