"""Learning rates: pure functions of the step, and the one class that hands them to Keras.

Each function takes `step` (int64[], the number of updates done so far) and the config's
`learning_rate` (peak, per update), and returns float32[], the rate of the next update. One that
takes `total_steps` (updates in the whole run) as well follows the end of the run: with other
`epochs` or `train_steps` such a run is another one from its first step. All others may go on.
"""

import functools
import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

ScheduleFn = Callable[[tf.Tensor], tf.Tensor]


def takes_end(schedule: Callable[..., Any]) -> bool:
    """Whether a schedule is to be given `total_steps`."""
    taken = inspect.signature(schedule).parameters.values()
    return any(p.name == "total_steps" or p.kind is inspect.Parameter.VAR_KEYWORD for p in taken)


def follows_end(schedule: Callable[..., Any], args: Mapping[str, Any]) -> bool:
    """Whether the rates depend on where the run ends, as a schedule declares by what it takes.

    An argument may stand in the place of `total_steps`: the schedule names it in an attribute, as
    `exponential` does.
    """
    stands_in = getattr(schedule, "in_place_of_total_steps", "")
    return takes_end(schedule) and args.get(stands_in) is None


def constant(step: tf.Tensor, *, learning_rate: float) -> tf.Tensor:
    """Return the same rate at every step: lr."""
    del step  # every schedule is called with it
    return tf.constant(learning_rate, tf.float32)


def exponential(
    step: tf.Tensor,
    *,
    learning_rate: float,
    total_steps: int,
    decay_rate: float = 0.1,
    decay_steps: int | None = None,
) -> tf.Tensor:
    """Return lr * decay_rate ** (step / decay_steps).

    Args:
        step: int64[].
        learning_rate: rate at step 0.
        total_steps: the default of `decay_steps`.
        decay_rate: factor after `decay_steps`, > 0.
        decay_steps: updates in which the rate falls by `decay_rate`.
    """
    progress = tf.cast(step, tf.float32) / (decay_steps or total_steps)
    return learning_rate * tf.exp(progress * math.log(decay_rate))


exponential.in_place_of_total_steps = "decay_steps"  # type: ignore[attr-defined]


def cosine(
    step: tf.Tensor, *, learning_rate: float, total_steps: int, final_fraction: float = 0.0
) -> tf.Tensor:
    """Return lr * (f + (1 - f) * (1 + cos(pi * step / total_steps)) / 2).

    Args:
        step: int64[]; from `total_steps` on the rate stays at its end value.
        learning_rate: rate at step 0.
        total_steps: updates until the end value.
        final_fraction: f, the end value as a fraction of `learning_rate`.

    Source: Loshchilov and Hutter, SGDR, ICLR 2017, equation 5, without restarts.
    """
    progress = tf.cast(tf.minimum(step, total_steps), tf.float32) / total_steps
    wave = (1.0 + tf.cos(math.pi * progress)) / 2.0
    return learning_rate * (final_fraction + (1.0 - final_fraction) * wave)


def warmup(base: ScheduleFn, warmup_steps: int) -> ScheduleFn:
    """Return `base` multiplied by min(1, (step + 1) / warmup_steps).

    Source: Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.2.
    """
    return functools.partial(_warmed_up, base=base, warmup_steps=warmup_steps)


def _warmed_up(step: tf.Tensor, *, base: ScheduleFn, warmup_steps: int) -> tf.Tensor:
    done = tf.cast(tf.minimum(step + 1, warmup_steps), tf.float32)
    return base(step) * (done / warmup_steps)


@keras.saving.register_keras_serializable("lockstep")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule function as a Keras optimizer takes it: fn(step) * scale.

    Args:
        fn: step (int64[]) -> rate (float32[]), a function or a `functools.partial` of one.
        scale: float32[] Keras variable that drop on plateau lowers, or None.

    Attributes:
        first_update: int[] Keras variable, the optimizer's count at step 0 of the run; None: 0.
    """

    def __init__(self, fn: ScheduleFn, scale: keras.Variable | None = None) -> None:
        self.fn = fn
        self.scale = scale
        self.first_update: keras.Variable | None = None

    def __call__(self, step: Any) -> tf.Tensor:
        """Return the rate of the next update, float32[]."""
        if self.first_update is not None:
            step = step - keras.ops.cast(self.first_update, step.dtype)
        rate = self.fn(keras.ops.cast(step, "int64"))
        return rate if self.scale is None else rate * keras.ops.cast(self.scale, "float32")

    def get_config(self) -> dict[str, Any]:
        """Describe the function by name and arguments; the scale belongs to the checkpoint."""
        return {"fn": _describe(self.fn)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Schedule":
        """Build the schedule that `get_config` described, without a scale."""
        return cls(_rebuild(config["fn"]))


def _describe(value: Any) -> Any:
    if isinstance(value, functools.partial):
        args = {key: _describe(argument) for key, argument in value.keywords.items()}
        return {**_describe(value.func), "args": args}
    if callable(value):
        return {"function": f"{value.__module__}:{value.__qualname__}"}
    return value


def _rebuild(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    module, _, name = value["function"].partition(":")
    args = {key: _rebuild(argument) for key, argument in value.get("args", {}).items()}
    return functools.partial(getattr(importlib.import_module(module), name), **args)
