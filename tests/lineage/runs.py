"""Runs that go on, start from another, and end early; prints what came of them as JSON.

A process of its own for each kind: `python -m tests.lineage.runs longer|children|... FOLDER`.
"""

import dataclasses
import json
import math
import pathlib
import shutil
import sys
from typing import Any

import keras
import numpy as np

from tests.behaviour.runs import UNSEEN, config
from tests.chaos.harness import audit, metric_lines, saved_steps
from trainer import OptimizerConfig, PartConfig, RunError, TrainConfig
from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.commands import export
from trainer.commands.evaluate import evaluate
from trainer.commands.restored import restore_task
from trainer.config import GroupConfig, InitConfig, StopConfig, conversion
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.serving import reading
from trainer.monitoring.goodput import Ledger
from trainer.monitoring.phases import Phases
from trainer.monitoring.stop import StopSignal
from trainer.monitoring.watchdog import Watchdog
from trainer.run import dry_run, loop
from trainer.run.request import make_request

HERE = "tests.lineage.parts"
MODEL = PartConfig(f"{HERE}:normalized")
OFTEN = {
    "log_every_steps": 5,
    "eval_every_steps": 4,
    "checkpoint_every_steps": 5,
    "keep_best_metric": "accuracy",
    "model": MODEL,
}
QUICK = {
    "train_steps": 4,
    "checkpoint_every_steps": 2,
    "keep_checkpoints": 9,
    "model": MODEL,
    "dataset": UNSEEN,
}
NO_BETTER = StopConfig("loss", "max", patience=2, after=4)
"""The loss falls, so that by mode=max the first evaluation after step 4 is the best."""


BUCKET = "memory://lineage/mother"


def run(workdir: pathlib.Path | str, config: TrainConfig, replicas: int = 1) -> dict[str, Any]:
    """Train; return the summary, or {"refused": the reason}."""
    config = conversion.from_plain(TrainConfig, conversion.to_plain(config))
    try:
        request = make_request(
            config,
            Placement("cpu", replicas),
            log_examples="" if workdir == BUCKET else f"{workdir}.examples",
        )
        phases = Phases(Watchdog(math.inf, math.inf), HourAStep())
        return loop.run(request, str(workdir), stop=StopSignal(), phases=phases)
    except RunError as error:
        return {"refused": error.reason, "code": int(error.code)}


class HourAStep(Ledger):
    """Tells the hours by the steps, so that they are over at one boundary on any machine."""

    def lived_by_all(self) -> float:
        return 3600.0 * self.step


def kill(workdir: pathlib.Path, step: int) -> None:
    """Leave the workdir as a process leaves it that died after the save of `step`."""
    for path in workdir.glob("checkpoints/step_*"):
        if int(path.name.removeprefix("step_")) > step:
            shutil.rmtree(path)
    (workdir / "summary.json").unlink(missing_ok=True)


def state(workdir: pathlib.Path, step: int) -> dict[str, np.ndarray]:
    with np.load(workdir / "checkpoints" / f"step_{step:09d}" / "state.npz") as arrays:
        return {name.replace("%2F", "/"): arrays[name] for name in arrays.files}


