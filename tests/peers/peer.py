"""How the peers are started, tuned and timed. Garrison's own workers are timed by the same means."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from lib.bench import number
from lib.wait import wait_for

HERE = Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # Debian's, for which Debian's packages are
FROM, TO = 0.2, 0.9  # the part of the work that counts: not the start, not the last who still have something to do


class Peer:
    """Some processes that run the same program; their log is shown when one ends by itself."""

    def __init__(self, bench, *words, processes=1, **settings):
        descriptor, name = tempfile.mkstemp(prefix="peer-", suffix=".log", dir=bench.log_dir)
        self.log = Path(name)
        environment = {
            **bench.stack.environment,
            "PYTHONPATH": str(HERE),
            "PYTHONDONTWRITEBYTECODE": "1",
            **{name.upper(): str(value) for name, value in settings.items()},
        }
        self.processes = [self._start(words, environment, descriptor) for _ in range(processes)]
        os.close(descriptor)

    @staticmethod
    def _start(words, environment, log):
        # The kernel ends it with us, so that an interrupted run leaves nothing behind; its children end with its group.
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", PYTHON, *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    @property
    def log_text(self):
        return self.log.read_text()[-3000:]

    def check(self):
        for process in self.processes:
            if process.poll() is not None:
                raise RuntimeError(f"a peer ended with {process.returncode}: {self.log_text}")

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


class Ours:
    """Workers of Garrison's, to be started and stopped as a Peer is."""

    def __init__(self, bench, service, **settings):
        self.worker = bench.fleet.start(service, ready=False, log_level="warn", **settings)

    @property
    def log_text(self):
        return self.worker.log_text[-3000:]

    def check(self):
        assert self.worker.running, self.log_text

    def stop(self):
        self.worker.stop()


def rate_of(n, count_done, start, timeout=240, interval=0.01):
    """Start what does n pieces of work; returns it, pieces a second between FROM and TO of them, and when FROM were done."""
    seen, running = [], start()

    def enough():
        running.check()
        seen.append((time.monotonic(), count_done()))
        return seen[-1][1] >= n * TO

    try:
        wait_for(enough, timeout, interval=interval, what=f"{n} pieces of work")
    except BaseException:
        running.stop()
        raise
    begin = next(point for point in seen if point[1] >= n * FROM)
    return running, (seen[-1][1] - begin[1]) / max(seen[-1][0] - begin[0], interval), begin[0]


def told(settings):
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def best_of(what, candidates, measure):
    """Try each of the settings once, on the same work as is measured afterwards; returns the fastest."""
    rates = []
    for settings in candidates:
        rates.append(measure(settings))
        print(f"  {what}, {told(settings)}: {number(rates[-1])} a second", flush=True)
    return candidates[rates.index(max(rates))]
