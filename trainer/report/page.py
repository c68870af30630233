"""Puts a page together from plain values: HTML with everything inline."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainer.report.run_files import RunFiles
from trainer.report.svg import line_chart

_STYLE = """\
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;
color:#111;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse}td,th{padding:.15rem .6rem;text-align:left;vertical-align:top;
border-bottom:1px solid #e5e7eb}
code,pre{font:13px ui-monospace,monospace;white-space:pre-wrap;word-break:break-word}
pre{background:#f3f4f6;padding:.6rem}
.row{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;width:312px;max-width:100%}
svg text{font-size:13px;fill:#4b5563}.grid{stroke:#e5e7eb}
.legend{margin:.2rem 0 .6rem}.legend span{margin-right:1rem}
.legend i{display:inline-block;width:.8rem;height:.2rem;
margin-right:.3rem;vertical-align:middle}
.confusion td,.confusion th{text-align:right;border:1px solid #e5e7eb}
.worst figure{width:110px;font-size:12px}.worst img{width:96px;image-rendering:pixelated}
"""


def document(title: str, sections: Iterable[str]) -> str:
    """Return a whole page."""
    body = "\n".join(section for section in sections if section)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def section(title: str, content: str) -> str:
    """Return a titled section, or nothing where it would be empty."""
    return f"<h2>{html.escape(title)}</h2>\n{content}" if content else ""


def table(rows: Sequence[Sequence[Any]], header: Sequence[str] = ()) -> str:
    """Return a table; floats are shortened."""
    if not rows:
        return ""
    top = f"<tr>{''.join(f'<th>{html.escape(h)}</th>' for h in header)}</tr>" if header else ""
    body = "".join(f"<tr>{''.join(f'<td>{_cell(c)}</td>' for c in row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"


def code(text: str) -> str:
    """Return a block of code."""
    return f"<pre>{html.escape(text)}</pre>" if text else ""


def curves(runs: Sequence[RunFiles]) -> str:
    """Return a figure for each metric, with a line for each run and each of training and eval."""
    names = dict.fromkeys(name.split("/", 1)[-1] for run in runs for name in run.curves)
    names.pop("epoch", None)  # a straight line in every run
    charts = []
    for name in names:
        lines = {}
        for run in runs:
            prefix = f"{run.name}: " if len(runs) > 1 else ""
            for kind in (f"train/{name}", f"eval/{name}", name):
                if kind in run.curves and not name.startswith(("compile", "start", "other")):
                    lines[prefix + kind] = run.curves[kind]
        if max((len(points) for points in lines.values()), default=0) > 1:
            charts.append(line_chart(name, lines))
    return f'<div class="row">{"".join(charts)}</div>' if charts else ""


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
        "<p>Rows: true class. Columns: predicted class.</p>"
        f'<table class="confusion"><tr><th></th>{top}</tr>{rows}</table>'
    )


def worst(examples: Sequence[Mapping[str, Any]]) -> str:
    """Return the examples with the largest losses, the worst first."""
    figures = [
        f"<figure>{image(e.get('png', ''))}<figcaption>#{e['id']}: {e['label']}, predicted "
        f"{e['predicted']}<br>loss {e['loss']:.3g}</figcaption></figure>"
        for e in examples
    ]
    return f'<div class="row worst">{"".join(figures)}</div>' if figures else ""


def image(png: str) -> str:
    """Return an image from base64 PNG; nothing for nothing."""
    return f'<img alt="example" src="data:image/png;base64,{png}">' if png else ""


def _shaded(count: int, total: int) -> str:
    share = count / total if total else 0.0
    return f'<td style="background:rgba(37,99,235,{0.8 * share:.2f})">{count or ""}</td>'


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, (dict, list, tuple)):
        return f"<code>{html.escape(json.dumps(value))}</code>"
    return html.escape("" if value is None else str(value))
