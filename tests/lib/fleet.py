"""The workers under test."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import requests

from .wait import wait_for

SIGNAL_OF_TIMEOUT = 30


def free_address():
    """A loopback address nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % probe.getsockname()[1]


def http_get(url):
    """requests.get without proxies; None when nobody answers."""
    session = requests.Session()
    session.trust_env = False
    try:
        return session.get(url, timeout=5)
    except requests.ConnectionError:
        return None


class Worker:
    """One process. Settings are given in lower or upper case: Worker(..., tick_interval="2s"). A launcher is a command that becomes the
    worker, as ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh") does."""

    def __init__(self, stack, service, log_dir, arguments=(), launcher=(), **settings):
        self.service = service
        self.settings = {name.upper(): str(value) for name, value in settings.items()}
        self.settings.setdefault("ADMIN_ADDR", free_address())
        if service == "gateway":
            self.settings.setdefault("GATEWAY_ADDR", free_address())
        self.admin_url = "http://" + self.settings["ADMIN_ADDR"]
        self.url = "http://" + self.settings.get("GATEWAY_ADDR", "")
        self.expect_exit = 0
        descriptor, name = tempfile.mkstemp(prefix=service + "-", suffix=".log", dir=log_dir)
        self.log_path = Path(name)
        self.started_at = time.monotonic()
        # The kernel ends it with us, so that an interrupted run leaves nothing behind.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *launcher, stack.binary("garrison-" + service), *arguments],
            env={**stack.environment, **(stack.users.settings(service) if stack.users else {}), **self.settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=descriptor,
        )
        os.close(descriptor)

    def __repr__(self):
        return f"<{self.service} pid {self.process.pid}>"

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process.poll() is None

    # What it says ---------------------------------------------------------------------------------------------------

    @property
    def log_text(self):
        return self.log_path.read_text(errors="replace")

    @property
    def logs(self):
        """Its log lines as objects; what is no JSON object is left out here and complained about by stop()."""
        lines = []
        for line in self.log_text.splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                pass
        return lines

    def wait_for_log(self, timeout=10, **members):
        """The first line with these members: wait_for_log(command="join_queue", outcome="done")."""

        def line():
            return next((log for log in self.logs if members.items() <= log.items()), None)

        return wait_for(line, timeout, what=f"a log line of {self.service} with {members}")

    def ready(self):
        response = http_get(self.admin_url + "/readyz")
        return response is not None and response.status_code == 200

    def wait_ready(self, timeout=30):
        def ready():
            if not self.running:
                raise RuntimeError(f"{self.service} ended with {self.process.returncode}: {self.log_text[-2000:]}")
            return self.ready()

        wait_for(ready, timeout, interval=0.005, what=f"{self.service} to be ready")
        return self

    def metrics(self):
        """{'name{label="value"}': number}"""
        text = http_get(self.admin_url + "/metrics").text
        return {m[1]: float(m[2]) for m in re.finditer(r"^([^#\s][^\s{]*(?:\{.*\})?) (\S+)$", text, re.M)}

    def resident_bytes(self):
        return int(re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.M)[1]) * 1024

    # What is done to it ---------------------------------------------------------------------------------------------

    def signal(self, number):
        self.process.send_signal(number)

    def terminate(self):
        self.signal(signal.SIGTERM)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def wait(self, timeout=SIGNAL_OF_TIMEOUT):
        """Its exit code (negative: the signal that killed it)."""
        return self.process.wait(timeout)

    def kill(self):
        """SIGKILL: as a crash looks to everybody else."""
        self.expect_exit = -signal.SIGKILL
        self.process.kill()
        self.wait()

    def stop(self, timeout=SIGNAL_OF_TIMEOUT):
        """SIGTERM, and the clean end that must follow. A test that expects another end sets expect_exit."""
        if self.running:
            self.resume()
            self.terminate()
        try:
            status = self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise AssertionError(f"{self} did not stop within {timeout} s: {self.log_text[-2000:]}") from None
        assert status == self.expect_exit, f"{self} ended with {status}: {self.log_text[-4000:]}"
        for line in self.log_text.splitlines():
            assert line.startswith("{") and line.endswith("}"), f"{self}: no log line: {self.log_text[-4000:]}"
        return status


class Fleet:
    """Starts workers and answers for their clean end."""

    def __init__(self, stack, log_dir):
        self.stack = stack
        self.log_dir = log_dir
        self.workers = []

    def start(self, service, ready=True, arguments=(), launcher=(), **settings):
        worker = Worker(self.stack, service, self.log_dir, arguments, launcher, **settings)
        self.workers.append(worker)
        return worker.wait_ready() if ready else worker

    def run(self, service, *arguments, timeout=30, **settings):
        """Run a binary to its end (--help, --describe, a bad setting)."""
        return subprocess.run(
            [self.stack.binary("garrison-" + service), *arguments],
            env={**self.stack.environment, **{name.upper(): str(value) for name, value in settings.items()}},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def stop(self):
        workers, self.workers = self.workers, []
        for worker in workers:  # all at once, as an orchestrator would
            if worker.running:
                worker.resume()
                worker.terminate()
        problems = []
        for worker in workers:
            try:
                worker.stop()
            except AssertionError as problem:
                problems.append(str(problem))
        assert not problems, "\n".join(problems)
