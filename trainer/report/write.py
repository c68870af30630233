"""`report.html`: written at the end of every run."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import redaction
from trainer.data.info import DatasetInfo
from trainer.data.records.files import Stage
from trainer.lineage import Change
from trainer.monitoring.console import first_of
from trainer.plan import Plan
from trainer.report import page
from trainer.report.run_files import RunFiles, read_run
from trainer.storage.failures import local_io
from trainer.task import Task
from trainer.version import environment

if TYPE_CHECKING:
    import numpy as np

NAME = "report.html"


def write(
    folder: Path, task: Task, info: DatasetInfo, plan: Plan, stage: Stage
) -> "Mapping[str, np.ndarray]":
    """Write the report of the run in `folder`; the run has ended, and never fails because of it.

    Of a run that a signal stopped only what its files say is shown: little time is left to it.

    Returns:
        The pictures that were made for it: name -> uint8[H, W, C].
    """
    try:
        run = read_run(folder)
        looked = {} if run.summary.get("status") == "stopped" else _look(task, info, stage)
        text = render(run, _plan_rows(info, plan), environment(), command(), looked)
        with local_io(folder, "--workdir"):
            (folder / NAME).write_text(text, encoding="utf-8")
        return looked.get("pictures", {})
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        redaction.complain(f"{NAME} was not written: {reason}")
        return {}


def _look(task: Task, info: DatasetInfo, stage: Stage) -> dict[str, Any]:
    from trainer.report import examples, pictures, samples

    looked = examples.look(task, info, stage)
    drawn = samples.make_samples(task)()
    looked["samples"] = {name: pictures.png(picture) for name, picture in drawn.items()}
    return looked


def render(
    run: RunFiles,
    plan: list[tuple[str, Any]],
    machine: Mapping[str, str],
    command: str,
    looked: Mapping[str, Any],
) -> str:
    """Return the page."""
    looked_at = page.sides(
        page.section("Confusion", page.confusion(looked.get("confusion", []))),
        page.section(
            "Most frequent confusions",
            page.table(looked.get("confusions", []), ("true class", "predicted", "examples")),
        ),
        page.section("Worst held-out examples", page.worst(looked.get("worst", []))),
    )
    return page.document(
        f"Run {run.name}",
        [
            page.note(f"{_status(run)} · state {_digest(run)}"),
            page.note(f"started from {run.parent.line()}" if run.parent else ""),
            *map(page.note, map(str, _changes(run))),
            page.tiles(_first_numbers(run)),
            page.code(command),
            page.section("Curves", page.curves([run])),
            *(page.section(n.title(), page.image(p)) for n, p in looked.get("samples", {}).items()),
            looked_at,
            page.section("Where the time went", _time(run)),
            page.sides(
                page.section("Plan", page.table(plan)),
                page.section("Environment", page.table(_lineage(run, machine))),
            ),
            page.section("Config", page.columns(page.table(page.flat(run.config)))),
        ],
    )


def _lineage(run: RunFiles, machine: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what the result depends on besides the config."""
    code, kernels = run.summary.get("code", {}), run.summary.get("kernels", {})
    rows = list(machine.items()) + [("oneDNN", kernels[k]) for k in ("onednn",) if k in kernels]
    rows += [("code", code["digest"])] if code else []
    return rows + [(f"code of {name}", digest) for name, digest in code.get("files", {}).items()]


def _changes(run: RunFiles) -> list[Change]:
    return [Change.from_plain(plain) for plain in run.summary.get("changes", [])]


def _status(run: RunFiles) -> str:
    status = run.summary.get("status", "running").replace("_", " ")
    by = run.summary.get("ended_by", "")
    return f"{status} by {by}" if by else status


def _digest(run: RunFiles) -> str:
    return str(run.summary.get("state_digest", ""))


def _first_numbers(run: RunFiles) -> list[tuple[str, Any]]:
    """Return what the run reached on held-out data, or on its own, and what it took."""
    summary = run.summary
    kind = next((kind for kind in page.KINDS if summary.get(kind)), "")
    facts = [
        (f"{page.KINDS[kind]} {name.replace('_', ' ')}", float(f"{value:.4g}"))
        for name, value in first_of(summary.get(kind, {})).items()
    ]
    rate = f"{summary.get('examples_per_second', 0):,.0f}"
    replicas = f"{summary.get('replicas', 0)} for {summary.get('virtual_replicas', 0)}"
    took = [("steps", f"{summary.get('step', 0):,}"), ("examples a second", rate)]
    return [*facts, *took, ("replicas for microbatches", replicas)]


def _time(run: RunFiles) -> str:
    goodput = run.summary.get("goodput", {})
    spent = {name: s for name, s in goodput.get("seconds", {}).items() if s >= 0.05}
    share = f"{goodput.get('goodput', 0):.0%} went into updates that are in the final state"
    return page.shares(spent, "s") + page.note(
        f"{goodput.get('total_seconds', 0):.1f} s in {goodput.get('attempts', 1)} process(es): "
        f"{share}."
    )


def command() -> str:
    """Return the command that started this process; "" where it was not the trainer's."""
    if not sys.argv[0].endswith(f"trainer{os.sep}__main__.py"):
        return ""
    return shlex.join(["python", "-m", "trainer", *sys.argv[1:]])


def _plan_rows(info: DatasetInfo, plan: Plan) -> list[tuple[str, Any]]:
    return [
        ("data", _shown(info.source)),
        ("data fingerprint", info.fingerprint()[:16]),
        ("training examples", plan.examples_per_epoch),
        ("evaluation examples", plan.eval_examples),
        ("steps", plan.total_steps),
        ("epochs", plan.epochs_done(plan.total_steps)),
        ("microbatches", f"{plan.virtual_replicas} of {plan.microbatch_size}"),
    ]


def _shown(source: str) -> str:
    """Return where the data are; what ships with the trainer is shown from the repository on."""
    root = Path(__file__).parents[2]
    return str(Path(source).relative_to(root)) if source.startswith(f"{root}{os.sep}") else source
