"""The models in plain JAX: lists of arrays in the order in which the layers use them."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.peers import work

Layers = list[tuple[jax.Array, ...]]

_DENSE = [(784, 128), (128, 10)]
_STRIDES = ((16, 1), (32, 2), (64, 2))
_MOMENTUM, _EPSILON = 0.99, 1e-3


def _shapes(name: str) -> list[tuple[int, ...]]:
    """Return the shape of every kernel."""
    if name == "cnn":
        return [(3, 3, 1, 32), (3, 3, 32, 64), (3, 3, 64, 64), (576, 128), (128, 10)]
    if name == "jpeg":
        return [(147, 10)]
    if name == "towers":
        tables = [(size, work.WIDTH) for size in (work.USERS, work.ITEMS)]
        return [*tables, *[(work.WIDTH, work.WIDTH)] * 4]
    if name != "resnet":
        return _DENSE
    made: list[tuple[int, ...]] = [(3, 3, 3, 16)]
    channels = 16
    for filters, stride in _STRIDES:
        made += [(3, 3, channels, filters), (3, 3, filters, filters)]
        if stride > 1:
            made.append((1, 1, channels, filters))
        channels = filters
    return [*made, (64, 10)]


def initial(name: str) -> tuple[Layers, Layers]:
    """Return (kernel, shift) or (kernel, shift, scale) of every layer; mean, variance of norms."""
    rng, layers, averages = np.random.default_rng(0), [], []
    for shape in _shapes(name):
        scale, size = np.sqrt(6 / (np.prod(shape[:-1]) + shape[-1])), shape[-1]
        layer = (jnp.float32(rng.uniform(-scale, scale, shape)), jnp.zeros(size))
        if name == "towers" and len(layers) < 2:  # tables have no shift; drawn as Keras does
            layer = (jnp.float32(rng.uniform(-0.05, 0.05, shape)),)
        if name == "resnet" and len(shape) == 4:
            layer = (*layer, jnp.ones(size))
            averages.append((jnp.zeros(size), jnp.ones(size)))
        layers.append(layer)
    return layers, averages


def forward(
    name: str, layers: Layers, averages: Layers, x: jax.Array, key: jax.Array
) -> tuple[jax.Array, Layers]:
    """Return logits [B, 10], of towers [B, B], and the averages with this batch in them."""
    if name == "resnet":
        return _resnet(layers, averages, x)
    if name == "cnn":
        return _cnn(layers, x), averages
    if name == "towers":
        users, items = (_tower(x[:, side], layers[side::2]) for side in range(2))
        return users @ items.T, averages
    if name == "jpeg":
        x = _pool(x, 32, lax.add, 0.0) / 32**2
        return _dense(x.reshape(len(x), -1), layers[-1]), averages
    x = jax.nn.relu(_dense(x.reshape(len(x), -1), layers[0]))
    if rate := work.WORKS[name].dropout:
        x = jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)
    return _dense(x, layers[1]), averages


def _tower(index: jax.Array, layers: Layers) -> jax.Array:
    (table,), hidden, last = layers
    return _dense(jax.nn.relu(_dense(table[index], hidden)), last)


def _cnn(layers: Layers, x: jax.Array) -> jax.Array:
    for index, (w, b) in enumerate(layers[:3]):
        x = jax.nn.relu(_conv(x, w, 1, "VALID") + b)
        if index < 2:
            x = _pool(x, 2, lax.max, -jnp.inf)
    x = jax.nn.relu(_dense(x.reshape(len(x), -1), layers[3]))
    return _dense(x, layers[4])


def _resnet(layers: Layers, averages: Layers, x: jax.Array) -> tuple[jax.Array, Layers]:
    """The ResNet of 8 layers, as in `trainer.models.resnet`."""
    remaining, old, new = iter(layers), iter(averages), []

    def conv_norm(x: jax.Array, stride: int) -> jax.Array:
        w, shift, scale = next(remaining)
        x = _conv(x, w, stride, "SAME")
        seen = (x.mean((0, 1, 2)), x.var((0, 1, 2)))
        new.append(_moved(next(old), seen))
        return (x - seen[0]) * (scale * lax.rsqrt(seen[1] + _EPSILON)) + shift

    x = jax.nn.relu(conv_norm(x, 1))
    for _, stride in _STRIDES:
        branch = conv_norm(jax.nn.relu(conv_norm(x, stride)), 1)
        x = jax.nn.relu(branch + (conv_norm(x, stride) if stride > 1 else x))
    return _dense(x.mean((1, 2)), next(remaining)), new


def _moved(old: tuple[Any, ...], seen: tuple[Any, ...]) -> tuple[Any, ...]:
    pairs: Iterator[tuple[Any, Any]] = zip(old, seen, strict=True)
    return tuple(_MOMENTUM * a + (1 - _MOMENTUM) * lax.stop_gradient(b) for a, b in pairs)


def _dense(x: jax.Array, layer: tuple[jax.Array, ...]) -> jax.Array:
    return x @ layer[0] + layer[1]


def _conv(x: jax.Array, w: jax.Array, stride: int, padding: str) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, w, (stride, stride), padding, dimension_numbers=layout)


def _pool(x: jax.Array, size: int, kind: Any, start: float) -> jax.Array:
    sizes = (1, size, size, 1)
    return lax.reduce_window(x, start, kind, sizes, sizes, "VALID")
