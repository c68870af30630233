"""Optimizers that would change a run without a word, and what to use in their place."""

import keras

from common.exit_codes import ExitCode, RunError

_CLIP = "it would act on each replica before the gradients are added; set {field}.clip_norm"
_UNSAFE = {
    "clipnorm": _CLIP,
    "global_clipnorm": _CLIP,
    "clipvalue": _CLIP,
    "gradient_accumulation_steps": "set config.virtual_replicas: a step accumulates over them",
    "loss_scale_factor": "gradients arrive unscaled; config.precision=bfloat16 needs no scale",
    "use_ema": "the averages would not be left out with a step that is not finite; set "
    "config.ema_decay",
}
"""Attribute of an optimizer -> why it is refused, and what to set instead; `field` is its own."""


def refuse_unusable(optimizer: object, rate: object, field: str) -> None:
    """Refuse what Keras would take and what would do something else here, or nothing.

    Args:
        optimizer: as the config's function or class has made it.
        rate: the learning rate that it was given.
        field: of the config, for the message.

    Raises:
        RunError: BAD_CONFIG naming what to write instead.
    """
    if why := _reason(optimizer, rate, field):
        raise RunError(ExitCode.BAD_CONFIG, f"{field} is a {type(optimizer).__name__}, {why}")


def _reason(optimizer: object, rate: object, field: str) -> str:
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return "which is no keras.optimizers.Optimizer; return one"
    inner = [v for v in vars(optimizer).values() if isinstance(v, keras.optimizers.Optimizer)]
    if inner or isinstance(optimizer, keras.optimizers.MultiOptimizer):
        return (
            "which applies other optimizers by itself; name one optimizer for each model "
            "(config.optimizers), without a loss scale: config.precision='bfloat16' needs none"
        )
    for name, advice in _UNSAFE.items():
        if value := getattr(optimizer, name, None):
            return f"which has {name}={value!r}: {advice.format(field=field)}"
    if type(optimizer).apply_gradients is not keras.optimizers.Optimizer.apply_gradients:
        return (
            "whose apply_gradients no step calls; write it as apply(self, grads, "
            "trainable_variables=None)"
        )
    if optimizer._learning_rate is not rate:
        return (
            f"which does not use the learning rate that it is given: neither {field}.learning_rate "
            "nor its schedule, and no plateau, would change anything; pass it on to the base class "
            "as it is"
        )
    return ""
