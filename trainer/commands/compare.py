"""`python -m trainer compare RUN RUN ...`: runs side by side, and what differs in their configs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.commands import Parser
from trainer.config.conversion import difference
from trainer.lineage import Change
from trainer.report import page
from trainer.report.run_files import RunFiles, read_run
from trainer.storage.failures import local_io

Row = tuple[str, ...]


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("compare", "Show runs side by side, and what differs in their configs.")
    parser.add_argument("workdirs", nargs="+", type=Path, metavar="RUN", help="folders of runs")
    parser.add_argument("--html", type=Path, help="also draw their curves into this file")
    flags = parser.parse_args(args)
    runs = _named_apart([read_run(folder) for folder in flags.workdirs], flags.workdirs)
    _print("run", runs, results(runs))
    _print("config", runs, differences(runs))
    _print("code and kernels", runs, lineages(runs))
    if flags.html:
        with local_io(flags.html, "--html"):
            flags.html.parent.mkdir(parents=True, exist_ok=True)
            flags.html.write_text(render(runs), encoding="utf-8")
        print(f"curves: {flags.html}")


def results(runs: Sequence[RunFiles]) -> list[Row]:
    """Return a row for each number of the summaries; runs that have not ended show their last."""
    kinds = ("eval/", "train/")
    names = dict.fromkeys(n for kind in kinds for r in runs for n in r.curves if n.startswith(kind))
    rows = [(name, *(_show(run.last(name)) for run in runs)) for name in names]
    fields = ("step", "status", "state_digest", "examples_per_second")
    rows += [(f, *(_show(run.summary.get(f, "running")) for run in runs)) for f in fields]
    parents = [run.parent.line() if run.parent else "-" for run in runs]
    return rows + ([("started from", *parents)] if set(parents) != {"-"} else [])


def differences(runs: Sequence[RunFiles]) -> list[Row]:
    """Return a row for each config field in which the runs are not all the same."""
    first = runs[0].config
    fields = {line.partition(":")[0] for run in runs[1:] for line in difference(first, run.config)}
    return [(f, *(_show(_at(run.config, f)) for run in runs)) for f in sorted(fields)]


def lineages(runs: Sequence[RunFiles]) -> list[Row]:
    """Return a row for each file and each fact of the kernels in which the runs differ.

    A run that has not ended, or an older one, does not say; a change under a run is always shown.
    """
    known = [{**_files(run), **run.summary.get("kernels", {})} for run in runs]
    names = sorted({name for facts in known for name in facts})
    rows = [(name, *(facts.get(name, "-") for facts in known)) for name in names]
    changed = [[str(Change.from_plain(c)) for c in run.summary.get("changes", [])] for run in runs]
    most = max(map(len, changed))
    rows += [
        ("change", *((lines[i : i + 1] or ["-"])[0] for lines in changed)) for i in range(most)
    ]
    return [row for row in rows if row[0] == "change" or len(set(row[1:])) > 1]


def _files(run: RunFiles) -> dict[str, str]:
    return dict(run.summary.get("code", {}).get("files", {}))


def render(runs: Sequence[RunFiles]) -> str:
    """Return the page with tables and curves."""
    names = [run.name for run in runs]
    return page.document(
        f"Comparison of {', '.join(names)}",
        [
            page.section("Results", page.table(results(runs), ("", *names))),
            page.section("Differences of the configs", page.table(differences(runs), ("", *names))),
            page.section("Code and kernels", page.table(lineages(runs), ("", *names))),
            page.section("Curves", page.curves(runs)),
        ],
    )


def _named_apart(runs: Sequence[RunFiles], folders: Sequence[Path]) -> list[RunFiles]:
    """Call runs by the paths that were given where their folders have one name."""
    names = [run.name for run in runs]
    return [
        dataclasses.replace(run, name=str(folder)) if names.count(run.name) > 1 else run
        for run, folder in zip(runs, folders, strict=True)
    ]


def _print(title: str, runs: Sequence[RunFiles], rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title, *(run.name for run in runs), box=None)
    for row in rows:
        table.add_row(*row)
    Console().print(table if rows else f"{title}: all the same")


def _at(config: Any, field: str) -> Any:
    for name in field.split("."):
        config = config.get(name) if isinstance(config, dict) else None
    return config


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    text = str(value)
    return text[:16] if len(text) == 64 else text
