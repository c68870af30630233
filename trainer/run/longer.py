"""Another length in the same workdir: allowed if the result equals a run of that length."""

from collections.abc import Iterator, Mapping
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer import checkpoint, registry
from trainer.config import OptimizerConfig, TrainConfig, conversion, essential_difference
from trainer.optimizers.schedules import follows_end
from trainer.plan import make_plan
from trainer.run.request import Request
from trainer.run.workdir import Workdir


def check_workdir(folder: Workdir, request: Request) -> None:
    """Refuse another length of the run in a workdir, as `check` does, before a device is used."""
    old = folder.config()
    if old is not None and not _is_as_long(old, conversion.to_plain(request.config)):
        steps = checkpoint.Store(folder.path / "checkpoints", folder.checkpoints_url).steps()
        check(old, request, folder.shown, max(steps, default=0))


def check(old: Mapping[str, Any], request: Request, where: str, step: int = 0) -> None:
    """Refuse another length that would make another run of all that was trained so far.

    Args:
        old: config of the run in the workdir, plain; another one than that of `request` in more
            than its length is left to others to refuse.
        request: of the run as it is to be now.
        where: the workdir, for the message.
        step: that was reached.

    Raises:
        RunError: BAD_CONFIG with the reason, and how to start a child.
    """
    new, plain = request.config, conversion.to_plain(request.config)
    if _is_as_long(old, plain) or essential_difference(old, plain):
        return
    before = make_plan(conversion.from_plain(TrainConfig, old), request.info).total_steps
    now = request.plan.total_steps
    if step > now:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{where} holds step {step}, and the config ends at step {now}; ask for more steps, or "
            "use another --workdir",
        )
    for field, optimizer in _optimizers(new):
        if before != now and _depends_on_end(optimizer):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{where} holds a run of {before} steps, and the rates of {field}.schedule.name="
                f"{optimizer.schedule.name!r} depend on where the run ends: {now} steps are "
                "another run from the first step on; start a child: the same command with another "
                f"--workdir, and --config.init.from={where}",
            )


def _is_as_long(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return all(old.get(unit, 0) == new[unit] for unit in ("train_steps", "epochs"))


def _optimizers(config: TrainConfig) -> Iterator[tuple[str, OptimizerConfig]]:
    yield "config.optimizer", config.optimizer
    for role, optimizer in config.optimizers.items():
        yield f"config.optimizers.{role}", optimizer


def _depends_on_end(optimizer: OptimizerConfig) -> bool:
    part = optimizer.schedule
    return follows_end(registry.resolve(registry.SCHEDULES, part.name, "schedule"), part.args)
