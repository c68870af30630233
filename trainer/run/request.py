"""A run that was asked for, from the command line or from Python, and checked to fit together.

All of it comes before TensorFlow is imported, so that a mistake costs half a second.
"""

import dataclasses
import sys

from common.exit_codes import ExitCode, RunError
from trainer.cluster import placement as placements
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig, parts
from trainer.data.info import DatasetInfo, Split
from trainer.monitoring.profile import NOTHING, Span
from trainer.plan import Plan, make_plan


@dataclasses.dataclass(frozen=True)
class Request:
    """What to train, and where; nothing below this is written back into it.

    Attributes:
        config: what is trained; it alone decides the result.
        info: of the data that the config names.
        plan: numbers that follow from both.
        placement: where.
        log_examples: file that lists the examples of every step; empty: none.
        profile: steps that are traced.
        accept_code_change: go on from a checkpoint that other code has written.
        metrics_port: where Prometheus scrapes the first worker of a host; 0: nowhere.
        debug_nan: end at the first number that is not finite, and say where it comes from.
        until: step after which a replay stops, as if by a signal; 0: at the last one.
    """

    config: TrainConfig
    info: DatasetInfo
    plan: Plan
    placement: Placement
    log_examples: str = ""
    profile: Span = NOTHING
    accept_code_change: bool = False
    metrics_port: int = 0
    debug_nan: bool = False
    until: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this process writes: all workers hold the same state."""
        return self.placement.cluster.is_chief


def make_request(
    config: TrainConfig,
    placement: Placement,
    *,
    overfit_batches: int = 0,
    log_examples: str = "",
    profile: Span = NOTHING,
    accept_code_change: bool = False,
    metrics_port: int = 0,
    debug_nan: bool = False,
) -> Request:
    """Check that config, placement and data fit together.

    Args:
        config: what to train.
        placement: where.
        overfit_batches: train and evaluate on so many batches only; 0: on all data.
        log_examples: see `Request`.
        profile: see `Request`.
        accept_code_change: see `Request`.
        metrics_port: see `Request`.
        debug_nan: see `Request`.

    Raises:
        RunError: with the first thing that is wrong.
    """
    placements.check(placement, config.virtual_replicas)
    parts.check_names(config)
    from trainer.data import sources  # NumPy starts threads; signals have to be blocked by then
    from trainer.data.sources import roles

    info = sources.describe(roles.of_task(config), placement.stage)
    if config.execution != "graph":
        info = info.without_strings()
    if info.num_shared:
        print(
            f"warning: {info.num_shared} of the examples that are evaluated on are trained on: "
            f"{config.dataset.train_split} and {config.dataset.eval_split} overlap",
            file=sys.stderr,
        )
    for line in info.skipped:
        print(f"skipped: {line}", file=sys.stderr)
    if overfit_batches:
        info = _few_batches(info, overfit_batches, config.global_batch_size)
    plan = make_plan(config, info)
    return Request(
        config,
        info,
        plan,
        placement,
        log_examples,
        profile,
        accept_code_change,
        metrics_port,
        debug_nan,
    )


def first_examples(split: Split, count: int) -> Split:
    """Return the split cut to its first `count` examples."""
    return dataclasses.replace(split, stop=min(split.stop, split.start + count))


def _few_batches(info: DatasetInfo, num_batches: int, batch_size: int) -> DatasetInfo:
    """Return the data cut to its first batches, which are evaluated on as well.

    Raises:
        RunError: BAD_FLAG where there are not so many.
    """
    train = info.train
    if num_batches * batch_size > train.num_examples:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--overfit_batches={num_batches}: split {train.name!r} holds "
            f"{train.num_examples // batch_size} batches of {batch_size}",
        )
    cut = first_examples(train, num_batches * batch_size)
    return dataclasses.replace(info, train=cut, evaluation=cut)
