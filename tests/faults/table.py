"""The table of faults: a row each, beside what it is done by."""

from dataclasses import dataclass, field

ROWS = []


@dataclass
class Row:
    name: str
    inflict: object  # inflict(run): does it, heals it, and tells how often it is known to have fired
    what: str  # what is done, how often
    fired: str  # how it is known to have fired
    checks: str  # invariants
    loses: str  # what may be lost, as documented; "" for nothing
    short: bool  # of the short form as well
    stopped_s: int  # so long a worker is stopped with messages in hand
    spoils: bool = False  # servers that it was done to are not to be judged by
    seen: list = field(default_factory=list)


def row(name, fired, checks="I1-I8", loses="", short=False, stopped_s=0, spoils=False):
    """The function's first paragraph says what is done."""

    def add(function):
        what = " ".join(function.__doc__.split())
        ROWS.append(Row(name, function, what, fired, checks, loses, short, stopped_s, spoils))
        return function

    return add


class Skip(Exception):
    """This machine cannot do it; says why."""
