"""States of metrics: made before the first step, tried on random numbers, and read as numbers.

Every microbatch counts from zero and the states are added up, so that the value is one of all
examples on any hardware. A metric for which that does not hold is refused by its name.
"""

import contextlib
import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import user_code

_ROWS_IF_UNKNOWN = 2


@dataclasses.dataclass(frozen=True)
class Given:
    """What a metric is given for a microbatch, as specs.

    Attributes:
        args: of `update_state`, with specs in place of tensors.
        kwargs: the same by name.
        weighted: whether examples may count otherwise than 0 or 1.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    weighted: bool

    @property
    def rows(self) -> int:
        """Examples of the microbatch, which a shape that depends on the data does not tell."""
        specs = filter(_is_spec, tf.nest.flatten((self.args, dict(self.kwargs))))
        return next((s.shape[0] for s in specs if s.shape.rank and s.shape[0]), _ROWS_IF_UNKNOWN)

    def __str__(self) -> str:
        """Return "float32[8, 3], int64[8]"."""
        return ", ".join(
            f"{x.dtype.name}{list(x.shape)}"
            for x in tf.nest.flatten((self.args, dict(self.kwargs)))
            if isinstance(x, tf.TensorSpec)
        )


def make_states(metrics: Mapping[str, keras.metrics.Metric], given: Mapping[str, Given]) -> None:
    """Make the state of each metric, and refuse one whose states do not add up.

    Args:
        metrics: name -> metric.
        given: name -> what it is given; a metric that no step updates is not there.

    Raises:
        RunError: BAD_CONFIG naming the metric, and what a metric must keep to.
    """
    for name, metric in metrics.items():
        if name in given:
            _Trial(name, metric, given[name]).run()
        elif not metric.variables:  # made at an update that never comes
            raise _refusal(name, "neither train_step nor eval_step updates it; take it out")


def values(
    name: str, metric: keras.metrics.Metric, state: Sequence[np.ndarray]
) -> dict[str, float]:
    """Return the value of a metric: "name", or "name/0", "name/1", ... of a vector.

    Args:
        name: of the metric.
        metric: whose state it is.
        state: summed, in the order of its variables.

    Raises:
        RunError: BAD_CONFIG where a metric of the user's gives no numbers.
    """
    with user_code.answerable(metric):
        return {n: float(x) for n, x in _flat(name, metric.stateless_result(list(state)))}


def value_names(metrics: Mapping[str, keras.metrics.Metric]) -> list[str]:
    """Name the numbers that the metrics give, as `values` does."""
    zeros = {n: [np.zeros(v.shape, np.float32) for v in m.variables] for n, m in metrics.items()}
    return [n for name, metric in metrics.items() for n in values(name, metric, zeros[name])]


def _flat(name: str, result: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(result, Mapping):
        for key, value in result.items():
            yield from _flat(f"{name}/{key}", value)
        return
    array = np.asarray(result)
    for index in np.ndindex(array.shape):
        yield "/".join([name, *map(str, index)]), array[index]


class _Trial:
    """Updates a metric with random numbers of the shapes that it will be given."""

    def __init__(self, name: str, metric: keras.metrics.Metric, given: Given) -> None:
        self._name, self._metric, self._given = name, metric, given
        self._rng = np.random.default_rng(0)

    def run(self) -> None:
        """Make the state where the metric has none yet, and see whether it adds up."""
        specs = tf.nest.flatten((self._given.args, dict(self._given.kwargs)))
        tensors = [x for x in specs if isinstance(x, tf.TensorSpec)]
        if any(not x.dtype.is_numpy_compatible or x.dtype == tf.string for x in tensors):
            return
        first, second = self._draw(), self._draw()
        # Assignments are only recorded, and what the first of them makes is kept, as it starts.
        with contextlib.suppress(tf.errors.OpError), keras.StatelessScope():
            self._attempt(self._metric.update_state, first)
        self._refuse_other_start()
        # A scalar of a microbatch cannot be cut into examples.
        if tensors and all(x.shape.rank for x in tensors):
            try:
                self._refuse_if_not_additive(first, second)
            except tf.errors.OpError:
                return  # random numbers that it does not take tell nothing

    def _refuse_if_not_additive(self, first: Any, second: Any) -> None:
        both = _joined(first, second)
        parts = [self._state(first), self._state(second)]
        added = [a + b for a, b in zip(*parts, strict=True)]
        if not _close(added, self._state(both)):
            raise _refusal(
                self._name,
                "its state over two halves of a batch does not add up to that over the whole; keep "
                "sums, counts or histograms over examples and divide in result()",
            )
        padded = _joined(first, self._with_weights(second, 0.0))
        if not _close(self._result(first), self._result(padded)):
            raise _refusal(
                self._name,
                "it counts examples whose sample_weight is 0, which only fill up the last batch",
            )
        if self._given.weighted and not _close(
            self._state(first), [2 * x for x in self._state(self._with_weights(first, 0.5))]
        ):
            raise _refusal(
                self._name,
                "an example of half the weight does not count half in its state; give it "
                "args.dtype='float32', or a state that does",
            )

    def _refuse_other_start(self) -> None:
        for variable in self._metric.variables:
            if np.any(variable.numpy()):
                raise _refusal(
                    self._name,
                    f"its state {variable.path} does not start at zero: each microbatch starts "
                    "there, and the states are added up",
                )

    def _state(self, drawn: Any) -> list[np.ndarray]:
        zeros = [tf.zeros(v.shape, v.dtype) for v in self._metric.variables]

        def update(zeros: list[tf.Tensor], drawn: Any) -> Any:
            args, kwargs = drawn
            return self._metric.stateless_update_state(zeros, *args, **kwargs)

        call = tf.function(update, autograph=False)
        traced = self._attempt(call.get_concrete_function, ((zeros, drawn), {}))
        flat = [x for x in tf.nest.flatten((zeros, drawn)) if isinstance(x, tf.Tensor)]
        return [np.asarray(x) for x in tf.nest.flatten(traced(*flat))]

    def _result(self, drawn: Any) -> list[float]:
        return list(values(self._name, self._metric, self._state(drawn)).values())

    def _attempt(self, function: Any, call: Any) -> Any:
        args, kwargs = call
        try:
            return function(*args, **kwargs)
        except (RunError, tf.errors.OpError):
            raise
        except Exception as error:
            line = user_code.place_of(error)
            raise _refusal(
                self._name,
                f"{line + ': ' if line else ''}update_state({self._given}) failed: "
                f"{user_code.reason_of(error)}",
            ) from error

    def _draw(self) -> Any:
        """Return arguments with two classes, values in [0, 1) and weights of 1 and 3."""
        drawn = tf.nest.map_structure(self._draw_one, (self._given.args, dict(self._given.kwargs)))
        return self._with_weights(drawn, None)

    def _draw_one(self, spec: Any) -> Any:
        return random_values(spec, self._rng, self._given.rows) if _is_spec(spec) else spec

    def _with_weights(self, drawn: Any, factor: float | None) -> Any:
        """Return the arguments with other weights: times `factor`, or drawn."""
        args, kwargs = drawn
        names = list(inspect.signature(type(self._metric).update_state).parameters)[1:]
        named = {**dict(zip(names, args, strict=False)), **kwargs}
        weights = named.get("sample_weight")
        if not isinstance(weights, tf.Tensor):
            return drawn
        drawn_anew = tf.cast(
            tf.constant(1 + 2 * self._rng.integers(0, 2, weights.shape)), weights.dtype
        )
        new = drawn_anew if factor is None else weights * tf.cast(factor, weights.dtype)
        if "sample_weight" in kwargs:
            return args, {**kwargs, "sample_weight": new}
        place = names.index("sample_weight")
        return (*args[:place], new, *args[place + 1 :]), kwargs


def _is_spec(value: Any) -> bool:
    return isinstance(value, tf.TensorSpec)


def random_values(
    spec: tf.TensorSpec, rng: np.random.Generator, rows: int = _ROWS_IF_UNKNOWN
) -> tf.Tensor:
    """Return values in [0, 1), whole numbers 0 and 1; an unknown size is `rows`."""
    shape = [d or rows for d in spec.shape]
    is_whole = spec.dtype.is_integer or spec.dtype.is_bool
    drawn = rng.integers(0, 2, shape) if is_whole else rng.uniform(size=shape)
    return tf.cast(tf.constant(drawn), spec.dtype)


def _joined(first: Any, second: Any) -> Any:
    return tf.nest.map_structure(
        lambda a, b: tf.concat([a, b], 0) if isinstance(a, tf.Tensor) else a, first, second
    )


def _close(found: Sequence[Any], expected: Sequence[Any]) -> bool:
    return all(
        np.allclose(a, b, rtol=1e-4, atol=1e-4, equal_nan=True)
        for a, b in zip(found, expected, strict=True)
    )


def _refusal(name: str, why: str) -> RunError:
    return RunError(ExitCode.BAD_CONFIG, f"config.metrics: {name!r} cannot be used: {why}")
