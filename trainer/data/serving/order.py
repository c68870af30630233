"""Which examples each step serves: pure arithmetic, no iterator, no state.

Position p counts training examples from the start of the run and runs on across epochs: step t
serves positions t * B to (t + 1) * B - 1, microbatch v the v-th part of them. Within an epoch every
example has exactly one position.

    window covers the data   one permutation of all examples an epoch, whatever the shards
    smaller window           shards are permuted, laid end to end and cut into windows, and every
                             window is permuted: what is read is never far apart
"""

import abc
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from trainer.data.augment.hashing import fold
from trainer.data.info import Split
from trainer.data.records.read_plan import Served

# Which permutation of an epoch; a word of the permutation's key; windows count from 0.
_ALL, _SHARDS, _FIRST_WINDOW = 0, -1, 1


@dataclasses.dataclass(frozen=True)
class Order(abc.ABC):
    """Maps positions to examples of a split."""

    split: Split

    @abc.abstractmethod
    def serve(self, positions: tf.Tensor) -> Served:
        """Return what stands at ascending positions, int64[n]."""

    def weights(self, positions: tf.Tensor) -> tf.Tensor:
        """Return float32[n], 0 for padding."""
        return tf.ones_like(positions, tf.float32)

    def reading_order(self, num_positions: int) -> Sequence[int]:
        """Return the number of the shard behind each visit of the first positions."""
        del num_positions
        return range(len(self.split.sizes))


@dataclasses.dataclass(frozen=True)
class SequentialOrder(Order):
    """Evaluation: every example once, as stored, then padding: the last one, weight 0."""

    def serve(self, positions: tf.Tensor) -> Served:
        """See `Order`."""
        ids = tf.minimum(positions, self.split.num_examples - 1)
        visits = _find(_starts(self.split.sizes), ids)
        return Served(ids, visits, visits)

    def weights(self, positions: tf.Tensor) -> tf.Tensor:
        """See `Order`."""
        return tf.cast(positions < self.split.num_examples, tf.float32)


