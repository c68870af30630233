"""Results as a page that can be read in a year: machine, commands, tables, and bars to look at."""

import dataclasses
import datetime
import html
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from trainer import version

_BAR, _NAME, _ROW = 360, 260, 20


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What was measured in one interleaved run.

    Attributes:
        title: of the comparison.
        base: the contender that the others are compared with.
        results: name -> see `contenders.Contender.result`.
        load: of the machine before the first round, its own processes included.
    """

    title: str
    base: str
    results: Mapping[str, Mapping[str, Any]]
    load: float

    def ranked(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the results, the fastest first."""
        return sorted(self.results.items(), key=lambda item: -item[1]["steps_per_second"])


def table(comparison: Comparison) -> str:
    """Return a comparison as a Markdown table."""
    results = comparison.results
    base = results.get(comparison.base, next(iter(results.values())))["steps_per_second"]
    lines = [
        f"\n## {comparison.title}\n",
        f"| contender | steps/s | spread | x {comparison.base} | CPU ms/step | first step, s "
        "| peak, MiB | of the GPU, MiB | GPU busy, % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, found in comparison.ranked():
        rate, (low, high) = found["steps_per_second"], found["spread"]
        shown = "{:,.1f}" if rate < 100 else "{:,.0f}"
        rates = f"{shown.format(rate)} | {shown.format(low)}-{shown.format(high)}"
        lines.append(
            f"| {name} | {rates} | {rate / base:.2f} | {found['cpu_ms']:.2f} "
            f"| {found['first_step_secs']:.1f} | {found['peak_mib']:,.0f} "
            f"| {found.get('device_mib', 0):,.0f} | {found.get('gpu_busy', 0):.0f} |"
        )
    return "\n".join([*lines, "", f"Load average before the first round: {comparison.load:.1f}."])


def write(path: pathlib.Path, found: Sequence[Comparison], flags: Mapping[str, Any]) -> None:
    """Write the page, and `*.svg` beside it."""
    environment = version.environment()
    given = " ".join(f"--{name}={flags[name]}" for name in ("works", "rounds", "seconds"))
    drawing = path.with_suffix(".svg")
    drawing.write_text(bars(found))
    lines = [
        f"# Speed, {datetime.date.today().isoformat()}",
        "",
        f"Machine: {environment['processors']}, {environment['machine']}; TensorFlow "
        f"{environment['tensorflow']}, Keras {environment['keras']}; the versions of the others "
        "are pinned in `benchmarks/peers/`.",
        "",
        f"    python -m benchmarks.speed {given}",
        "",
        f"![Steps per second]({drawing.name})",
        *map(table, found),
    ]
    path.write_text("\n".join(lines) + "\n")


def bars(found: Sequence[Comparison]) -> str:
    """Return horizontal bars of steps/s as SVG, each comparison on a scale of its own."""
    parts, y = list[str](), 0
    for comparison in found:
        ranked = comparison.ranked()
        most = ranked[0][1]["steps_per_second"]
        y += _ROW + 8
        parts.append(
            f'<text x="0" y="{y - 6}" class="title">{html.escape(comparison.title)}</text>'
        )
        for name, result in ranked:
            rate = result["steps_per_second"]
            width = max(1.0, _BAR * rate / most)
            color = "#2563eb" if name.startswith("Lockstep") else "#9ca3af"
            parts.append(
                f'<text x="{_NAME - 6}" y="{y + 14}" text-anchor="end">{html.escape(name)}</text>'
                f'<rect x="{_NAME}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 6}" '
                f'fill="{color}"/><text x="{_NAME + width + 5:.1f}" y="{y + 14}">{rate:,.0f}</text>'
            )
            y += _ROW
    size = f'width="{_NAME + _BAR + 60}" height="{y + 8}"'
    style = "text{font:12px sans-serif}.title{font-weight:bold}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )
