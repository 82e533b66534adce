"""What was sent and what was answered: only ever added to, beside the system and before it is judged."""

import json
import threading
import time


class History:
    """Entries of (seconds since the epoch, kind, details), each also a line of a file."""

    def __init__(self, path):
        self._file = open(path, "w", buffering=1)  # noqa: SIM115 # as long as the run
        self._lock = threading.Lock()
        self.entries = []

    def note(self, kind, **details):
        with self._lock:
            self.entries.append((time.time(), kind, details))
            self._file.write(json.dumps({"at": self.entries[-1][0], "kind": kind, **details}) + "\n")

    def of(self, kind, first=0):
        """The details of all entries of a kind, from the entry of that number on."""
        return [details for _, k, details in self.entries[first:] if k == kind]

    def times_of(self, kind):
        return [at for at, k, _ in self.entries if k == kind]

    def __len__(self):
        return len(self.entries)
