"""How the cost of each figure grows with the population: the table, the plot, and the check."""

import math

from .plot import Panel, draw, people
from .results import markdown_table, origin, spread

PREFIX = "growth_"
STEP = 1.5  # what any size may cost more than a smaller one: a few characters share pages and caches, many do not


def by_work(results):
    """{(work, unit): {population: figure}} of the parts growth_1000, growth_10000, …"""
    found = {}
    parts = {int(name.removeprefix(PREFIX)): part for name, part in results.parts.items() if name.startswith(PREFIX)}
    for population, part in sorted(parts.items()):
        for figure in part["figures"]:
            found.setdefault((figure["work"], figure["unit"]), {})[population] = figure
    return found


def breaches(results):
    """What grows faster than the logarithm of the population, one sentence each.

    Any two populations are compared, by the ends of their spreads that lie nearest: noise alone is no breach, nor is a STEP.
    """
    found = []
    for (work, unit), figures in by_work(results).items():
        populations = sorted(figures)
        for i, few in enumerate(populations):
            for many in populations[i + 1 :]:
                allowed = max(math.log(many) / math.log(few), STEP)
                grown = figures[many]["min"] / figures[few]["max"]
                if grown > allowed:
                    found.append(
                        f"{work}: {grown:.2f} times the {unit} with {people(many)} of what it is with {people(few)};"
                        f" {allowed:.2f} is allowed"
                    )
    return found


def markdown(results):
    works = by_work(results)
    populations = sorted({population for figures in works.values() for population in figures})
    rows = []
    for (work, unit), figures in works.items():
        cells = [spread(figures[n]) if n in figures else "" for n in populations]
        first, last = figures.get(populations[0]), figures.get(populations[-1])
        grown = f"{last['median'] / first['median']:.2f}" if first and last else ""
        rows.append((work, unit, *cells, grown))
    limit = math.log(populations[-1]) / math.log(populations[0])
    heads = ("work", "cost", *(people(n) for n in populations), f"last / first (limit {limit:.2f})")
    found = breaches(results)
    verdict = "Nothing grows faster than the logarithm of the population." if not found else "\n".join(f"- {b}" for b in found)
    return f"{markdown_table(heads, rows)}\n\n{verdict}\n\n{origin(results)}"


def limit_from(point):
    few, measured = point
    return lambda population: measured["median"] * math.log(population) / math.log(few)


def svg(results):
    panels = [
        Panel(work, unit, points, limit_from(points[0]))
        for (work, unit), figures in by_work(results).items()
        for points in [sorted(figures.items())]
    ]
    return draw("What a piece of work costs as the game grows", panels)
