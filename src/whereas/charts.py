"""Charts as inline SVG: readable in black and white, without scripts, with a text alternative.

All text goes through `html.escape`; colours come from the page's CSS (`currentColor`, classes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

ROW, MARGIN = 22, 104
"""Height of a row, and room for its figures, in SVG units."""
DASHES = ("", "6 3", "2 3", "8 3 2 3")
"""One a series, so that lines differ without colour."""


class Interval(NamedTuple):
    """A named figure in [0, 1] with its interval (None where undefined or not drawn)."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    note: str = ""


def forest(rows: Sequence[Interval], *, title: str, width: int = 640, label: int = 230) -> str:
    """Points with intervals on a common axis from 0 to 1, a row a figure."""
    plot = width - label - MARGIN
    height = ROW * len(rows) + 30

    def x(value: float) -> float:
        return label + plot * value

    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(
            f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="4" '
            f'y2="{height - 22}"/><text class="tick" x="{x(tick):.1f}" y="{height - 8}" '
            f'text-anchor="middle">{tick:g}</text>'
        )
    for k, row in enumerate(rows):
        y = ROW * k + 16
        parts.append(f'<text x="0" y="{y + 4}">{escape(row.name)}</text>')
        if row.value is None:
            parts.append(f'<text class="tick" x="{x(0):.1f}" y="{y + 4}"> undefined</text>')
            continue
        if row.low is not None and row.high is not None:
            parts.append(
                f'<line class="bar" x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" '
                f'y1="{y}" y2="{y}"/>'
            )
        parts.append(f'<circle class="dot" cx="{x(row.value):.1f}" cy="{y}" r="4"/>')
        parts.append(
            f'<text class="value" x="{width - MARGIN + 10}" y="{y + 4}">{row.value:.3f}'
            f'<tspan class="tick"> {escape(row.note)}</tspan></text>'
        )
    return _svg(width, height, title, parts)


class Series(NamedTuple):
    """Points (x, y) in [0, 1] each, joined by a line; `intervals` of y, one a point, as bars."""

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False
    intervals: Sequence[tuple[float, float]] = ()


def curve(
    series: Sequence[Series], *, title: str, x_label: str, y_label: str, diagonal: bool = False
) -> str:
    """Lines on the unit square; `diagonal` marks where x equals y."""
    size, left, bottom = 300, 46, 40
    width, height = left + size + 10, size + bottom + 10 + 16 * len(series)

    def place(point: tuple[float, float]) -> str:
        return f"{left + size * point[0]:.1f},{10 + size * (1 - point[1]):.1f}"

    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        gx, gy = left + size * tick, 10 + size * (1 - tick)
        parts.append(
            f'<line class="grid" x1="{gx:.1f}" x2="{gx:.1f}" y1="10" y2="{10 + size}"/>'
            f'<line class="grid" x1="{left}" x2="{left + size}" y1="{gy:.1f}" y2="{gy:.1f}"/>'
            f'<text class="tick" x="{gx:.1f}" y="{size + 24}" text-anchor="middle">{tick:g}</text>'
            f'<text class="tick" x="{left - 6}" y="{gy + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    parts.append(
        f'<text x="{left + size / 2}" y="{size + 42}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text transform="translate(12 {10 + size / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    if diagonal:
        parts.append(
            f'<line class="grid" stroke-dasharray="2 4" x1="{left}" y1="{10 + size}" '
            f'x2="{left + size}" y2="10"/>'
        )
    for k, one in enumerate(series):
        points = " ".join(map(place, one.points))
        dash = f' stroke-dasharray="{DASHES[k % len(DASHES)]}"' if k % len(DASHES) else ""
        parts.append(f'<polyline class="line s{k % 4}"{dash} points="{points}"/>')
        for (at, _), ends in zip(one.points, one.intervals, strict=False):
            (x, low), (_, high) = (place((at, end)).split(",") for end in ends)
            parts.append(f'<line class="bar s{k % 4}" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>')
        if one.dots:
            for point in one.points:
                cx, cy = place(point).split(",")
                parts.append(f'<circle class="dot s{k % 4}" cx="{cx}" cy="{cy}" r="3"/>')
        y = size + 60 + 16 * k
        parts.append(
            f'<line class="line s{k % 4}"{dash} x1="{left}" x2="{left + 26}" y1="{y - 4}" '
            f'y2="{y - 4}"/><text x="{left + 32}" y="{y}">{escape(one.name)}</text>'
        )
    return _svg(width, height, title, parts)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    name = escape(title, quote=True)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{name}" '
        f'style="max-width:{width}px" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def matrix(
    names: Sequence[str], counts: Mapping[tuple[str, str], int], *, rows: str, columns: str
) -> str:
    """A confusion matrix as an HTML table: cells shaded by their share of the row."""
    head = "".join(f'<th scope="col"><span>{escape(n)}</span></th>' for n in names)
    lines = []
    for right in names:
        total = sum(counts.get((right, given), 0) for given in names)
        cells = []
        for given in names:
            n = counts.get((right, given), 0)
            share = n / total if total else 0.0
            mark = ' class="same"' if right == given else ""
            shade = f' style="--share:{share:.2f}"' if n else ""
            cells.append(f"<td{mark}{shade}>{n or ''}</td>")
        lines.append(f'<tr><th scope="row">{escape(right)}</th>{"".join(cells)}</tr>')
    return (
        f'<table class="matrix"><caption>{escape(rows)} by row, {escape(columns)} by column'
        f"</caption>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )
