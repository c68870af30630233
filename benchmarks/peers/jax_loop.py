"""JAX: many steps as one `lax.scan` over resident data, or a call for each batch that Grain reads.

... jax_loop WORK
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers import work
from benchmarks.peers.jax_models import forward, initial

# What is called float32 is float32 in every contender.
jax.config.update("jax_default_matmul_precision", "highest")
State = tuple[Any, Any, Any, Any]


def jpegs() -> Any:
    """Yield shuffled batches of decoded image files without an end."""
    import grain
    from PIL import Image

    paths = sorted(work.jpeg_folder().glob("*.jpg"))

    def decode(index: int) -> tuple[np.ndarray, int]:
        return np.asarray(Image.open(paths[index])), index % 10

    order = grain.MapDataset.range(len(paths)).seed(0).shuffle().repeat()
    decoded = order.map(decode).to_iter_dataset(grain.ReadOptions(num_threads=16))
    return iter(decoded.batch(work.WORKS["jpeg"].batch, drop_remainder=True))


class Loop:
    """A model in training."""

    def __init__(self, name: str) -> None:
        layers, averages = initial(name)
        self._name, self._optimizer = name, optax.adam(work.RATE)
        slots = self._optimizer.init(layers)
        self.state: State = (layers, averages, slots, jax.random.key(0))

    def step(self, state: State, x: jax.Array, y: jax.Array) -> tuple[State, Any]:
        """Return the next state, and (loss, accuracy)."""
        layers, averages, slots, key = state
        key, own = jax.random.split(key)

        def loss_fn(layers: Any) -> Any:
            logits, moved = forward(self._name, layers, averages, x, own)
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
            return loss, (moved, (logits.argmax(-1) == y).mean())

        (loss, (averages, right)), grads = jax.value_and_grad(loss_fn, has_aux=True)(layers)
        updates, slots = self._optimizer.update(grads, slots)
        return (optax.apply_updates(layers, updates), averages, slots, key), (loss, right)


def scan(name: str) -> None:
    read, asked = map(jnp.asarray, work.examples(name))
    batch, many = work.WORKS[name].batch, work.WORKS[name].many
    loop, rng = Loop(name), np.random.default_rng(1)

    def gathered(state: State, index: jax.Array) -> tuple[State, Any]:
        y = jnp.arange(batch) if work.WORKS[name].in_batch else asked[index]
        return loop.step(state, read[index], y)

    steps = jax.jit(lambda state, rows: jax.lax.scan(gathered, state, rows), donate_argnums=0)

    def run() -> int:
        rows = rng.integers(0, work.WORKS[name].examples, (many, batch))
        loop.state, found = steps(loop.state, jnp.asarray(rows))
        np.asarray(found[0])
        return many

    work.serve(run, run, device_bytes)


def device_bytes() -> int | None:
    """Return the peak memory of the GPU; None where there is none."""
    found = jax.devices()[0].memory_stats()
    return found["peak_bytes_in_use"] if found else None


def stream(name: str) -> None:
    batches, loop = jpegs(), Loop(name)

    def scaled(state: State, x: jax.Array, y: jax.Array) -> tuple[State, Any]:
        return loop.step(state, x.astype(jnp.float32) / 255, y)

    step = jax.jit(scaled, donate_argnums=0)

    def run(count: int) -> int:
        for _ in range(count):
            x, y = next(batches)
            loop.state, found = step(loop.state, x, y)
        np.asarray(found[0])
        return count

    work.serve(lambda: run(1), lambda: run(work.WORKS[name].many))


if __name__ == "__main__":
    (stream if sys.argv[1] == "jpeg" else scan)(sys.argv[1])
