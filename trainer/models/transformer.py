"""A small decoder-only transformer: tokens in, logits of the next token out."""

from collections.abc import Sequence

import keras

from common.exit_codes import ExitCode, RunError


def transformer(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    width: int = 64,
    depth: int = 2,
    heads: int = 4,
    dropout: float = 0.0,
) -> keras.Model:
    """Return blocks of causal self-attention and a two-layer perceptron, each normed before.

    Formula: x = E[token] + P[place]; x += attention(norm(x)); x += W_2 gelu(W_1 norm(x)); logits
    = W norm(x).

    Args:
        input_shape: (T,), tokens the model reads.
        num_outputs: size of the vocabulary, K.
        width: of the stream between blocks; a multiple of `heads`.
        depth: blocks.
        heads: of each attention.
        dropout: fraction of each block's result set to zero in training, in [0, 1).

    Returns:
        A model from int[B, T] to float32[B, T, K] logits; row t sees tokens 0..t only.

    Raises:
        RunError: BAD_CONFIG where `heads` does not divide `width`.

    Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017; norms before the blocks as in
    Radford et al., GPT-2, 2019, section 2.3.
    """
    if width % heads:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.model.args: heads={heads} does not divide width={width}; change one of them",
        )
    (length,) = input_shape
    tokens = keras.Input((length,), dtype="int32")
    x = keras.layers.Embedding(num_outputs, width)(tokens) + _places(tokens, length, width)
    for _ in range(depth):
        attention = keras.layers.MultiHeadAttention(heads, width // heads, flash_attention=False)
        normed = keras.layers.LayerNormalization()(x)
        x += _drop(attention(normed, normed, use_causal_mask=True), dropout)
        hidden = keras.layers.Dense(4 * width, activation="gelu")(
            keras.layers.LayerNormalization()(x)
        )
        x += _drop(keras.layers.Dense(width)(hidden), dropout)
    normed = keras.layers.LayerNormalization()(x)
    # Logits stay in float32 under a bfloat16 policy: the loss loses digits otherwise.
    return keras.Model(tokens, keras.layers.Dense(num_outputs, dtype="float32")(normed))


def _places(tokens: keras.KerasTensor, length: int, width: int) -> keras.KerasTensor:
    places = keras.ops.arange(length) + keras.ops.zeros_like(tokens)
    return keras.layers.Embedding(length, width)(places)


def _drop(x: keras.KerasTensor, rate: float) -> keras.KerasTensor:
    return keras.layers.Dropout(rate)(x) if rate else x
