"""Waiting for a condition instead of for a time."""

import time


def wait_for(condition, timeout=10, interval=0.02, what=None):
    """Call condition() until it gives something true, and return that; fail after timeout seconds.

    A condition may also assert: the last AssertionError is what the failure says.
    """
    end = time.monotonic() + timeout
    problem = None
    while True:
        try:
            value = condition()
            problem = None
            if value:
                return value
        except AssertionError as error:
            problem = error
        if time.monotonic() >= end:
            waited_for = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"waited {timeout} s in vain for {waited_for}" + (f": {problem}" if problem else ""))
        time.sleep(interval)
