"""Small multiples as one SVG file: how each of several figures changes with the population. No library, light and dark."""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .bench import number

COLUMNS = 2
WIDTH, HEIGHT = 430, 250  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 58, 20, 62, 40  # around its axes
INSET = 30  # from the axes' ends to the first and last point
HEAD = 84  # above all panels
MARGIN = 14

STYLE = """
.page { fill: #ffffff } .title { fill: #1b2430; font-size: 20px; font-weight: 600 } .lead { fill: #586474; font-size: 13px }
.name { fill: #1b2430; font-size: 14px; font-weight: 600 } .unit, .tick { fill: #586474; font-size: 12px }
.grid { stroke: #e4e8ee; stroke-width: 1 } .axis { stroke: #aab4c0; stroke-width: 1 }
.limit { stroke: #b4690e; stroke-width: 1.5; stroke-dasharray: 5 4; fill: none } .limit-text { fill: #965508; font-size: 12px }
.line { stroke: #1f6feb; stroke-width: 2; fill: none } .dot { fill: #1f6feb; stroke: #ffffff; stroke-width: 1.5 }
.whisker { stroke: #1f6feb; stroke-width: 1.5; opacity: .55 } .value { fill: #1b2430; font-size: 12px; font-weight: 600 }
text { font-family: -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif }
.value { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round }
@media (prefers-color-scheme: dark) {
.page { fill: #10151c } .title, .name, .value { fill: #e8edf4 } .lead, .unit, .tick { fill: #9aa7b6 }
.grid { stroke: #242d38 } .axis { stroke: #556170 } .limit { stroke: #e0a458 } .limit-text { fill: #e0a458 }
.line { stroke: #6cb0ff } .dot { fill: #6cb0ff; stroke: #10151c } .whisker { stroke: #6cb0ff } .value { stroke: #10151c }
}
""".strip()


@dataclass
class Panel:
    name: str
    unit: str
    points: list  # (population, {"median", "min", "max"}), by population
    limit: object  # what the cost may be at a population


def text(x, y, words, style, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'


def path(points, style):
    return f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}" class="{style}"/>'


def steps_up_to(highest, about=4):
    """Round numbers from 0 to the first that is not below highest."""
    raw = highest / about
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw)
    return [step * i for i in range(math.ceil(highest / step - 1e-9) + 1)]


def people(n):
    return "1 million" if n == 1_000_000 else f"{n:,}"


class Axes:
    """Where a value lies in a panel: x by the logarithm of the population, y from 0."""

    def __init__(self, left, top, populations, highest):
        self.left, self.right = left + LEFT, left + WIDTH - RIGHT
        self.top, self.bottom = top + TOP, top + HEIGHT - BOTTOM
        self.populations = populations
        self.steps = steps_up_to(highest)

    def x(self, population):
        low, high = math.log(self.populations[0]), math.log(self.populations[-1])
        share = (math.log(population) - low) / max(high - low, 1e-9)
        return self.left + INSET + share * (self.right - self.left - 2 * INSET)

    def y(self, value):
        return self.bottom - value / self.steps[-1] * (self.bottom - self.top)

    def draw(self):
        parts = []
        for step in self.steps:
            parts.append(line(self.left, self.y(step), self.right, self.y(step), "grid" if step else "axis"))
            parts.append(text(self.left - 8, self.y(step) + 4, f"{step:,.6g}", "tick", "end"))
        for population in self.populations:
            parts.append(line(self.x(population), self.bottom, self.x(population), self.bottom + 5, "axis"))
            parts.append(text(self.x(population), self.bottom + 20, people(population), "tick", "middle"))
        return parts


def draw_limit(axes, panel):
    first, last = axes.populations[0], axes.populations[-1]
    between = [first * (last / first) ** (i / 40) for i in range(41)]
    return path([(axes.x(n), axes.y(panel.limit(n))) for n in between], "limit")


def draw_point(axes, population, measured):
    x, y = axes.x(population), axes.y(measured["median"])
    return [
        line(x, axes.y(measured["min"]), x, axes.y(measured["max"]), "whisker"),
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="dot"/>',
        text(x, axes.y(measured["min"]) + 19, number(measured["median"]), "value", "middle"),
    ]


def draw_panel(panel, left, top):
    populations = [population for population, _ in panel.points]
    highest = max([measured["max"] for _, measured in panel.points] + [panel.limit(populations[-1])])
    axes = Axes(left, top, populations, highest)
    parts = [text(left + 14, top + 26, panel.name, "name"), text(left + 14, top + 44, f"{panel.unit}, by number of characters", "unit"), *axes.draw()]
    parts.append(draw_limit(axes, panel))
    parts.append(path([(axes.x(n), axes.y(measured["median"])) for n, measured in panel.points], "line"))
    for population, measured in panel.points:
        parts += draw_point(axes, population, measured)
    return parts


def draw_legend(x, y):
    return [
        line(x, y - 4, x + 26, y - 4, "line"),
        line(x + 13, y - 11, x + 13, y + 3, "whisker"),
        f'<circle cx="{x + 13}" cy="{y - 4}" r="4.5" class="dot"/>',
        text(x + 34, y, "median, lowest and highest", "lead"),
        line(x + 228, y - 4, x + 262, y - 4, "limit"),
        text(x + 270, y, "what would grow as the logarithm of the number of characters", "lead"),
    ]


def draw(title, panels):
    """The SVG document: a title, a legend, and the panels in two columns."""
    rows = math.ceil(len(panels) / COLUMNS)
    width, height = COLUMNS * WIDTH + 2 * MARGIN, HEAD + rows * HEIGHT + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" rx="10" class="page"/>',
        text(MARGIN + 14, 38, title, "title"),
        *draw_legend(MARGIN + 14, 63),
    ]
    for i, panel in enumerate(panels):
        parts += draw_panel(panel, MARGIN + i % COLUMNS * WIDTH, HEAD + i // COLUMNS * HEIGHT)
    return "\n".join([*parts, "</svg>", ""])
