"""Optimizer arguments of Keras that are wrong under replicas, and what to use in their place."""

from collections.abc import Mapping

from common.exit_codes import ExitCode, RunError

_CLIP = (
    "it would act on each replica before the gradients are added; set config.optimizer.clip_norm"
)
_UNSAFE = {
    "clipnorm": _CLIP,
    "global_clipnorm": _CLIP,
    "clipvalue": _CLIP,
    "gradient_accumulation_steps": "set config.virtual_replicas: a step accumulates over them",
    "loss_scale_factor": "gradients arrive unscaled; config.precision=bfloat16 needs no scale",
    "use_ema": "the averages would not be left out with a step that is not finite; leave it out",
}


def refuse_unsafe_args(args: Mapping[str, object]) -> None:
    """Refuse arguments that Keras would take and that would change the run without a word.

    Args:
        args: `config.optimizer.args` of the config.

    Raises:
        RunError: BAD_CONFIG naming the argument and the field to set instead.
    """
    for name, advice in _UNSAFE.items():
        if name in args:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.optimizer.args.{name}={args[name]!r} is refused: {advice}",
            )
