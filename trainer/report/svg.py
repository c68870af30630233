"""Line charts as inline SVG; standard library only."""

import html
import math
from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]
COLORS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#4b5563")
_WIDTH, _HEIGHT = 420, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 10, 28


def line_chart(title: str, lines: Mapping[str, Points]) -> str:
    """Return a figure with one line for each name; points that are not finite are left out.

    Args:
        title: of the figure.
        lines: name -> (step, value) in order of steps.
    """
    kept = {n: [p for p in points if math.isfinite(p[1])] for n, points in lines.items()}
    kept = {n: points for n, points in kept.items() if points}
    if not kept:
        return ""
    every = [p for points in kept.values() for p in points]
    xs, ys = _range([x for x, _ in every]), _range([y for _, y in every])
    drawn = "".join(_line(points, xs, ys, COLORS[i % 8]) for i, points in enumerate(kept.values()))
    names = "".join(
        f'<span><i style="background:{COLORS[i % 8]}"></i>{html.escape(name)}</span>'
        for i, name in enumerate(kept)
    )
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f'{_axes(xs, ys)}{drawn}</svg><p class="legend">{names}</p></figure>'
    )


def _line(points: Points, xs: tuple[float, float], ys: tuple[float, float], color: str) -> str:
    places = [(_x(x, xs), _y(y, ys)) for x, y in points]
    if len(places) == 1:
        return f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3" fill="{color}"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline fill="none" stroke="{color}" stroke-width="1.6" points="{path}"/>'


def _axes(xs: tuple[float, float], ys: tuple[float, float]) -> str:
    parts = []
    for share in (0.0, 0.5, 1.0):
        y, x = ys[0] + share * (ys[1] - ys[0]), xs[0] + share * (xs[1] - xs[0])
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(y, ys):.1f}" y2="{_y(y, ys):.1f}" '
            f'class="grid"/><text x="{_LEFT - 6}" y="{_y(y, ys) + 4:.1f}" text-anchor="end">'
            f'{_short(y)}</text><text x="{_x(x, xs):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">'
            f"{x:.4g}</text>"
        )
    return "".join(parts)


def _short(value: float) -> str:
    text = f"{value:.3g}"
    return text if len(text) < 8 else f"{value:.1e}"


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _x(value: float, over: tuple[float, float]) -> float:
    return _LEFT + (value - over[0]) / (over[1] - over[0]) * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, over: tuple[float, float]) -> float:
    return _HEIGHT - _BOTTOM - (value - over[0]) / (over[1] - over[0]) * (_HEIGHT - _TOP - _BOTTOM)
