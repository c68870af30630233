"""The generator of a small GAN: noise in, image out."""

from collections.abc import Sequence

import keras

from common.exit_codes import ExitCode, RunError


def generator(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    image_shape: Sequence[int],
    filters: int = 64,
) -> keras.Model:
    """Return a dense layer and two transposed convolutions, each doubling height and width.

    Args:
        input_shape: (latent,), the length of the noise vector.
        num_outputs: not used; the size of the result is `image_shape`.
        image_shape: (height, width, channels); height and width multiples of 4.
        filters: channels of the smallest feature map.

    Returns:
        A model from float[B, latent] to float32[B, height, width, channels] in (0, 1).

    Raises:
        RunError: BAD_CONFIG where height or width is not a multiple of 4.

    Source: Radford et al., DCGAN, ICLR 2016, section 3, made small; pixels in (0, 1) as the
    data sets of this project have them.
    """
    del num_outputs  # every model is built with the same two arguments
    height, width, channels = image_shape
    if height % 4 or width % 4:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.model.args.image_shape={tuple(image_shape)}: "
            "height and width must be multiples of 4",
        )
    inputs = keras.Input(tuple(input_shape))
    x = keras.layers.Dense(height // 4 * (width // 4) * filters, use_bias=False)(inputs)
    x = _norm_relu(keras.layers.Reshape((height // 4, width // 4, filters))(x))
    x = keras.layers.Conv2DTranspose(filters // 2, 4, strides=2, padding="same", use_bias=False)(x)
    x = _norm_relu(x)
    outputs = keras.layers.Conv2DTranspose(
        channels, 4, strides=2, padding="same", activation="sigmoid", dtype="float32"
    )(x)
    return keras.Model(inputs, outputs, name="generator")


def _norm_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
