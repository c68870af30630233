"""Line charts as inline SVG; standard library only."""

import dataclasses
import html
import math
from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]
COLORS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#4b5563")
_WIDTH, _HEIGHT = 320, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 18, 10, 24
_WANTED = 4


@dataclasses.dataclass(frozen=True)
class Axis:
    """Where values lie on a line of `length` pixels that begins at `start`."""

    low: float
    high: float
    start: float
    length: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * self.length


def line_chart(title: str, lines: Mapping[str, Points], *, log: bool = False) -> str:
    """Return a figure with one line for each name; points that are not finite are left out.

    Args:
        title: of the figure.
        lines: name -> (step, value) in order of steps.
        log: draw powers of ten at equal distances, where every value is above zero.
    """
    kept = {n: [p for p in points if math.isfinite(p[1])] for n, points in lines.items()}
    kept = {n: points for n, points in kept.items() if points}
    if not kept:
        return ""
    xs, ys = ([p[i] for points in kept.values() for p in points] for i in (0, 1))
    log = log and min(ys) > 0
    y_ticks = _powers(min(ys), max(ys)) if log else round_numbers(min(ys), max(ys))
    x = Axis(*_widened(min(xs), max(xs)), _LEFT, _WIDTH - _LEFT - _RIGHT)
    low, high = _widened(min(*ys, *y_ticks), max(*ys, *y_ticks))
    y = Axis(low, high, _HEIGHT - _BOTTOM, _TOP + _BOTTOM - _HEIGHT, log)
    x_ticks = [t for t in round_numbers(min(xs), max(xs)) if x.low <= t <= x.high]
    drawn = "".join(
        f'<g data-name="{html.escape(name)}">{_line(p, x, y, COLORS[i % 8])}</g>'
        for i, (name, p) in enumerate(kept.items())
    )
    names = "".join(
        f'<span data-name="{html.escape(name)}"><i style="background:{COLORS[i % 8]}"></i>'
        f"{html.escape(name)} <b>{points[-1][1]:.4g}</b></span>"
        for i, (name, points) in enumerate(kept.items())
    )
    return _figure(title, f"{_grid(x, x_ticks, y, y_ticks)}{drawn}", names)


def scatter(title: str, points: Mapping[str, tuple[float, float]]) -> str:
    """Return a figure with one point for each name.

    Values of x that span two powers of ten and more, as learning rates do, lie by their powers.
    """
    kept = {n: p for n, p in points.items() if all(map(math.isfinite, p))}
    if not kept:
        return ""
    xs, ys = ([p[i] for p in kept.values()] for i in (0, 1))
    log = min(xs) > 0 and max(xs) >= 100 * min(xs)
    x_ticks = _powers(min(xs), max(xs)) if log else round_numbers(min(xs), max(xs))
    y_ticks = round_numbers(min(ys), max(ys))
    x = Axis(*_widened(min(*xs, *x_ticks), max(*xs, *x_ticks)), _LEFT,
             _WIDTH - _LEFT - _RIGHT, log)  # fmt: skip
    y = Axis(y_ticks[0], y_ticks[-1], _HEIGHT - _BOTTOM, _TOP + _BOTTOM - _HEIGHT)
    drawn = "".join(
        f'<circle data-name="{html.escape(name)}" cx="{x.place(a):.1f}" cy="{y.place(b):.1f}" '
        f'r="4" fill="{COLORS[0]}" fill-opacity=".7"/>'
        for name, (a, b) in kept.items()
    )
    return _figure(title, f"{_grid(x, x_ticks, y, y_ticks)}{drawn}")


def _figure(title: str, drawn: str, legend: str = "") -> str:
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f"{drawn}</svg>" + (f'<p class="legend">{legend}</p>' if legend else "") + "</figure>"
    )


def round_numbers(low: float, high: float) -> list[float]:
    """Return a few multiples of 1, 2 or 5 times a power of ten that enclose [low, high]."""
    low, high = _widened(low, high)
    rough = (high - low) / _WANTED
    power = 10.0 ** math.floor(math.log10(rough))
    unit = power * next(m for m in (1, 2, 5, 10) if rough <= m * power * (1 + 1e-9))
    first, last = math.floor(low / unit + 1e-9), math.ceil(high / unit - 1e-9)
    return [unit * i for i in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Return powers of ten that enclose [low, high], at most a handful."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    apart = max(1, math.ceil((last - first) / _WANTED))
    return [10.0**i for i in range(first, last + apart, apart)]


def _widened(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _line(points: Points, x: Axis, y: Axis, color: str) -> str:
    places = [(x.place(a), y.place(b)) for a, b in points]
    if len(places) == 1:
        return f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3" fill="{color}"/>'
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    return (
        f'<polyline fill="none" stroke="{color}" stroke-width="1.6" stroke-linejoin="round" '
        f'points="{path}"/>'
    )


def _grid(x: Axis, x_ticks: Sequence[float], y: Axis, y_ticks: Sequence[float]) -> str:
    rows = (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>'
        f'<text x="{_LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{value:.4g}</text>'
        for value, at in ((value, y.place(value)) for value in y_ticks)
    )
    columns = (
        f'<text x="{x.place(value):.1f}" y="{_HEIGHT - 7}" text-anchor="middle">{value:.6g}</text>'
        for value in x_ticks
    )
    return "".join((*rows, *columns))
