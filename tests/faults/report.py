"""What was seen: a table for the terminal, and the same as a section of docs/promises.md."""

import json
import re

BEGIN = "<!-- faults: written by make faults-table; change tests/faults/ instead -->"
END = "<!-- faults: end -->"


def worst(row):
    """The rounds of a row as one; None where it never ran, text where it was skipped or failed."""
    if not row.seen:
        return None
    if any("failed" in seen for seen in row.seen):
        return "FAILED"
    ran = [seen for seen in row.seen if "skipped" not in seen]
    if not ran:
        return "skipped: " + row.seen[0]["skipped"]
    return {
        "rounds": len(ran),
        "fired": sum(seen["fired"] for seen in ran),
        "recovered_s": max(seen["recovered_s"] for seen in ran),
        "longest_s": max(seen["longest_ms"] for seen in ran) / 1000,
        "redelivered": sum(seen["redelivered"] for seen in ran),
        "duplicates": sum(seen["duplicates"] for seen in ran),
        "dead": sum(seen["dead"] for seen in ran),
    }


def cells(row):
    seen = worst(row)
    if not isinstance(seen, dict):
        return [seen or "not run", "", "", "", "", "", ""]
    return [
        str(seen["rounds"]), str(seen["fired"]), f"{seen['recovered_s']:.1f} s", f"{seen['longest_s']:.1f} s",
        str(seen["redelivered"]), str(seen["duplicates"]), str(seen["dead"]),
    ]  # fmt: skip


HEADS = ["rounds", "fired", "recovered in", "longest call", "redelivered", "settled again", "dead, redriven"]


def print_table(rows):
    lines = [["row", *HEADS]] + [[row.name, *cells(row)] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS) + 1)]
    print()
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def keep(path, rows, seed, add):
    """What each row has seen, for write_section()."""
    known = json.loads(path.read_text()) if add and path.exists() else {}
    for row in rows:
        if row.seen:
            known[row.name] = {"seed": seed, "seen": row.seen}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(known, indent=1))


def write_section(page, path, rows):
    """Between the two marks of the page: what is done, what must hold, what was seen by the runs that keep() knows."""
    known = json.loads(path.read_text()) if path.exists() else {}
    for row in rows:
        row.seen = known.get(row.name, {"seen": []})["seen"]
    seeds = " and ".join(sorted({str(one["seed"]) for one in known.values()})) or "any"
    lines = [
        BEGIN, "",
        f"Seen by `make faults` with `FAULTS_SEED` {seeds}; `make faults-table` writes it here. *Recovered in*: from the end of the fault until every",
        "worker is ready and every service answers. *Longest call*: the longest that a client or a worker had a call in hand; clients give up after 5 s,",
        "over HTTP after 20 s. *Settled again*: fights settled once more, with no effect.", "",
        "| fault | what is done | known to have fired by | must hold | " + " | ".join(HEADS) + " |",
        "| --- | --- | --- | --- |" + " ---: |" * len(HEADS),
    ]  # fmt: skip
    for row in rows:
        must = row.checks + (f"; may lose {row.loses}" if row.loses else "")
        lines.append(f"| {row.name} | {row.what} | {row.fired} | {must} | " + " | ".join(cells(row)) + " |")
    section = "\n".join([*lines, "", END])
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.S)
    page.write_text(pattern.sub(lambda _: section, page.read_text()))