def changed(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> dict[str, float]:
    """Return how far each variable of the model went."""
    return {
        name: float(np.abs(after[name] - before[name]).max())
        for name in after
        if name[:4] == "main"
    }


def left(workdir: pathlib.Path) -> dict[str, Any]:
    return {
        "lines": metric_lines(workdir),
        "saved": saved_steps(workdir),
        "examples": audit(pathlib.Path(f"{workdir}.examples")),
    }


def longer(folder: pathlib.Path) -> dict[str, Any]:
    whole = run(folder / "whole", config(train_steps=20, **OFTEN))
    for steps, replicas in ((7, 1), (13, 2), (20, 1)):
        grown = run(folder / "grown", config(train_steps=steps, **OFTEN), replicas)
    found = {
        "whole": {**whole, **left(folder / "whole")},
        "grown": {**grown, **left(folder / "grown")},
        "shorter": run(folder / "grown", config(train_steps=10, **OFTEN)),
        "schedules": {},
    }
    for name, args in (
        ("cosine", {}), ("exponential", {}), ("exponential", {"decay_steps": 5}),
        (f"{HERE}:halved", {"every": 2}), (f"{HERE}:to_zero", {}),
    ):  # fmt: skip
        rates = {"optimizer": OptimizerConfig("sgd", 0.1, schedule=PartConfig(name, args))}
        key = name.rpartition(":")[2] + "".join(args)
        run(folder / key, config(**{**QUICK, **rates, "train_steps": 3}))
        found["schedules"][key] = again = run(folder / key, config(**QUICK, **rates))
        if "refused" not in again:
            again["once"] = run(folder / f"{key}-once", config(**QUICK, **rates))["state_digest"]
    return found


def children(folder: pathlib.Path) -> dict[str, Any]:
    evaluated = {"eval_every_steps": 1, "keep_best_metric": "loss", "keep_best_mode": "min"}
    parent = config(**{**QUICK, **evaluated, "dataset": config().dataset})
    mother = folder / "mother"
    run(mother, parent)
    run(folder / "killed", parent, 2)
    kill(folder / "killed", 2)
    run(folder / "killed", parent)

    def child(
        name: str,
        source: pathlib.Path | str,
        *,
        replicas: int = 1,
        model: PartConfig = MODEL,
        **init: Any,
    ) -> dict[str, Any]:
        started = config(**{**QUICK, "model": model}, init=InitConfig(str(source), **init))
        return run(folder / name, started, replicas)

    found = {"of mother": child("child", mother), "of killed": child("child2", folder / "killed")}
    found["on two"] = child("on two", mother, replicas=2)
    child("weights", mother, what="weights")
    for name in ("child", "weights"):
        found[f"start of {name}"] = changed(state(mother, 4), state(folder / name, 0))
    found["all"] = _all(folder, mother)
    found["best"] = child("best", mother, checkpoint="best")
    found["step 2"] = child("step 2", mother, checkpoint="2")
    run(BUCKET, config(**{**QUICK, "train_steps": 2}))
    found["of bucket"] = child("of bucket", BUCKET)
    found["step 9"] = child("step 9", mother, checkpoint="9")
    other = PartConfig(f"{HERE}:normalized", {"head": "other"})
    found["other head"] = child("other", mother, model=other)
    found["plan"] = _plan(InitConfig(str(mother), exclude=("head", "other")), other)
    found["named"] = child("other", mother, model=other, exclude=("head", "other"))
    found["included"] = child("included", mother, model=other, include=("dense", "bn/*"))
    found["wider"] = child("wider", mother, model=PartConfig(MODEL.name, {"width": 8}))
    found["mistyped"] = child("mistyped", mother, exclude=("haed",))
    found["nowhere"] = child("orphaned", folder / "nowhere")
    export.write(restore_task(str(mother), None), folder / "export")
    found["of export"] = child("of export", folder / "export")
    model = keras.saving.load_model(folder / "export" / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    found["of file"] = child("of file", folder / "model.weights.h5")
    found["grandchild"] = child("grandchild", folder / "child")
    # It has a checkpoint, and needs its parent no more.
    kill(folder / "child", 2)
    shutil.rmtree(mother)
    found["plan of orphan"] = _plan(InitConfig(str(mother)), MODEL, str(folder / "child"))
    found["orphan"] = child("child", mother)
    found["config"] = json.loads((folder / "grandchild" / "config.json").read_text())["parent"]
    found["report"] = (folder / "grandchild" / "report.html").read_text()
    return found


def _plan(init: InitConfig, model: PartConfig, workdir: str = "") -> dict[str, str]:
    """Return what `--dry_run` says."""
    asked = config(**{**QUICK, "model": model}, init=init)
    return dict(dry_run.rows(make_request(asked, Placement("cpu", 1)), 1, workdir))


def _all(folder: pathlib.Path, mother: pathlib.Path) -> dict[str, Any]:
    """Start with all: slots and their count are the parent's, and the schedule begins anew."""
    workdir, before = folder / "all", state(mother, 4)
    rates = OptimizerConfig("adam", 0.003, schedule=PartConfig(f"{HERE}:to_zero"))
    init = InitConfig(str(mother), what="all")
    run(workdir, config(**QUICK, log_every_steps=1, optimizer=rates, init=init))
    begun, ended = state(workdir, 0), state(workdir, 4)
    (count,) = (name for name in begun if name.endswith("iteration"))
    return {
        "differs": [n for n in before if not np.array_equal(before[n], begun[n])],
        "counts": [int(begun[count]), int(ended[count])],
        "rates": [line["learning_rate"] for line in metric_lines(workdir) if "epoch" in line],
    }


def stops(folder: pathlib.Path) -> dict[str, Any]:
    rule = config(train_steps=30, eval_every_steps=3, log_every_steps=7, checkpoint_every_steps=5,
                  keep_best_metric="loss", keep_checkpoints=1, stop=NO_BETTER)  # fmt: skip
    found = {"one": run(folder / "one", rule), "two": run(folder / "two", rule, 2)}
    kill(folder / "two", 10)
    found["killed"] = run(folder / "two", rule)
    found["again"] = run(folder / "two", rule)
    found["one"] |= left(folder / "one")
    found["killed"] |= left(folder / "two")
    found["report"] = (folder / "one" / "report.html").read_text()
    found["evaluated"] = {
        which: evaluate(str(folder / "one"), which=which) for which in ("newest", "best")
    }
    found["elsewhere"] = evaluate(str(folder / "one"), split="train[:32]")
    digits = sources.describe(dataclasses.replace(rule.dataset, eval_split="test"))
    arrays = reading.load(digits, digits.evaluation, Stage())
    np.savez(folder / "brought [1].npz", **arrays)
    found["brought"] = evaluate(str(folder / "one"), data=str(folder / "brought [1].npz"))
    found["test"] = evaluate(str(folder / "one"), split="test")
    timed = config(train_steps=40, log_every_steps=10, eval_every_steps=30)
    limited = dataclasses.replace(timed, stop=StopConfig(max_hours=7))
    found["timed"] = run(folder / "timed", limited)
    found["timed again"] = run(folder / "timed", limited)
    step = found["timed"]["step"]
    found["replayed"] = run(folder / "replayed", dataclasses.replace(timed, train_steps=step))
    found["more hours"] = run(
        folder / "timed", dataclasses.replace(timed, stop=StopConfig(max_hours=99))
    )
    found["at once"] = run(folder / "at once", timed)
    for name in ("more hours", "at once"):
        found[name] |= left(folder / name.replace("more hours", "timed"))
    return found


def groups(folder: pathlib.Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, args in (("adamw", {"weight_decay": 0.1}), ("midpoint", {}), (f"{HERE}:Signs", {})):
        by_group = (GroupConfig(("dense", "bn"), 1e-5, 0.0),)
        optimizer = OptimizerConfig(name, 0.01, groups=by_group, args=args)
        key = name.rpartition(":")[2]
        given = config(**{**QUICK, "train_steps": 2, "checkpoint_every_steps": 1},
                       optimizer=optimizer)  # fmt: skip
        one, two = run(folder / key, given), run(folder / f"{key}-2", given, 2)
        found[key] = {
            "moved": changed(state(folder / key, 1), state(folder / key, 2)),
            "digests": [one["state_digest"], two["state_digest"]],
        }
    optimizer = OptimizerConfig(f"{HERE}:Signs", 0.01, groups=(GroupConfig(("head",), None, 0.5),))
    given = config(**{**QUICK, "train_steps": 2, "checkpoint_every_steps": 1}, optimizer=optimizer)
    run(folder / "decayed", given)
    found["decayed"] = [_head(state(folder / "decayed", step)) for step in (1, 2)]
    mistyped = OptimizerConfig("sgd", 0.01, groups=(GroupConfig(("dens",), 0.1),))
    found["mistyped"] = run(folder / "mistyped", config(**QUICK, optimizer=mistyped))
    return found


def _head(variables: dict[str, np.ndarray]) -> Any:
    (name,) = (name for name in variables if name.endswith("/head/kernel") and name[:4] == "main")
    return variables[name].tolist()


def hooks(folder: pathlib.Path) -> dict[str, Any]:
    seen = {"dataset": config().dataset, "eval_every_steps": 2}
    plain = config(**{**QUICK, **seen, "train_steps": 6, "ema_decay": 0.5})
    watched = dataclasses.replace(plain, task=PartConfig(f"{HERE}:Watched"))
    found = {"plain": run(folder / "plain", plain), "watched": run(folder / "watched", watched, 2)}
    kill(folder / "watched", 4)
    found["again"] = run(folder / "watched", watched)
    found["lines"] = metric_lines(folder / "watched")
    files = sorted((folder / "watched" / "evaluations").rglob("*.*"))
    found["files"] = {str(p.relative_to(folder / "watched")): p.read_bytes().decode("latin1")
                      for p in files}  # fmt: skip
    return found


ROOMS = {room.__name__: room for room in (longer, children, stops, groups, hooks)}


def main(name: str, folder: pathlib.Path) -> None:
    strategy.split_cpu(2)
    print(json.dumps({name: ROOMS[name](folder)}))


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
