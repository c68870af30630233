"""A training step in NumPy float64, from its definition; only raw random bits are TensorFlow's.

What the tests of the whole step compare with. The layers compute with complex numbers as well, so
that gradients need no rule of derivation.
"""

import numpy as np
import tensorflow as tf

TINY = 1e-30
CALLS = 64
EVALUATION = CALLS - 1
BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM = 1e-3, 0.99


def gradient(loss, weights):
    """Return d loss / d weights, exact to the last digits.

    Source: Squire and Trapp, Using Complex Variables to Estimate Derivatives, 1998, equation 2.
    """

    def slope(index, place):
        moved = [w.astype(complex) for w in weights]
        moved[index].flat[place] += TINY * 1j
        return loss(moved).imag / TINY

    places = [(index, range(w.size), w.shape) for index, w in enumerate(weights)]
    return [np.reshape([slope(i, place) for place in all_], shape) for i, all_, shape in places]


def clip(grads, limit):
    """Return the gradients, no longer than `limit` as one vector, and their norm before."""
    norm = np.sqrt(sum((g**2).sum() for g in grads))
    return [g * min(1.0, limit / norm) for g in grads], norm


class Updates:
    """One optimizer: a rule of `tests.parts.reference` and what it keeps of every variable."""

    def __init__(self, rule, rate, count):
        self.rule, self.rate, self.done = rule, rate, 0
        self.slots = [{} for _ in range(count)]

    def __call__(self, weights, grads):
        self.done += 1
        rows = zip(weights, grads, self.slots, strict=True)
        return [self.rule(w, g, slots, self.done, self.rate) for w, g, slots in rows]


def averaged(averages, values, step, decay):
    """Return the running averages after the update of `step`."""
    d = min(decay, (1 + step) / (10 + step))
    return [d * a + (1 - d) * v for a, v in zip(averages, values, strict=True)]


class BatchNorm:
    """Normalizes a microbatch by its own statistics; keeps what each proposes as moving ones."""

    def __init__(self, mean, variance):
        self.moving = [mean, variance]
        self.proposed = []

    def microbatch(self):
        """Return the layer for one microbatch, float[b, n], gamma, beta -> float[b, n]."""
        now = list(self.moving)
        self.proposed.append(now)

        def normalize(x, gamma, beta):
            mean = x.mean(0)
            variance = ((x - mean) ** 2).mean(0)
            for place, value in enumerate((mean, variance)):
                rest = 1 - BATCH_NORM_MOMENTUM
                now[place] = BATCH_NORM_MOMENTUM * now[place] + rest * value.real
            return normal(x, mean, variance, gamma, beta)

        return normalize

    def move(self, microbatches):
        """Take the mean of what the last microbatches proposed."""
        last = self.proposed[-microbatches:]
        self.moving = [np.mean(values, axis=0) for values in zip(*last, strict=True)]
        self.proposed = []

    def evaluate(self, x, gamma, beta):
        return normal(x, *self.moving, gamma, beta)


def normal(x, mean, variance, gamma, beta):
    return gamma * (x - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) + beta


def cross_entropy(logits, labels):
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]


def log_loss(logits, target):
    """Binary cross-entropy of logits [b, 1] against one target."""
    return (np.log(1 + np.exp(logits)) - target * logits)[:, 0]


def key(seed, step, microbatch, microbatches, call):
    """Return the key of a microbatch's random numbers, int64[2]."""
    return np.array([seed * CALLS + call, step * microbatches + microbatch], np.int64)


class Dropout:
    """Draws the masks of one microbatch anew, from its key alone.

    Args:
        key: int64[2].
        count: generators in all models.
        hashed: as in programs of XLA.
    """

    def __init__(self, key, count, *, hashed):
        self.hashed, self.kept = hashed, {}
        seeds = hashed_bits(key, (count, 2)) if hashed else _philox_bits(key, (count, 2))
        self.seeds = seeds.astype(np.int64)

    def __call__(self, x, rate, generator, draw=0):
        """Drop units by the `draw`-th draw of a generator."""
        place = (generator, draw)
        if place not in self.kept:
            self.kept[place] = self._mask(x.shape, rate, self.seeds[generator] + [0, draw])
        return np.where(self.kept[place], x / (1 - rate), 0)

    def _mask(self, shape, rate, seed):
        if self.hashed:
            return hashed_bits(seed, shape) >= np.uint32(int(rate * 2**32))
        # Keras folds the words of a seed into 31 bits.
        seed = (seed % (2**31 - 2)).astype(np.int32)
        return tf.random.stateless_uniform(shape, seed).numpy() >= np.float32(rate)


def hashed_bits(key, shape):
    """Return uint32[shape] as a hash of the key, int64[2], and the place."""
    words = np.array(key, np.int64).view(np.uint32)
    with np.errstate(over="ignore"):
        first, second = (_absorb(start, words) for start in (0x243F6A88, 0x85A308D3))
        index = np.arange(np.prod(shape), dtype=np.uint32)
        return _mix(_mix(index ^ first) + second).reshape(shape)


def _absorb(start, words):
    state = np.uint32(start)
    for word in words:
        state = _mix(state ^ word) + np.uint32(0x9E3779B9)
    return state


def _mix(x):
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def _philox_bits(key, shape):
    return tf.random.stateless_uniform(shape, key, None, None, tf.int64, alg="philox").numpy()


def noise(key, shape):
    """Return what a task draws with `microbatch.seed()`, as float64."""
    seed = tf.random.experimental.stateless_fold_in(key, 0)
    return tf.random.stateless_normal(shape, seed, alg="philox").numpy().astype(np.float64)


def assert_close(found, expected, what="", rtol=5e-6):
    """Agree to some units in the last place of float32."""
    np.testing.assert_allclose(np.asarray(found), expected, rtol=rtol, atol=1e-6, err_msg=what)


def slots(task, role, ending):
    """Return the slots of an optimizer whose names end so, in the order of its variables."""
    names = [n for n in task.state() if n.startswith(f"optimizer/{role}/") and n.endswith(ending)]
    return [task.state()[name].numpy() for name in names]
