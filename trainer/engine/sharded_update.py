"""The update of sharded state: each replica makes its share, and all have the new weights.

An optimizer does not know of it: a share stands in the place of the variable, in value and shape.
Whatever is cut, every element is computed as on one replica.
"""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from trainer.engine import collectives, optimizer
from trainer.engine.optimizer import Kept, Part, open_scope, standing_for
from trainer.engine.separable import Separate, part_shape
from trainer.engine.sharding import Bounds, Shards, replica_index, share_here
from trainer.optimizers.weight_average import WeightAverage
from trainer.task import Variables


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
    for mean, share in ((mean, _flat(part)) for mean, part in new):
        open_scope().add_update((mean, share))


def whole(shards: Shards, variables: Variables) -> list[tf.Tensor]:
    """Return the values of variables, on every replica; in its context."""
    cut = [v for v in variables if id(v) in shards.stored]
    shares = [share_here(shards, v)[0] for v in cut]
    gathered = zip(cut, _gathered(shares, [shards.stored[id(v)] for v in cut]), strict=True)
    found = {id(v): tf.reshape(x, v.shape) for v, x in gathered}
    return [found[id(v)] if id(v) in found else tf.convert_to_tensor(v.value) for v in variables]


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
        if not self._by_element:
            return whole
        return tf.reshape(_flat(whole)[self._start : self._stop], self._shape(self.variable))

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

    def _shape(self, variable: keras.Variable) -> list[int]:
        size = self._stop - self._start
        return part_shape(variable, size) if self._by_element else list(variable.shape)

    def _slot(self, slot: keras.Variable) -> Part:
        shape = self._shape(slot)
        old, value = (tf.ensure_shape(v, [math.prod(shape)]) for v in _old_and_value(slot))
        return Part(slot, tf.reshape(old, shape), tf.reshape(value, shape))


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
