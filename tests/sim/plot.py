"""Small multiples as SVG, by hand: a line with dots and some marks in each panel.

The vertical axis is logarithmic, with a place of its own for 0 below it, as the difference between
1 % and 0.1 % matters and "none" must be visible.  Nothing but the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 300, 200
MARGIN_LEFT, MARGIN_TOP, MARGIN_BOTTOM, GAP = 48, 30, 34, 24
HEADER, FOOTER, COLUMNS = 56, 8, 3
Y_DECADES = (0.1, 1.0, 10.0, 100.0)
_ZERO_PX = 26
"""Height of the strip for 0."""
LINE_COLOUR, MARK_COLOUR, INK, GRID = "#6b7280", "#c2410c", "#1f2937", "#e5e7eb"


@dataclass(frozen=True, slots=True)
class Point:
    """``y`` in per cent."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Panel:
    """One small plot."""

    title: str
    line: tuple[Point, ...]
    marks: tuple[Point, ...] = ()


def figure(
    panels: Sequence[Panel],
    *,
    title: str,
    x_label: str,
    y_label: str,
    line_label: str,
    mark_label: str,
) -> str:
    """A complete SVG document; all panels share their axes."""
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = columns * (WIDTH + GAP) + GAP
    height = HEADER + rows * (HEIGHT + GAP) + FOOTER
    x_max = max(point.x for panel in panels for point in (*panel.line, *panel.marks))
    x_step = _step(x_max)
    x_max = x_step * math.ceil(x_max / x_step)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="11" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(GAP, 22, title, size=14),
        f'<circle cx="{GAP + 5}" cy="40" r="3" fill="{LINE_COLOUR}"/>',
        _text(GAP + 14, 44, line_label),
        _mark(GAP + 175, 40),
        _text(GAP + 186, 44, mark_label),
        _text(width - GAP, 44, f"{y_label} over {x_label}", anchor="end"),
    ]
    for index, panel in enumerate(panels):
        left = GAP + (index % columns) * (WIDTH + GAP)
        top = HEADER + (index // columns) * (HEIGHT + GAP)
        parts += _panel(panel, left, top, x_max, x_step)
    return "\n".join([*parts, "</svg>", ""])


def _step(x_max: float) -> float:
    """A round distance between ticks, for about four of them."""
    power = 10 ** math.floor(math.log10(x_max / 4))
    return float(next(step for step in (1, 2, 5, 10) if step * power >= x_max / 4) * power)


def _panel(panel: Panel, left: float, top: float, x_max: float, x_step: float) -> Iterator[str]:
    x0, x1 = left + MARGIN_LEFT, left + WIDTH
    y0, y1 = top + HEIGHT - MARGIN_BOTTOM, top + MARGIN_TOP

    def x(value: float) -> float:
        return x0 + (x1 - x0) * value / x_max

    def y(per_cent: float) -> float:
        if per_cent <= 0:
            return y0
        low, high = math.log10(Y_DECADES[0]), math.log10(Y_DECADES[-1])
        share = (max(math.log10(per_cent), low) - low) / (high - low)
        return y0 - _ZERO_PX - (y0 - _ZERO_PX - y1) * share

    yield _text(x0, top + 18, panel.title, size=12)
    for per_cent in (0.0, *Y_DECADES):
        yield _line(x0, y(per_cent), x1, y(per_cent))
        yield _text(x0 - 6, y(per_cent) + 4, f"{per_cent:g}", anchor="end")
    tick = 0.0
    while tick <= x_max:
        yield _line(x(tick), y1, x(tick), y0)
        yield _text(x(tick), y0 + 16, f"{tick:g}", anchor="middle")
        tick += x_step
    path = " ".join(f"{x(p.x):.1f},{y(p.y):.1f}" for p in panel.line)
    yield f'<polyline points="{path}" fill="none" stroke="{LINE_COLOUR}" stroke-width="1.5"/>'
    for point in panel.line:
        yield f'<circle cx="{x(point.x):.1f}" cy="{y(point.y):.1f}" r="3" fill="{LINE_COLOUR}"/>'
    for point in panel.marks:
        yield _mark(x(point.x), y(point.y))


def _mark(x: float, y: float) -> str:
    return (
        f'<path d="M{x:.1f} {y - 6:.1f} l6 6 l-6 6 l-6 -6 z" fill="{MARK_COLOUR}" '
        'stroke="#ffffff"/>'
    )


def _line(x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<path d="M{x0:.1f} {y0:.1f} L{x1:.1f} {y1:.1f}" stroke="{GRID}"/>'


def _text(x: float, y: float, text: str, *, size: int = 11, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
