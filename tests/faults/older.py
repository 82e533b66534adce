"""The fleet as it was when the newest migration came: the oldest version that works with the database there is now."""

import fcntl
import os
import subprocess

from lib.servers import ROOT

OUT = ROOT / "build/older"


def git(*words):
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def older_bin(services):
    """The folder of those services' binaries, built when they are missing, by one of several who want them at once; None where git does not know."""
    commit = git("log", "-1", "--format=%H", "--diff-filter=A", "--", "deploy/migrations/*.sql")
    if not commit or git("rev-parse", "--is-shallow-repository") != "false":
        return None
    source = OUT / commit
    OUT.mkdir(parents=True, exist_ok=True)
    with open(OUT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not source.exists():
            archive = subprocess.run(["git", "-C", ROOT, "archive", commit], capture_output=True, check=True)
            source.mkdir()
            subprocess.run(["tar", "-x", "-C", source], input=archive.stdout, check=True)
        apart = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
        subprocess.run(["make", "-s", "-C", source, f"VERSION={commit[:7]}", *[f"build/bin/garrison-{s}" for s in services]],
                       env=apart, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip
    return source / "build/bin"
