"""`--debug_nan`: the run ends at its first number that is not finite, and says where that was made.

An update that is not finite is left out, so the state before it is still there; one that made a
weight infinite is found by looking at all variables after each call of the inner loop. The call is
then made again step by step, and the step in question with everything on its way counted.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import build
from trainer.data.serving import order
from trainer.engine.probes import probe
from trainer.engine.step_sums import StepSums
from trainer.run.session import Session

_SHOWN = 8


def train(session: Session, first_step: int, num_steps: int) -> StepSums:
    """Make steps as `session.train` does.

    Raises:
        RunError: BUG where a number is not finite, naming its step, layer or variable.
    """
    before = session.read_state()
    sums = session.train(first_step, num_steps)
    if not (_is_bad(sums) or _spoiled(before, session)):
        return sums
    session.write_state(before)
    for step in range(first_step, first_step + num_steps):
        before = session.read_state()
        if _is_bad(session.train(step, 1)):
            _tell_place(session, step)
        for name in _spoiled(before, session):
            raise RunError(
                ExitCode.BUG,
                f"step {step}: the update made variable {name} not finite, with a finite loss and "
                "gradient; look at the optimizer and its learning rate",
            )
    return sums  # neither is left when it is made step by step: nothing to name


def _is_bad(sums: StepSums) -> bool:
    spikes = sums.each.get("spike", np.zeros(sums.num_steps))
    return bool(((sums.each["skipped"] > 0) & (spikes == 0)).any())


def _spoiled(before: Mapping[str, np.ndarray], session: Session) -> list[str]:
    """Name the variables that were finite before, and are not any more."""
    after = session.read_state()
    return [n for n, value in after.items() if _is_finite(before[n]) and not _is_finite(value)]


def _is_finite(value: np.ndarray) -> bool:
    return bool(np.isfinite(value.astype(np.float32)).all())  # NumPy knows no bfloat16


def _tell_place(session: Session, step: int) -> NoReturn:
    config = session.request.config
    made = probe(
        session.task, build.step_plan(config), session.train.microbatches(step), count_not_finite
    )
    for place, count in made.items():
        if count and _counts(place, made):
            raise RunError(
                ExitCode.BUG,
                f"step {step}: the first that is not finite is {place} ({count} numbers); "
                f"examples {_examples(session, step)}",
            )
    raise RunError(
        ExitCode.BUG,
        f"step {step}: every layer, loss and gradient of a microbatch is finite, and their sum or "
        f"norm is not, or what config.execution={config.execution!r} makes of them; lower "
        f"the loss, or try --config.execution=graph; examples {_examples(session, step)}",
    )


def _counts(place: str, made: Mapping[str, int]) -> bool:
    """Whether it may be the cause: behind an infinite mask the loss is finite."""
    microbatch, _, what = place.rpartition(": ")
    return not what.startswith(("feature ", "layer ")) or made[f"{microbatch}: loss"] > 0


def count_not_finite(tensor: tf.Tensor) -> tf.Tensor:
    """Return how many numbers are NaN or infinite, int64[]."""
    if not tensor.dtype.is_floating:
        return tf.constant(0, tf.int64)
    return tf.math.count_nonzero(~tf.math.is_finite(tensor))


def _examples(session: Session, step: int) -> str:
    request = session.request
    config, split = request.config, request.info.train
    served: Any = order.training_order(
        split, seed=config.seed, window=config.dataset.shuffle_window
    )
    ids = order.ids_of_step(served, step, request.plan.batch_size)
    return ", ".join(map(str, ids[:_SHOWN])) + ", ..." * (len(ids) > _SHOWN)
