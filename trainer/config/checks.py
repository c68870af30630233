"""Refuses what no field may hold: values out of their range, and secrets."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from common.exit_codes import ExitCode, RunError
from common.redaction import find_secret, holds_secret

if TYPE_CHECKING:  # the fields are checked while they are made
    from trainer.config.fields import (
        GroupConfig,
        OptimizerConfig,
        PlateauConfig,
        StopConfig,
        TrainConfig,
    )

_CARRIES = (
    "carries a password, a token or a signature, which config.json and logs would repeat; "
    "leave it out and give the credentials to the environment"
)
_AT_LEAST_ONE = (
    "global_batch_size",
    "virtual_replicas",
    "intra_op_threads",
    "log_every_steps",
    "keep_checkpoints",
)
_NOT_NEGATIVE = (
    "train_steps",
    "epochs",
    "eval_every_steps",
    "checkpoint_every_steps",
    "digest_every_steps",
    "max_skipped_steps",
    "max_rollbacks",
)
# Field, value, whether it is allowed, and what is.
Rule = tuple[str, Any, bool, str]


def refuse_secrets(argv: Sequence[str], config: Mapping[str, Any]) -> None:
    """Refuse a command line or a config that would leave a secret in the workdir.

    Args:
        argv: the command line.
        config: the config as plain values.

    Raises:
        RunError: BAD_FLAG or BAD_CONFIG, naming the flag or field and never its value.
    """
    for arg in argv:
        if holds_secret(arg):
            raise RunError(ExitCode.BAD_FLAG, f"{arg.partition('=')[0]} {_CARRIES}")
    if name := find_secret("config", config):
        raise RunError(ExitCode.BAD_CONFIG, f"{name} {_CARRIES}")


def check_ranges(config: "TrainConfig") -> None:
    """Refuse the first value that is out of its range, or that another one contradicts.

    Raises:
        RunError: BAD_CONFIG naming the field, its value and what is allowed.
    """
    for field, value, is_allowed, allowed in _rules(config):
        if not is_allowed:
            raise RunError(ExitCode.BAD_CONFIG, f"config.{field}={value} must {allowed}")
    if bool(config.train_steps) == bool(config.epochs):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.train_steps={config.train_steps} and config.epochs={config.epochs}: "
            "give exactly one of them, above zero",
        )
    batch, microbatches = config.global_batch_size, config.virtual_replicas
    if batch % microbatches:
        allowed = ", ".join(str(d) for d in range(1, batch + 1) if batch % d == 0)
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.virtual_replicas={microbatches} does not divide "
            f"config.global_batch_size={batch}; allowed: {allowed}",
        )


def _rules(config: "TrainConfig") -> Iterator[Rule]:
    for name in _AT_LEAST_ONE:
        yield name, (value := getattr(config, name)), value >= 1, "be at least 1"
    for name in _NOT_NEGATIVE:
        yield name, (value := getattr(config, name)), value >= 0, "not be negative"
    seed, decay, spike = config.seed, config.ema_decay, config.loss_spike
    yield "seed", seed, 0 <= seed < 2**31, f"be in 0..{2**31 - 1}"
    yield "ema_decay", decay, 0 <= decay < 1, "be in [0, 1); 0: no average"
    yield "loss_spike", spike, spike == 0 or 1 < spike < math.inf, "be above 1, or 0 for off"
    secs = config.checkpoint_every_secs
    yield (
        "checkpoint_every_secs",
        secs,
        secs == "auto" or (isinstance(secs, int | float) and 0 <= secs < math.inf),
        "be seconds, 0 for saves by steps only, or auto",
    )
    yield "epochs", config.epochs, config.epochs < math.inf, "be finite"
    yield from _kernel_rules(config)
    yield from _optimizer_rules("optimizer", config.optimizer)
    for role, optimizer in config.optimizers.items():
        yield from _optimizer_rules(f"optimizers.{role}", optimizer)
    yield from _plateau_rules(config.plateau)
    yield from _stop_rules(config.stop)
    which = config.init.checkpoint
    yield "init.checkpoint", which, names_checkpoint(which), "be newest, best or a step"
    for name in ("holdout", "shuffle_window"):
        value = getattr(config.dataset, name)
        yield f"dataset.{name}", value, value >= 0, "not be negative"


def names_checkpoint(which: str) -> bool:
    """Whether it is `newest`, `best` or a step."""
    return which in ("newest", "best") or which.isdecimal()


def _plateau_rules(plateau: "PlateauConfig") -> Iterator[Rule]:
    factor, least, delta = plateau.factor, plateau.min_scale, plateau.min_delta
    yield "plateau.factor", factor, 0 < factor < 1, "be between 0 and 1"
    yield "plateau.patience", plateau.patience, plateau.patience >= 1, "be at least 1"
    yield "plateau.min_delta", delta, 0 <= delta < math.inf, "be a change, or 0 for any"
    yield "plateau.min_scale", least, 0 <= least <= 1, "be in [0, 1]"


def _stop_rules(stop: "StopConfig") -> Iterator[Rule]:
    yield "stop.patience", stop.patience, stop.patience >= 1, "be at least 1"
    delta, hours = stop.min_delta, stop.max_hours
    yield "stop.min_delta", delta, 0 <= delta < math.inf, "be a change, or 0 for any"
    yield "stop.after", stop.after, stop.after >= 0, "not be negative"
    yield "stop.max_hours", hours, 0 <= hours < math.inf, "be hours, or 0 for no limit"


def _kernel_rules(config: "TrainConfig") -> Iterator[Rule]:
    kernels, is_native = config.kernels, config.kernels == "native"
    is_graph, is_float32 = config.execution == "graph", config.precision == "float32"
    why = f"be native with execution={config.execution}: XLA's convolutions follow the caches"
    yield "kernels", kernels, is_native or is_graph, why
    why = f"be native with precision={config.precision}: products of AVX2 are of float32"
    yield "kernels", kernels, is_native or is_float32, why


def _optimizer_rules(field: str, optimizer: "OptimizerConfig") -> Iterator[Rule]:
    rate, norm, warmup = optimizer.learning_rate, optimizer.clip_norm, optimizer.warmup_steps
    yield f"{field}.learning_rate", rate, 0 < rate < math.inf, "be above 0, and finite"
    yield f"{field}.clip_norm", norm, 0 <= norm < math.inf, "be a norm, or 0 for none"
    for index, group in enumerate(optimizer.groups):
        yield from _group_rules(f"{field}.groups[{index}]", group)
    yield f"{field}.warmup_steps", warmup, 0 <= warmup < 2**62, "be in 0..2**62 - 1"


def _group_rules(field: str, group: "GroupConfig") -> Iterator[Rule]:
    rate, decay = group.learning_rate, group.weight_decay
    is_rate = rate is None or 0 < rate < math.inf
    yield f"{field}.learning_rate", rate, is_rate, "be above 0; freeze a layer by trainable=False"
    is_decay = decay is None or 0 <= decay < math.inf
    yield f"{field}.weight_decay", decay, is_decay, "be a share of the weight, or 0 for none"
    is_given = bool(group.include) and not (rate is None and decay is None)
    yield field, group, is_given, "have paths, and a learning_rate or a weight_decay"
