"""The residual network for small images."""

from collections.abc import Sequence

import keras

from common.exit_codes import ExitCode, RunError
from trainer.models.blocks import add_shortcut, conv_norm


def resnet(input_shape: Sequence[int], num_outputs: int, *, depth: int = 20) -> keras.Model:
    """Return three stages of 16, 32 and 64 channels, each of (depth - 2) / 6 two-layer blocks.

    Args:
        input_shape: (height, width, channels), about 32x32.
        num_outputs: number of classes.
        depth: number of weighted layers, 6n + 2: 8, 14, 20, 32, 44, 56, 110.

    Returns:
        A model from float[B, height, width, channels] to float32[B, num_outputs] logits.

    Raises:
        RunError: BAD_CONFIG where depth is not 6n + 2.

    Source: He et al., Deep Residual Learning, CVPR 2016, section 4.2; projection shortcuts.
    """
    blocks, rest = divmod(depth - 2, 6)
    if blocks < 1 or rest:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.model.args.depth={depth} is not 6n + 2; take 8, 14, 20, 32, 44, 56 or 110",
        )
    inputs = keras.Input(tuple(input_shape))
    x = conv_norm(inputs, 16, 3)
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(blocks):
            x = _block(x, filters, stride=2 if stage and not block else 1)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(num_outputs, dtype="float32")(x)
    return keras.Model(inputs, outputs, name="resnet")


def _block(x: keras.KerasTensor, filters: int, stride: int) -> keras.KerasTensor:
    """Add two 3x3 convolutions to the shortcut."""
    branch = conv_norm(x, filters, 3, stride=stride)
    return add_shortcut(x, conv_norm(branch, filters, 3, relu=False), stride)
