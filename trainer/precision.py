"""What layers compute in: the policy of the config, and no other."""

import keras

from common.exit_codes import ExitCode, RunError
from trainer.task import Task

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
_LOW = {"float16", "bfloat16"}


def set_policy(precision: str) -> None:
    """Let layers that are made from here on compute in `precision`; weights are float32."""
    keras.config.set_dtype_policy(_POLICIES[precision])


def refuse_other_policies(task: Task, precision: str) -> None:
    """Refuse layers, or a policy, of another precision than the config's.

    The config, the report and the digest would name a precision that was not computed in, and
    float16 without a loss scale loses small gradients.

    Raises:
        RunError: BAD_CONFIG naming the layer and what to write.
    """
    policy = keras.config.dtype_policy().name
    if policy != _POLICIES[precision]:
        raise _refusal(f"set_dtype_policy({policy!r}) was called", policy, precision)
    if (floatx := keras.config.floatx()) != "float32":
        raise _refusal(f"set_floatx({floatx!r}) was called", floatx, precision)
    held = [part for _, part in task.owned() if isinstance(part, keras.Layer)]
    for layer in (each for part in held for each in part._flatten_layers()):
        if (dtype := layer.compute_dtype) in _LOW - {precision}:
            raise _refusal(f"layer {layer.name!r} computes in {dtype}", dtype, precision)
        if layer.variable_dtype == "float16":  # the scale is taken out of gradients in their dtype
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.model: layer {layer.name!r} keeps its weights in float16, in which small "
                "updates are lost; give it dtype='mixed_float16', or no dtype",
            )


def _refusal(what: str, dtype: str, precision: str) -> RunError:
    asked = dtype.removeprefix("mixed_")
    instead = asked if asked in _POLICIES else "float32"
    note = " (with a loss scale) or 'bfloat16', which needs none" * (instead == "float16")
    return RunError(
        ExitCode.BAD_CONFIG,
        f"config.model: {what}, and config.precision={precision!r}; leave it out and set "
        f"config.precision={instead!r}{note}",
    )
