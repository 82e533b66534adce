"""What benches found, as kept in a JSON file, and as tables of text and Markdown.

    {"commit": ..., "machine": {...}, "parts": {"bench_arena": {"started_at", "load", "seconds", "runs", "scale", "figures"}}}

A file is of one commit: a bench that is run again replaces its own part, and parts of another commit are dropped.
"""

import json
import re
from pathlib import Path

from .bench import number

HEADS = ("work", "figure (lowest to highest)", "beside it", "ratio", "goal", "reached")


class Results:
    def __init__(self, commit, machine):
        self.commit = commit
        self.machine = machine
        self.parts = {}

    @classmethod
    def read(cls, path):
        kept = json.loads(Path(path).read_text())
        results = cls(kept["commit"], kept["machine"])
        results.parts = kept["parts"]
        return results

    def keep_parts_of(self, path):
        """Take over what an older file of the same commit has; returns the commit of a file that is of no use, or None."""
        if not Path(path).exists():
            return None
        older = Results.read(path)
        if older.commit != self.commit:
            return older.commit
        self.parts = {**older.parts, **self.parts}
        return None

    def write(self, path):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"commit": self.commit, "machine": self.machine, "parts": dict(sorted(self.parts.items()))}
        path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")

    def figures(self):
        return [figure for _, part in sorted(self.parts.items()) for figure in part["figures"]]


# The table --------------------------------------------------------------------------------------------------------------


def spread(measured, unit=""):
    text = number(measured["median"]) + (" " + unit if unit else "")
    if measured["min"] == measured["max"]:
        return text
    return f"{text} ({number(measured['min'])} to {number(measured['max'])})"


def goal_text(goal):
    if goal is None:
        return ""
    sign = "≥" if goal["kind"].endswith("least") else "≤"
    limit = f"{goal['limit']:,g}" if goal["limit"] < 1000 else f"{goal['limit']:,.0f}"
    return f"{sign} {limit}" + (" ×" if goal["kind"].startswith("ratio") else "")


def rows_of(figure):
    """One row, and one more for each further thing that the figure stands beside."""
    reached = {None: "", True: "yes", False: "no"}[figure["reached"]]
    beside = [(f"{c['what']}: {spread(c)}", f"{c['ratio']:.2f}") for c in figure["ceilings"]] or [("", "")]
    rows = [(figure["work"], spread(figure, figure["unit"]), *beside[0], goal_text(figure["goal"]), reached)]
    return rows + [("", "", *more, "", "") for more in beside[1:]]


def text_table(figures):
    """For a terminal: what a figure stands beside has a line of its own below it."""
    rows = [("work", "figure (lowest to highest)", "ratio", "goal", "reached")]
    for figure in figures:
        _, shown, _, _, goal, reached = rows_of(figure)[0]
        rows.append((figure["work"], shown, "", goal, reached))
        rows += [("  " + c["what"], spread(c), f"{c['ratio']:.2f}", "", "") for c in figure["ceilings"]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def markdown_table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def machine_text(results):
    """For a terminal."""
    return "\n".join(f"{name}: {text}" for name, text in results.machine.items())


def origin(results):
    """When each part was taken, and on what machine."""
    machine = [("commit", f"`{results.commit}`"), *results.machine.items()]
    runs = [
        (f"`{name}`", part["started_at"], f"{part['load']:.1f}", f"{part['seconds']:.0f} s", str(part["runs"]), f"{part['scale']:g}")
        for name, part in sorted(results.parts.items())
    ]
    heads = ("taken by", "begun", "load average then", "took", "runs", "scale")
    return markdown_table(("the machine", ""), machine) + "\n\n" + markdown_table(heads, runs)


def goals_reached(figures):
    judged = [figure["reached"] for figure in figures if figure["goal"]]
    return f"{sum(judged)} of {len(judged)} goals are reached."


def markdown(results):
    rows = [row for figure in results.figures() for row in rows_of(figure)]
    return "\n\n".join((markdown_table(HEADS, rows), goals_reached(results.figures()), origin(results)))


def replace_section(text, name, content):
    """Text between <!-- NAME: begin --> and <!-- NAME: end --> replaced."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    assert len(pattern.findall(text)) == 1, f"there must be one section {begin} ... {end}"
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)
