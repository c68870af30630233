"""Puts a page together from plain values: HTML with everything inline."""

import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from trainer.monitoring.console import first_of
from trainer.report.run_files import RunFiles
from trainer.report.style import STYLE
from trainer.report.svg import COLORS, line_chart

KINDS = {"eval": "held out", "train": "training"}
"""What a reader calls the two kinds of numbers."""


def document(title: str, sections: Iterable[str]) -> str:
    """Return a whole page."""
    body = "\n".join(section for section in sections if section)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def section(title: str, content: str) -> str:
    """Return a titled section, or nothing where it would be empty."""
    return f"<h2>{html.escape(title)}</h2>\n{content}" if content else ""


def sides(*sections: str) -> str:
    """Return sections next to each other, where the screen is wide enough."""
    return f'<div class="sides">{"".join(f"<div>{s}</div>" for s in sections if s)}</div>'


def columns(content: str) -> str:
    """Return a long table in two columns, where the screen is wide enough."""
    return f'<div class="columns">{content}</div>'


def note(text: str) -> str:
    """Return a line in small print."""
    return f'<p class="soft">{html.escape(text)}</p>' if text else ""


def tiles(facts: Iterable[tuple[str, Any]]) -> str:
    """Return the few numbers that are looked for first, large."""
    cells = (f'<div><b>{_cell(v)}</b><span class="soft">{_cell(n)}</span></div>' for n, v in facts)
    return f'<div class="tiles">{"".join(cells)}</div>'


def table(rows: Sequence[Sequence[Any]], header: Sequence[str] = ()) -> str:
    """Return a table; the first column names its rows, floats are shortened."""
    if not rows:
        return ""
    top = f"<tr>{''.join(f'<th>{html.escape(h)}</th>' for h in header)}</tr>" if header else ""
    body = "".join(
        f"<tr><th>{_cell(name)}</th>{''.join(f'<td>{_cell(c)}</td>' for c in cells)}</tr>"
        for name, *cells in rows
    )
    return f"<table>{top}{body}</table>"


def code(text: str) -> str:
    """Return a block of code."""
    return f"<pre>{html.escape(text)}</pre>" if text else ""


def curves(runs: Sequence[RunFiles]) -> str:
    """Return a figure for each metric, with a line for each run and each of training and eval."""
    shown = first_of(dict.fromkeys((name for run in runs for name in run.curves), 0.0))
    names = dict.fromkeys(name.split("/", 1)[-1] for name in shown)
    names.pop("epoch", None)  # a straight line in every run
    charts = []
    for name in names:
        lines = dict(line for run in runs for line in _lines(run, name, named=len(runs) > 1))
        if max((len(points) for points in lines.values()), default=0) > 1:
            is_wide = name.endswith(("loss", "norm"))
            charts.append(line_chart(name.replace("_", " "), lines, log=is_wide))
    charts += [_step_times(run) for run in runs if len(runs) == 1]
    drawn = "".join(charts)
    return f'<div class="charts">{drawn}</div>' if drawn else ""


def _step_times(run: RunFiles) -> str:
    """Return how long steps took, and what they waited for."""
    times = {n.removeprefix("time/"): points for n, points in run.curves.items() if "_ms" in n}
    shown = {n.replace("_ms", "").replace("_", " "): points for n, points in times.items()}
    return line_chart("milliseconds a step", shown)


def _lines(run: RunFiles, name: str, *, named: bool) -> Iterator[tuple[str, Any]]:
    kinds = {f"train/{name}": KINDS["train"], f"eval/{name}": KINDS["eval"], name: ""}
    for metric, kind in kinds.items():
        if metric in run.curves and not metric.startswith(("seconds/", "goodput")):
            parts = (run.name if named else "", kind)
            yield ": ".join(filter(None, parts)), run.curves[metric]


def shares(parts: Mapping[str, float], unit: str) -> str:
    """Return a bar that is cut in proportion to positive numbers, and its legend."""
    total = sum(parts.values())
    colored = [(n, value, COLORS[i % len(COLORS)]) for i, (n, value) in enumerate(parts.items())]
    cuts = "".join(f'<i style="width:{v / total:.2%};background:{c}"></i>' for _, v, c in colored)
    names = "".join(
        f'<span><i style="background:{c}"></i>{html.escape(n)} <b>{v:.1f} {unit}</b></span>'
        for n, v, c in colored
    )
    return f'<div class="bar">{cuts}</div><p class="legend">{names}</p>' if colored else ""


def confusion(matrix: Sequence[Sequence[int]]) -> str:
    """Return the confusion matrix: a row for each true class, a column for each predicted one."""
    if not matrix:
        return ""
    top = "".join(f"<th>{k}</th>" for k in range(len(matrix)))
    rows = "".join(
        f"<tr><th>{true}</th>{''.join(_shaded(n, sum(row)) for n in row)}</tr>"
        for true, row in enumerate(matrix)
    )
    return (
        f'<table class="confusion"><tr><th></th>{top}</tr>{rows}</table>'
        f"{note('Rows: true class. Columns: predicted class.')}"
    )


def worst(examples: Sequence[Mapping[str, Any]]) -> str:
    """Return the examples with the largest losses, the worst first."""
    figures = [
        f"<figure>{image(e.get('png', ''))}<figcaption>{e['label']}, predicted {e['predicted']}"
        f"<br>loss {e['loss']:.3g}, #{e['id']}</figcaption></figure>"
        for e in examples
    ]
    return f'<div class="worst">{"".join(figures)}</div>' if figures else ""


def image(png: str) -> str:
    """Return an image from base64 PNG; nothing for nothing."""
    return f'<img alt="example" src="data:image/png;base64,{png}">' if png else ""


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return rows "group.name", value of nested mappings, as they are written on a command line."""
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        is_group = isinstance(value, Mapping) and value
        rows += flat(value, f"{prefix}{name}.") if is_group else [(prefix + name, value)]
    return rows


def _shaded(count: int, total: int) -> str:
    share = count / total if total else 0.0
    return f'<td style="background:rgba(var(--blue),{0.8 * share:.2f})">{count or ""}</td>'


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, (dict, list, tuple)):
        return f"<code>{html.escape(json.dumps(value))}</code>"
    return html.escape("" if value is None else str(value))
