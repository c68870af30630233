"""Steps that were left out everywhere, for a number that was not finite or a loss spike."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.config import TrainConfig
from trainer.data.info import DatasetInfo
from trainer.data.serving import order
from trainer.engine.step_sums import StepSums
from trainer.plan import Plan
from trainer.run.state import Progress
from trainer.storage.failures import local_io

_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Run:
    """Skipped steps one after another.

    Attributes:
        end: steps of the call up to and including the one that filled the budget, or None.
        in_row: skipped steps at that place, or at the end of the call.
    """

    end: int | None
    in_row: int


def find_run(skipped: np.ndarray, in_row: int, limit: int) -> Run:
    """Find the first place where `limit` steps in a row were skipped.

    Args:
        skipped: float32[n], 1 where a step of the call was skipped.
        in_row: skipped steps right before the call.
        limit: steps in a row that are too many; 0 counts as 1.
    """
    for index, is_skipped in enumerate(skipped):
        in_row = in_row + 1 if is_skipped else 0
        if in_row >= max(1, limit):
            return Run(index + 1, in_row)
    return Run(None, in_row)


def reasons(sums: StepSums, first_step: int) -> dict[int, str]:
    """Return step -> why it was left out, of the steps of `sums`, which begin at `first_step`."""
    spikes = sums.each.get("spike", np.zeros(sums.num_steps))
    return {
        first_step + int(index): "loss spike" if spikes[index] else "loss or gradient not finite"
        for index in sums.each["skipped"].nonzero()[0]
    }


def report(
    skipped: Mapping[int, str], config: TrainConfig, info: DatasetInfo, plan: Plan, workdir: Path
) -> None:
    """Print the examples of skipped steps, and append all of them to `skipped.jsonl`.

    Args:
        skipped: step -> reason.
        config: of the run.
        info: of the data.
        plan: of the run.
        workdir: folder of the file.
    """
    window = config.dataset.shuffle_window
    served = order.training_order(info.train, seed=config.seed, window=window)
    path = workdir / "skipped.jsonl"
    with local_io(path, "--workdir"), path.open("a", encoding="utf-8") as file:
        for step, reason in skipped.items():
            examples = order.ids_of_step(served, step, plan.batch_size)
            file.write(json.dumps({"step": step, "reason": reason, "examples": examples}) + "\n")
            shown = ", ".join(map(str, examples[:_SHOWN]))
            print(
                f"step {step}: {reason}, update skipped; examples {shown}"
                f"{', ...' if len(examples) > _SHOWN else ''} (all in skipped.jsonl)",
                file=sys.stderr,
                flush=True,
            )


def diverged(progress: Progress, config: TrainConfig) -> RunError:
    """Return the end of a run whose rollbacks are spent."""
    return RunError(
        ExitCode.BUG,
        f"loss or gradient not finite{', or a loss spike,' if config.loss_spike else ''} in "
        f"{progress.skipped_in_row} steps in a row up to step "
        f"{progress.step}, after {progress.rollbacks} rollbacks (config.max_rollbacks="
        f"{config.max_rollbacks}, config.checkpoint_every_steps={config.checkpoint_every_steps}); "
        "lower config.optimizer.learning_rate, set config.optimizer.clip_norm, or look at the "
        "examples in skipped.jsonl",
    )
