"""The servers that tests run against: a folder that deploy/local/servers.sh keeps."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from .wait import wait_for

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy/local/servers.sh"


class Servers:
    """RabbitMQ, Redis and PostgreSQL in a folder."""

    script = SCRIPT
    up_within_s = 90

    def __init__(self, folder):
        self.folder = Path(folder)
        self._holder = None

    @classmethod
    def private(cls, prepare=None):
        """Servers of one's own, gone with this process whatever ends it: the script holds them while its input is open.
        prepare(folder) comes before they start."""
        servers = cls(tempfile.mkdtemp(prefix="garrison-test-", dir="/tmp"))
        os.chmod(servers.folder, 0o755)  # PostgreSQL runs as another user where we are root
        if prepare:
            prepare(servers.folder)
        servers._holder = subprocess.Popen(
            [cls.script, "hold", servers.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        return servers

    def wait_until_up(self):
        def up():
            assert not self._holder or self._holder.poll() is None, "the servers did not start; see above"
            return (self.folder / "ready").exists()

        wait_for(up, timeout=self.up_within_s, what=f"the servers in {self.folder}")
        return self

    def release(self):
        if self._holder:
            self._holder.stdin.close()
            self._holder.wait(timeout=60)

    def url(self, name):
        """AMQP_URL, RABBITMQ_API_URL, REDIS_URL or DATABASE_URL of these servers."""
        return re.search(rf"^export {name}=(\S+)$", (self.folder / "env").read_text(), re.M).group(1)

    def _do(self, *words, **environment):
        subprocess.run([self.script, *words], env={**os.environ, **environment}, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip

    def start(self, *names, **environment):
        """Start those that are down; returns when they answer. environment: what they get besides."""
        self._do("start", self.folder, *names, **environment)

    def kill(self, name):
        """SIGKILL to "rabbitmq", "redis" or "postgres"."""
        self._do("kill", self.folder, name)

    def pause(self, name):
        self._do("pause", self.folder, name)

    def resume(self, name):
        self._do("resume", self.folder, name)

    def rabbitmqctl(self, *words):
        """An order to this folder's broker, with the name, port and cookie that it runs under."""
        pid = (self.folder / "rabbitmq/pid").read_text().strip()
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        node = environment["RABBITMQ_NODENAME"]
        return subprocess.run(
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-n", node, *words],
            env=environment,
            cwd=self.folder / "rabbitmq",
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
