"""Sharded state: slots and averages that exist once over all replicas, a share of them on each.

The owner of a share updates it and its share of the weight, and all gather the new weights. What an
update mixes stays together: a variable is cut where its optimizer updates it by element, else one
replica owns the whole of it with its slots; see `separable`. The bits are those of one replica.

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

from trainer.engine import collectives, optimizer
from trainer.engine.gathering import from_replicas
from trainer.engine.optimizer import Kept, Part, open_scope, standing_for
from trainer.engine.separable import Separate, separate
from trainer.optimizers.weight_average import WeightAverage
from trainer.task import Task, Variables

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


def update(
    shards: Shards,
    of: keras.optimizers.Optimizer,
    grads: Sequence[tf.Tensor],
    to: Variables,
    condition: tf.Tensor,
) -> Kept:
    """Do as `optimizer.update`, each replica on its share; all of them have the new weights."""
    keys = [(id(of), id(v)) for v in to]
    cuts = [_Cut(*shards.updated[key]) for key in keys if key in shards.updated]
    if not cuts:
        return optimizer.update(of, grads, to, condition)
    given, own = {id(v): g for g, v in zip(grads, to, strict=True)}, [c for c in cuts if c.is_mine]
    others = {id(c.variable) for c in cuts if not c.is_mine}
    mine = [v for v in to if id(v) not in others]
    parts = [part for cut in own for part in cut.parts()]
    if not mine:
        # The optimizer has to count the update here too: let it make one, of which nothing is kept.
        smallest = min(cuts, key=lambda c: math.prod(c.variable.shape))
        mine, parts = [smallest.variable], smallest.zeros()
    given |= {id(cut.variable): cut.of(given[id(cut.variable)]) for cut in own}
    with standing_for(parts):
        kept = optimizer.update(of, [given[id(v)] for v in mine], mine, condition)
        new = {id(p.variable): _flat(open_scope().get_current_value(p.variable)) for p in parts}
    for cut in cuts:
        for slot in cut.slots:
            share = new[id(slot)] if cut.is_mine else tf.zeros([0], slot.dtype)
            open_scope().add_update((slot, share))
            kept[id(share)] = share, condition
    shares = [new[id(c.variable)] if c.is_mine else tf.zeros([0], c.variable.dtype) for c in cuts]
    for cut, whole in zip(cuts, _gathered(shares, [c.bounds for c in cuts]), strict=True):
        cut.variable.assign(tf.reshape(whole, cut.variable.shape))
        kept[id(cut.variable.value)] = cut.variable.value, condition
    return kept


class _Cut:
    """A variable with its slots, as the replica that is traced updates it.

    Attributes:
        is_mine: whether this replica updates any of it.
    """

    def __init__(self, separate: Separate, bounds: Bounds) -> None:
        self.variable, self.slots, self.bounds = separate.variable, separate.slots, bounds
        self._by_element = separate.by_element
        replica = replica_index()
        self._start, self._stop = bounds[replica : replica + 2]
        self.is_mine = self._start < self._stop

    def of(self, whole: tf.Tensor) -> tf.Tensor:
        """Return the share of the variable, or of its gradient."""
        return _flat(whole)[self._start : self._stop] if self._by_element else whole

    def parts(self) -> list[Part]:
        """Return what this replica has of the variable and its slots."""
        old, value = (self.of(tf.convert_to_tensor(v)) for v in _old_and_value(self.variable))
        return [Part(self.variable, old, value), *map(self._slot, self.slots)]

    def zeros(self) -> list[Part]:
        """Return zeros for the variable and its slots."""
        all_of_them = (self.variable, *self.slots)
        return [
            Part(v, zeros, zeros) for v in all_of_them for zeros in [tf.zeros(v.shape, v.dtype)]
        ]

    def _slot(self, slot: keras.Variable) -> Part:
        shape = [self._stop - self._start] if self._by_element else slot.shape
        old, value = (tf.ensure_shape(v, [math.prod(shape)]) for v in _old_and_value(slot))
        return Part(slot, tf.reshape(old, shape), tf.reshape(value, shape))


def update_average(shards: Shards, average: WeightAverage, step: tf.Tensor) -> None:
    """Do as `WeightAverage.update`, each replica on its share."""
    parts = []
    for variable, mean in average.pairs():
        if bounds := shards.stored.get(id(mean)):
            weight = _Cut(Separate(variable, (mean,), by_element=True), bounds)
            parts += weight.parts()
    with standing_for(parts):
        average.update(step)
        new = [(p.variable, open_scope().get_current_value(p.variable)) for p in parts[1::2]]
    for mean, share in new:
        open_scope().add_update((mean, share))


def own_part(shards: Shards, variable: keras.Variable) -> tuple[tf.Tensor, int]:
    """Return what the replica holds of a variable, and the place of its first element."""
    value = tf.convert_to_tensor(variable.value)
    if not (bounds := shards.stored.get(id(variable))):
        return value, 0
    start, stop = bounds[replica_index() : replica_index() + 2]
    return tf.ensure_shape(value, [stop - start]), start


def whole(shards: Shards, variables: Variables) -> list[tf.Tensor]:
    """Return the values of variables, on every replica; in its context."""
    cut = [v for v in variables if id(v) in shards.stored]
    shares = [own_part(shards, v)[0] for v in cut]
    gathered = zip(cut, _gathered(shares, [shards.stored[id(v)] for v in cut]), strict=True)
    found = {id(v): tf.reshape(x, v.shape) for v, x in gathered}
    return [found[id(v)] if id(v) in found else tf.convert_to_tensor(v.value) for v in variables]


def replica_index() -> int:
    """Return the number of the replica that is traced: each has a graph of its own."""
    return int(tf.distribute.get_replica_context()._replica_id_in_sync_group)


def _old_and_value(variable: keras.Variable) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what a variable was before the step, and what it is now."""
    old = tf.convert_to_tensor(variable._value)
    now = open_scope().get_current_value(variable)
    return old, old if now is None else now


def _flat(tensor: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tensor, [-1])


def _gathered(shares: Sequence[tf.Tensor], bounds: Sequence[Bounds]) -> list[tf.Tensor]:
    """Return the flat wholes, of which this replica has the `shares`."""
    found: dict[int, tf.Tensor] = {}
    for dtype in sorted({s.dtype.name for s in shares}):
        chosen = [i for i, s in enumerate(shares) if s.dtype == dtype]
        wholes = _gathered_of_one_dtype([shares[i] for i in chosen], [bounds[i] for i in chosen])
        found |= dict(zip(chosen, wholes, strict=True))
    return [found[i] for i in range(len(shares))]


def _gathered_of_one_dtype(
    shares: Sequence[tf.Tensor], bounds: Sequence[Bounds]
) -> list[tf.Tensor]:
    """Return the same in one message: rows of one length, one from each replica."""
    sizes = [[b[r + 1] - b[r] for b in bounds] for r in range(len(bounds[0]) - 1)]
    longest = max(map(sum, sizes))
    mine = tf.concat(shares, axis=0)
    row = tf.pad(mine, [[0, longest - mine.shape[0]]])[tf.newaxis]
    rows = tf.unstack(tf.ensure_shape(collectives.all_gather(row), [len(sizes), longest]))
    cut = [tf.split(row, [*s, longest - sum(s)]) for row, s in zip(rows, sizes, strict=True)]
    owners = [[r for r, s in enumerate(sizes) if s[i]] for i in range(len(bounds))]
    return [tf.concat([cut[r][i] for r in found], axis=0) for i, found in enumerate(owners)]
