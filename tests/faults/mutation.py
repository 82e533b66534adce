"""A settlement worker that was built without idempotency: what the judge must not let pass."""

import fcntl
import subprocess

from lib.servers import ROOT

OUT = ROOT / "build/forgetful"


def forgetful_bin():
    """The folder it lies in; built when it is missing or old, by one of several who want it at once."""
    OUT.mkdir(parents=True, exist_ok=True)
    with open(OUT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(
            ["make", "-s", "-C", ROOT, f"OUT={OUT.relative_to(ROOT)}", "EXTRA_CFLAGS=-DGARRISON_TEST_SETTLE_EVERY_TIME",
             f"{OUT.relative_to(ROOT)}/bin/garrison-combat-settlement"],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return OUT / "bin"


def forgetful_settlement(world):
    """From now on both settlement workers are such."""
    world.bins["combat-settlement"] = forgetful_bin()
    for number in (1, 2):
        world.replace_worker(f"combat-settlement/{number}")
