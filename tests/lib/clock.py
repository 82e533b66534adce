"""A wall clock that a test sets, for programs that it starts."""

import shutil
import struct

from .servers import ROOT

LIBRARY = ROOT / "build/tests/step_clock.so"
HOUR_S = 3600


class Clock:
    """Programs started with .settings in their environment have it, and their children: step() holds for all of them at once.
    The folder must be one that they can reach."""

    def __init__(self, folder):
        self._file = folder / "clock"
        self.step(0)
        self._file.chmod(0o644)
        library = folder / LIBRARY.name
        shutil.copy(LIBRARY, library)
        library.chmod(0o755)
        self.settings = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self._file)}

    def step(self, seconds):
        """So many seconds off the true time."""
        with open(self._file, "r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))
