"""`report.html`: written at the end of every run."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import plain_secrets
from trainer.data.files import Stage
from trainer.data.info import DatasetInfo
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
    """Write the report of the run in `folder`; the run is done, so it never fails because of it.

    Returns:
        The pictures that were made for it: name -> uint8[H, W, C].
    """
    from trainer.report import examples, pictures, samples

    try:
        looked = examples.look(task, info, stage)
        drawn = samples.make_samples(task)()
        looked["samples"] = {name: pictures.png(picture) for name, picture in drawn.items()}
        text = render(read_run(folder), _plan_rows(info, plan), environment(), command(), looked)
        with local_io(folder, "--workdir"):
            (folder / NAME).write_text(text, encoding="utf-8")
        return looked.get("pictures", {})
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        plain_secrets.complain(f"{NAME} was not written: {reason}")
        return {}


def render(
    run: RunFiles,
    plan: list[tuple[str, Any]],
    machine: Mapping[str, str],
    command: str,
    looked: Mapping[str, Any],
) -> str:
    """Return the page."""
    summary = run.summary
    facts = [
        (n, summary[n]) for n in ("status", "step", "state_digest", "replicas") if n in summary
    ]
    kinds = ("eval", "train")
    names = dict.fromkeys(name for kind in kinds for name in summary.get(kind, {}))
    metrics = [(n, *(summary.get(kind, {}).get(n) for kind in kinds)) for n in names]
    goodput = summary.get("goodput", {})
    seconds = [(n, s) for n, s in goodput.get("seconds", {}).items() if s >= 0.05]
    return page.document(
        f"Run {run.name}",
        [
            page.table(facts),
            page.code(command),
            page.section("Metrics", page.table(metrics, ("", "held out", "training"))),
            *(page.section(n.title(), page.image(p)) for n, p in looked.get("samples", {}).items()),
            page.section("Curves", page.curves([run])),
            page.section("Confusion", page.confusion(looked.get("confusion", []))),
            page.section("Worst held-out examples", page.worst(looked.get("worst", []))),
            page.section(
                f"Time: goodput {goodput.get('goodput', 0):.1%}",
                page.table(seconds, ("where", "seconds")),
            ),
            page.section("Plan", page.table(plan)),
            page.section("Config", page.table(sorted(run.config.items()))),
            page.section("Environment", page.table(sorted(machine.items()))),
        ],
    )


def command() -> str:
    """Return the command that started this process; "" where it was not the trainer's."""
    if not sys.argv[0].endswith(f"trainer{os.sep}__main__.py"):
        return ""
    return shlex.join(["python", "-m", "trainer", *sys.argv[1:]])


def _plan_rows(info: DatasetInfo, plan: Plan) -> list[tuple[str, Any]]:
    return [
        ("data", info.source),
        ("data fingerprint", info.fingerprint()[:16]),
        ("training examples", plan.examples_per_epoch),
        ("evaluation examples", plan.eval_examples),
        ("steps", plan.total_steps),
        ("epochs", plan.epochs_done(plan.total_steps)),
        ("lanes", f"{plan.virtual_replicas} of {plan.lane_size}"),
    ]
