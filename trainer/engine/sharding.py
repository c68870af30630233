"""Sharded state: slots and averages that exist once over all replicas, a share of them on each.

What an update mixes stays together: a variable is cut where its optimizer updates it by element,
else one replica owns the whole of it with its slots; see `separable`. What is written to a
checkpoint is whole, so that the number of replicas may change. For the update: `sharded_update`.

Source: Rajbhandari et al., ZeRO: Memory Optimizations Toward Training Trillion Parameter Models,
2020, section 5.1, where only the state of the optimizer is partitioned.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import keras
import numpy as np
import tensorflow as tf

from trainer.engine.gathering import from_replicas
from trainer.engine.separable import Separate, separate
from trainer.task import Task

Bounds = tuple[int, ...]
"""R + 1 places: replica r has the elements bounds[r] to bounds[r + 1] of a variable, flat."""
# Kernels compute several elements at once, and the last few of a tensor one by one, which rounds
# some functions otherwise. Cut at multiples of this, each element is computed as in the whole.
_GRAIN = 64
_MESSAGE = 1 << 22  # bytes


@dataclasses.dataclass(frozen=True)
class Shards:
    """Which replica has which elements; by default the state is whole on every replica.

    Attributes:
        stored: id of a sharded variable -> where its elements are.
        updated: ids of an optimizer and a variable that it trains -> how, and which elements by
            whom.
    """

    stored: Mapping[int, Bounds] = dataclasses.field(default_factory=dict)
    updated: Mapping[tuple[int, int], tuple[Separate, Bounds]] = dataclasses.field(
        default_factory=dict
    )

    def num_bytes(self, variables: Iterable[keras.Variable], replica: int) -> int:
        """Return the bytes that a replica holds of the variables."""
        return sum(self._num_elements(v, replica) * tf.as_dtype(v.dtype).size for v in variables)

    def _num_elements(self, variable: keras.Variable, replica: int) -> int:
        bounds = self.stored.get(id(variable))
        return bounds[replica + 1] - bounds[replica] if bounds else math.prod(variable.shape)


def make_shards(task: Task, num_replicas: int) -> Shards:
    """Return how the state of a task is shared out; nothing is moved.

    Args:
        task: built.
        num_replicas: R.
    """
    if num_replicas == 1:
        return Shards()
    averages = [average for _, average in task.average.state()] if task.average else []
    stored = {id(v): _bounds(v, num_replicas) for v in averages}
    updated: dict[tuple[int, int], tuple[Separate, Bounds]] = {}
    loads = [0] * num_replicas
    for of in task.optimizers.values():
        for each in _separate(of):
            owner = None if each.by_element else loads.index(min(loads))
            updated[id(of), id(each.variable)] = each, _bounds(each.variable, num_replicas, owner)
            stored |= {id(slot): _bounds(slot, num_replicas, owner) for slot in each.slots}
            for slot in each.slots:
                sizes = [b - a for a, b in pairwise(stored[id(slot)])]
                loads = [load + size for load, size in zip(loads, sizes, strict=True)]
    return Shards(stored, updated)


def _separate(of: keras.optimizers.Optimizer) -> list[Separate]:
    """Return what can be shared out; the largest that stay whole come first, so that all fit."""
    found = [each for each in separate(of) or () if each.slots]
    return sorted(found, key=lambda each: (each.by_element, -math.prod(each.variable.shape)))


def _bounds(variable: keras.Variable, num_replicas: int, owner: int | None = None) -> Bounds:
    """Cut a variable evenly, or give it to its owner."""
    size = math.prod(variable.shape)
    if owner is not None:
        return (*[0] * (owner + 1), *[size] * (num_replicas - owner))
    share = -(-size // (num_replicas * _GRAIN)) * _GRAIN
    return tuple(min(r * share, size) for r in range(num_replicas + 1))


def told(task: Task, shards: Shards) -> str:
    """Return how the optimizers are shared out, for people."""
    if not shards.stored:
        return "whole on every replica"
    found = []
    for role, of in task.optimizers.items():
        cut = [each for (key, _), (each, _) in shards.updated.items() if key == id(of)]
        by_element = sum(each.by_element for each in cut)
        has_slots = any(v.shape.rank for v in of.variables)
        whole = "its updates mix variables" if has_slots else "it has no slots"
        how = f"{by_element} by element, {len(cut) - by_element} by variable"
        found.append(f"{role}: {how if cut else f'whole on every replica, {whole}'}")
    return "; ".join(found)


def store(strategy: tf.distribute.Strategy, task: Task, shards: Shards) -> None:
    """Leave every replica with its share; call it in the scope of the strategy."""
    if task.average:
        task.average.is_sharded = bool(shards.stored)
    for variable in task.state().values():
        if bounds := shards.stored.get(id(variable)):
            whole = variable.numpy()
            # Each replica has another number of elements, and the variable no shape.
            variable._value = tf.Variable(
                tf.zeros([0], variable.dtype),
                shape=tf.TensorShape(None),
                trainable=False,
                name=variable.name,
            )
            write(strategy, variable, bounds, whole)


def write(
    strategy: tf.distribute.Strategy, variable: keras.Variable, bounds: Bounds, whole: np.ndarray
) -> None:
    """Give the replicas of this worker their shares of a value."""
    flat = np.reshape(whole, [-1])
    for local, share in enumerate(_copies(strategy, variable)):
        replica = strategy.extended._get_replica_id_in_sync_group(local)
        share.assign(flat[bounds[replica] : bounds[replica + 1]])


def make_read(
    strategy: tf.distribute.Strategy, shards: Shards
) -> Callable[[Iterable[keras.Variable]], dict[int, np.ndarray]]:
    """Return a function that gives the wholes of sharded variables, by their ids.

    Every worker has to call it. What the workers hold travels as it is, in messages of one length.
    """
    gather = from_replicas(strategy, lambda mine: mine)

    def read(variables: Iterable[keras.Variable]) -> dict[int, np.ndarray]:
        found = [v for v in variables if id(v) in shards.stored]
        copies = [[c.numpy() for c in _copies(strategy, v)] for v in found]
        mine = [np.concatenate(of_one) for of_one in copies]
        if found and strategy.num_replicas_in_sync > len(copies[0]):
            rows = _of_workers(gather, b"".join(x.tobytes() for x in mine), len(copies[0]))
            mine = _split(rows, found, [shards.stored[id(v)] for v in found])
        return {id(v): x.reshape(v.shape) for v, x in zip(found, mine, strict=True)}

    return read


def _copies(strategy: tf.distribute.Strategy, variable: keras.Variable) -> Sequence[tf.Variable]:
    found: Sequence[tf.Variable] = strategy.experimental_local_results(variable.value)
    return found


def _of_workers(gather: Callable[..., np.ndarray], mine: bytes, num_local: int) -> list[bytes]:
    """Return what each worker holds, padded to one length."""
    longest = int(gather(tf.constant([len(mine)], tf.int64)).max())
    padded = np.frombuffer(mine.ljust(-(-longest // _MESSAGE) * _MESSAGE, b"\0"), np.int32)
    messages = [gather(tf.constant(part)) for part in padded.reshape(-1, _MESSAGE // 4)]
    rows = np.concatenate(messages, axis=1)[::num_local]
    return [row.tobytes() for row in rows]


def _split(
    rows: Sequence[bytes], variables: Sequence[keras.Variable], bounds: Sequence[Bounds]
) -> list[np.ndarray]:
    """Return the flat wholes of variables, of which each worker has parts one after another."""
    num_local, places = (len(bounds[0]) - 1) // len(rows), [0] * len(rows)
    wholes = []
    for variable, ends in zip(variables, bounds, strict=True):
        dtype, parts = tf.as_dtype(variable.dtype).as_numpy_dtype, []
        for worker, (start, stop) in enumerate(pairwise(ends[::num_local])):
            parts.append(np.frombuffer(rows[worker], dtype, stop - start, places[worker]))
            places[worker] += parts[-1].nbytes
        wholes.append(np.concatenate(parts))
    return wholes


def share_here(shards: Shards, variable: keras.Variable) -> tuple[tf.Tensor, int]:
    """Return what the replica holds of a variable, and the place of its first element."""
    value = tf.convert_to_tensor(variable.value)
    if not (bounds := shards.stored.get(id(variable))):
        return value, 0
    start, stop = bounds[replica_index() : replica_index() + 2]
    return tf.ensure_shape(value, [stop - start]), start


def replica_index() -> int:
    """Return the number of the replica that is traced: each has a graph of its own."""
    return int(tf.distribute.get_replica_context()._replica_id_in_sync_group)
