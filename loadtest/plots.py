"""Plots as inline SVG, without a library: lines over linear axes, and a swimlane.  Pure.

A reader needs no network and no script to see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 12, 24, 40
_COLOURS = ("#1f5fa8", "#c2511b", "#3a7d44", "#7a4fa3")
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x, y) in order of x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that lasted, in a lane of a swimlane; ``kind`` chooses the colour."""

    lane: str
    begin_s: float
    end_s: float
    kind: int
    title: str


def line_plot(title: str, x_label: str, y_label: str, lines: Sequence[Line]) -> str:
    """One SVG element; y begins at 0.  Empty text if there is nothing to show."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    if not xs:
        return ""
    low, high = min(xs), max(max(xs), min(xs) + 1e-9)
    top = max(max(ys), 1e-9) * 1.05

    def place(x: float, y: float) -> tuple[float, float]:
        across = (_WIDTH - _LEFT - _RIGHT) * (x - low) / (high - low)
        up = (_HEIGHT - _TOP - _BOTTOM) * y / top
        return _LEFT + across, _HEIGHT - _BOTTOM - up

    parts = [_text(_LEFT, 14, title, "start", bold=True)]
    for step in range(_TICKS + 1):
        x, y = low + (high - low) * step / _TICKS, top * step / _TICKS
        at_x, bottom = place(x, 0)
        left, at_y = place(low, y)
        parts.append(f'<path d="M{left:.1f} {at_y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(left - 6, at_y + 4, f"{y:.3g}", "end"))
        parts.append(_text(at_x, bottom + 15, f"{x:.3g}", "middle"))
    parts.append(_text((_WIDTH + _LEFT) / 2, _HEIGHT - 6, x_label, "middle"))
    parts.append(_text(_WIDTH - _RIGHT, 14, y_label, "end"))
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in line.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(_WIDTH - _RIGHT - 4, 32 + 15 * number, line.name, "end", colour=colour))
    return _svg(_HEIGHT, parts)


def swimlane(title: str, bars: Sequence[Bar]) -> str:
    """Bars over time, a lane for each name in order of its first; empty text without bars."""
    if not bars:
        return ""
    lanes = list(dict.fromkeys(bar.lane for bar in bars))
    low = min(bar.begin_s for bar in bars)
    high = max(max(bar.end_s for bar in bars), low + 1e-9)
    left, height = 110, _TOP + 26 * len(lanes) + _BOTTOM
    scale = (_WIDTH - left - _RIGHT) / (high - low)
    parts = [_text(_RIGHT, 14, title, "start", bold=True)]
    for number, lane in enumerate(lanes):
        parts.append(_text(left - 6, _TOP + 26 * number + 17, lane, "end"))
    for bar in bars:
        x, y = left + (bar.begin_s - low) * scale, _TOP + 26 * lanes.index(bar.lane) + 4
        width = max(1.0, (bar.end_s - bar.begin_s) * scale)
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="18" '
            f'fill="{_COLOURS[bar.kind % len(_COLOURS)]}"><title>{escape(bar.title)}</title></rect>'
        )
    for step in range(_TICKS + 1):
        at = low + (high - low) * step / _TICKS
        parts.append(_text(left + (at - low) * scale, height - 22, f"{at:.1f}", "middle"))
    parts.append(_text((_WIDTH + left) / 2, height - 6, "seconds", "middle"))
    return _svg(height, parts)


def _svg(height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img" '
        f'font-family="sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


def _text(
    x: float, y: float, text: str, anchor: str, *, bold: bool = False, colour: str = "#333"
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>'
        f"{escape(text)}</text>"
    )
