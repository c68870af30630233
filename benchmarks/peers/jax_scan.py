"""JAX: many steps as one `lax.scan` over resident data: `... jax_scan WORK`."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers import work


def initial(name: str) -> list[Any]:
    """Return weights and biases, layer by layer."""
    dense = [(784, 128), (128, 10)]
    shapes = dense
    if name == "cnn":
        shapes = [(3, 3, 1, 32), (3, 3, 32, 64), (3, 3, 64, 64), (576, 128), (128, 10)]
    rng, layers = np.random.default_rng(0), []
    for shape in shapes:
        scale = np.sqrt(6 / (np.prod(shape[:-1]) + shape[-1]))
        layers.append((jnp.float32(rng.uniform(-scale, scale, shape)), jnp.zeros(shape[-1])))
    return layers


def forward(name: str, layers: list[Any], x: jax.Array, key: jax.Array) -> jax.Array:
    """Return logits [B, 10]."""
    if name == "cnn":
        for index, (w, b) in enumerate(layers[:3]):
            x = jax.lax.conv_general_dilated(
                x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x + b)
            if index < 2:
                sizes = (1, 2, 2, 1)
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, sizes, sizes, "VALID")
    x = x.reshape(x.shape[0], -1)
    (w, b), (out_w, out_b) = layers[-2:]
    x = jax.nn.relu(x @ w + b)
    if rate := work.WORKS[name].dropout:
        x = jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)
    return x @ out_w + out_b


def main(name: str) -> None:
    images, labels = map(jnp.asarray, work.images(name))
    batch, many = work.WORKS[name].batch, work.WORKS[name].many
    optimizer, rng = optax.adam(work.RATE), np.random.default_rng(1)

    def loss_fn(layers: Any, x: jax.Array, y: jax.Array, key: jax.Array) -> Any:
        logits = forward(name, layers, x, key)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
        return loss, (logits.argmax(-1) == y).mean()

    def step(state: Any, index: jax.Array) -> Any:
        layers, slots, key = state
        key, own = jax.random.split(key)
        found, grads = jax.value_and_grad(loss_fn, has_aux=True)(
            layers, images[index], labels[index], own
        )
        updates, slots = optimizer.update(grads, slots)
        return (optax.apply_updates(layers, updates), slots, key), found

    scan = jax.jit(lambda state, rows: jax.lax.scan(step, state, rows), donate_argnums=0)
    layers = initial(name)
    state = (layers, optimizer.init(layers), jax.random.key(0))

    def run(count: int) -> int:
        nonlocal state
        rows = rng.integers(0, work.NUM_EXAMPLES, (count, batch))
        state, found = scan(state, jnp.asarray(rows))
        np.asarray(found[0])
        return count

    work.serve(lambda: run(many), lambda: run(many))


if __name__ == "__main__":
    main(sys.argv[1])