@dataclasses.dataclass(frozen=True)
class ShuffledOrder(Order):
    """Training: a fresh permutation every epoch, of everything, whatever the shards are."""

    seed: int

    def serve(self, positions: tf.Tensor) -> Served:
        """See `Order`."""
        total = self.split.num_examples
        epochs, rows = tf.unique(positions // total, tf.int64)
        keys = _keys(self.seed, epochs, tf.fill(tf.shape(epochs), _ALL))
        ids = _permute(positions % total, tf.gather(keys, rows), total)
        visits = _find(_starts(self.split.sizes), ids)
        return Served(ids, visits, tf.zeros_like(ids))


@dataclasses.dataclass(frozen=True)
class WindowedOrder(Order):
    """Training: permuted shards, cut into windows of `window` examples that are permuted."""

    seed: int
    window: int

    def serve(self, positions: tf.Tensor) -> Served:
        """See `Order`."""
        total = self.split.num_examples
        epochs, places = positions // total, positions % total
        # Windows counted through the epochs: what belongs to one is worked out once, not for each
        # of its examples.
        windows_an_epoch = -(-total // self.window)
        windows, rows = tf.unique(epochs * windows_an_epoch + places // self.window, tf.int64)
        owners, windows = windows // windows_an_epoch, windows % windows_an_epoch
        starts = windows * self.window
        keys = _keys(self.seed, owners, windows + _FIRST_WINDOW)
        sizes = tf.minimum(total - starts, self.window)
        starts_of = tf.gather(starts, rows)
        shuffled = _permute(places - starts_of, tf.gather(keys, rows), tf.gather(sizes, rows))
        ids, visits = self._look_up(epochs, starts_of + shuffled)
        _, first_visits = self._look_up(owners, starts)
        return Served(ids, visits, tf.gather(first_visits, rows))

    def reading_order(self, num_positions: int) -> Sequence[int]:
        """See `Order`."""
        return _Visits(self, -(-num_positions // self.split.num_examples))

    def shards_of(self, epoch: int) -> list[int]:
        """Return the shards of an epoch in the order of reading."""
        shards: list[int] = self._shards(tf.constant([epoch], tf.int64))[0].numpy().tolist()
        return shards

    def _look_up(self, epochs: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return example and visit of places in the laid-out shards of their epochs."""
        total, num_shards = self.split.num_examples, len(self.split.sizes)
        shards = self._shards(tf.range(epochs[0], epochs[-1] + 1))
        sizes = tf.gather(tf.constant(self.split.sizes, tf.int64), shards)
        laid = tf.cumsum(sizes, axis=1, exclusive=True)
        # One line of starts over all epochs at hand, so that one search finds epoch and shard.
        laid += total * tf.range(tf.shape(shards, tf.int64)[0])[:, tf.newaxis]
        line = tf.reshape(laid, [-1])
        along = (epochs - epochs[0]) * total + places
        found = _find(line, along)
        first_ids = tf.gather(_starts(self.split.sizes), tf.gather(tf.reshape(shards, [-1]), found))
        return first_ids + along - tf.gather(line, found), epochs[0] * num_shards + found

    def _shards(self, epochs: tf.Tensor) -> tf.Tensor:
        """Return the shards of each epoch in the order of reading, int64[epochs, shards]."""
        num_shards = len(self.split.sizes)
        ranks = tf.tile(tf.range(num_shards, dtype=tf.int64), tf.shape(epochs))
        owners = tf.repeat(epochs, num_shards)
        shards = _permute(
            ranks, _keys(self.seed, owners, tf.fill(tf.shape(owners), _SHARDS)), num_shards
        )
        return tf.reshape(shards, [-1, num_shards])


class _Visits(Sequence[int]):
    """The shards of all epochs, worked out where they are asked for: a run may have 10^9 steps."""

    def __init__(self, order: WindowedOrder, num_epochs: int) -> None:
        self._num_shards = len(order.split.sizes)
        self._num_epochs = num_epochs
        self._shards_of = functools.lru_cache(maxsize=4)(order.shards_of)

    def __len__(self) -> int:
        return self._num_epochs * self._num_shards

    def __getitem__(self, visit: Any) -> Any:
        if isinstance(visit, slice):
            return [self[place] for place in range(*visit.indices(len(self)))]
        if not 0 <= visit < len(self):
            raise IndexError(visit)  # ends an iteration
        epoch, rank = divmod(int(visit), self._num_shards)
        return self._shards_of(epoch)[rank]


@dataclasses.dataclass(frozen=True)
class Batches:
    """Every global batch, and the part of it that the replicas of this process work on.

    Attributes:
        order: of the examples.
        size: B.
        microbatch_size: b.
        local: places in a batch of the examples that this process works on; n of them.
    """

    order: Order
    size: int
    microbatch_size: int
    local: range

    def serve(self, steps: tf.Tensor) -> Served:
        """Return what stands at the local places of some steps, int64[..., n]."""
        positions = self._positions(steps)
        served = self.order.serve(tf.reshape(positions, [-1]))
        return Served(*(tf.reshape(values, tf.shape(positions)) for values in served))

    def weights(self, step: tf.Tensor) -> tf.Tensor:
        """Return float32[n], 0 for padding."""
        return self.order.weights(self._positions(step))

    def places(self, first_microbatch: tf.Tensor, num_microbatches: int) -> tuple[tf.Tensor, int]:
        """Return the first place in a batch of some microbatches, and how many places they take."""
        return first_microbatch * self.microbatch_size, num_microbatches * self.microbatch_size

    def _positions(self, steps: tf.Tensor) -> tf.Tensor:
        places = tf.range(self.local.start, self.local.stop, dtype=tf.int64)
        return steps[..., tf.newaxis] * self.size + places


def ids_of_step(order: Order, step: int, batch_size: int) -> list[int]:
    """Return the examples of one step, B ids."""
    positions = tf.range(step * batch_size, (step + 1) * batch_size, dtype=tf.int64)
    return [int(example) for example in order.serve(positions).ids]


def training_order(split: Split, *, seed: int, window: int) -> Order:
    """Return the order of training; a window of 0, or one that covers the data, is all of it."""
    if 0 < window < split.num_examples:
        return WindowedOrder(split, seed, window)
    return ShuffledOrder(split, seed)


def _permute(index: tf.Tensor, keys: tf.Tensor, sizes: tf.Tensor | int) -> tf.Tensor:
    """Return where each index in 0..size-1 goes under the permutation of its key.

    Source: a block cipher with cycle walking (the kernel behind
    `tf.random.experimental.index_shuffle`, which takes one key only); O(1) per position, so that
    resuming at any step costs nothing.
    """
    last = tf.broadcast_to(tf.cast(sizes, tf.int64) - 1, tf.shape(index))
    return tf.raw_ops.RandomIndexShuffle(index=index, seed=keys, max_index=last, rounds=4)


def _keys(seed: int, epochs: tf.Tensor, streams: tf.Tensor) -> tf.Tensor:
    """Return a key of three mixed words for each (seed, epoch, stream), int64[n, 3].

    The cipher takes its round keys from the words almost as they are: with small numbers for words
    it had one result in 16 on average, and in the worst stream one and the same 19 times of 20.
    """
    key = fold(fold(seed, epochs), streams)
    return tf.bitcast(tf.stack([fold(key, word) for word in range(3)], axis=1), tf.int64)


def _starts(sizes: tuple[int, ...]) -> tf.Tensor:
    return tf.cumsum(tf.constant(sizes, tf.int64), exclusive=True)


def _find(starts: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Return the number of the range that holds each value, given ascending starts."""
    return tf.searchsorted(starts, values, side="right", out_type=tf.int64) - 1
