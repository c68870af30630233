"""All runs on one page: a table that can be filtered, their curves, and what a sweep found."""

import html
from collections.abc import Sequence

from trainer.report import page
from trainer.report.found_runs import FoundRun, swept, value_of
from trainer.report.svg import scatter

COLUMNS = ("run", "state", "step", "metric", "examples/s", "ETA", "parent")
_MOST_CURVES = 40
_SCRIPT = """\
const box = document.getElementById("filter");
const rows = [...document.querySelectorAll("tr[data-name]")];
function show() {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const kept = new Set();
  for (const row of rows) {
    row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
    if (!row.hidden) kept.add(row.dataset.name);
  }
  for (const part of document.querySelectorAll("figure [data-name]"))
    part.style.display = kept.has(part.dataset.name.split(": ")[0]) ? "" : "none";
  history.replaceState(null, "", "#" + encodeURIComponent(box.value));
}
box.value = decodeURIComponent(location.hash.slice(1));
box.addEventListener("input", show);
show();
const refresh = Number(document.body.dataset.refresh || 0);
if (refresh) setTimeout(() => location.reload(), 1000 * refresh);
"""


def render(runs: Sequence[FoundRun], *, refresh_secs: int = 0) -> str:
    """Return the page.

    Args:
        runs: that are shown.
        refresh_secs: after which it loads itself anew; 0: never.
    """
    fields = swept(runs)
    counted = [f"{sum(r.state == s for r in runs)} {s}" for s in sorted({r.state for r in runs})]
    script = f"document.body.dataset.refresh = {refresh_secs};\n{_SCRIPT}"
    return page.document(
        "Runs",
        [
            page.note(f"{len(runs)} runs: {', '.join(counted)}"),
            '<input id="filter" type="search" placeholder="Filter: words of a row">',
            _table(runs, fields),
            page.section("Swept values", _sweeps(runs, fields)),
            page.section("Curves", page.curves([r.files for r in runs[:_MOST_CURVES]])),
            page.note(
                f"Curves of the first {_MOST_CURVES} runs." if len(runs) > _MOST_CURVES else ""
            ),
            f"<script>{script}</script>",
        ],
    )


def cells(run: FoundRun) -> tuple[str, ...]:
    """Return what stands in `COLUMNS`."""
    total = f"/{run.total_steps}" if run.total_steps else ""
    name, value = run.metric or ("", 0.0)
    rate = run.examples_per_second
    return (
        run.files.name,
        run.state,
        f"{run.step}{total}",
        f"{name.replace('eval/', '')} {value:.4g}" if name else "",
        f"{rate:,.0f}" if rate else "",
        _duration(run.eta_secs),
        run.parent,
    )


def _duration(secs: float | None) -> str:
    if secs is None:
        return ""
    minutes, rest = divmod(round(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _table(runs: Sequence[FoundRun], fields: Sequence[str]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in (*COLUMNS, *fields))
    body = "".join(
        f'<tr data-name="{html.escape(run.files.name)}">'
        + "".join(
            f"<td>{html.escape(str(cell))}</td>"
            for cell in (*cells(run), *(value_of(run, field) for field in fields))
        )
        + "</tr>"
        for run in runs
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _sweeps(runs: Sequence[FoundRun], fields: Sequence[str]) -> str:
    """Return a figure for each numeric field that differs: the metric against its value."""
    charts = []
    for field in fields:
        points = {
            run.files.name: (float(value), run.metric[1])
            for run in runs
            if run.metric and isinstance(value := value_of(run, field), (int, float))
        }
        if len({x for x, _ in points.values()}) > 1:
            charts.append(scatter(f"{_metric_name(runs)} by {field}", points))
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _metric_name(runs: Sequence[FoundRun]) -> str:
    return next((run.metric[0] for run in runs if run.metric), "").replace("/", " ")
