"""The scopes in which the user's code runs: what it assigns is recorded, joined, or refused."""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import user_code
from trainer.engine.inlined import functions_inlined
from trainer.ownership import Rule
from trainer.task import Task

SEED = "seed_generator_state"  # end of the path of a seed generator's variable
_HOLD = "assign it to an attribute of the task, or make it with add_weight of a layer"
_HOLD_GENERATOR = (
    "assign its generator to an attribute of the task or of a layer, or draw without a seed"
)
_INSIDE = "inside a loop or a condition of TensorFlow"
_ASSIGNED_INSIDE = (
    _INSIDE,
    "let it return the value, and assign that: tf.where(condition, new, old)",
)
_DRAWN_INSIDE = (
    f"the state of a random draw, {_INSIDE}, where each turn would draw the same",
    "draw before it, for all turns at once (an RNN: unroll=True), or write a loop of Python",
)
_NORMALIZED_AGAIN = (
    "a weight, in a part that is computed again on the way back",
    "make the SpectralNormalization outside of RematScope and keras.remat, without model.remat",
)
_OUTSIDE = "assign it in train_step, outside of gradient()"
_DECLARE = (
    "make it with trainable=False and aggregation='mean' (the mean of what the microbatches assign "
    "is kept) or 'sum' (what they add is added), or assign it in train_step, outside of gradient()"
)


class _Scope(keras.StatelessScope):
    """Records assignments in the graph where it is opened, and refuses those of a graph inside."""

    def __enter__(self) -> keras.StatelessScope:
        """See the base class."""
        self._graph = tf.compat.v1.get_default_graph()
        return super().__enter__()

    def add_update(self, update: tuple[keras.Variable, tf.Tensor]) -> None:
        """See the base class.

        Raises:
            RunError: BAD_CONFIG where the value is one of a loop or a condition: it is not known
                outside, and each turn of a loop would read and draw the same.
        """
        if tf.compat.v1.get_default_graph() is not self._graph:
            is_draw = update[0].path.endswith(SEED)
            raise _refusal(update[0], *(_DRAWN_INSIDE if is_draw else _ASSIGNED_INSIDE))
        super().add_update(update)


class MicrobatchScope(_Scope):
    """Records what a microbatch assigns, and refuses what could not be joined with the others.

    Args:
        mapping: every variable and its value when the scope is opened.
        rules: id of a variable -> how it may change.
        in_program: whether this becomes part of an XLA program.
        is_inner: whether this is a part of a microbatch that is computed again.
    """

    def __init__(
        self,
        mapping: Sequence[tuple[keras.Variable, tf.Tensor]],
        rules: Mapping[int, Rule],
        *,
        in_program: bool,
        is_inner: bool = False,
    ) -> None:
        super().__init__(mapping, collect_losses=True)
        self._known = {id(variable): variable for variable, _ in mapping}
        self._first = dict(self.state_mapping)
        self._rules = rules
        self._is_inner = is_inner
        self.in_program = in_program
        self._assigned: set[int] = set()
        self._replacements: dict[int, list[tf.Tensor]] = {}
        self.tape: tf.GradientTape | None = None
        self.loss_lines: list[str] = []
        self.loss_layers: list[keras.Layer] = []

    def add_loss(self, loss: tf.Tensor) -> None:
        """See the base class; notes the line that calls `add_loss`, and the layer that adds."""
        self.loss_lines.append(user_code.calling_line())
        # Keras hands over the loss alone, and a layer knows its own by their identity.
        self.loss_layers.append(sys._getframe(1).f_locals["self"])
        super().add_loss(loss)

    def add_update(self, update: tuple[keras.Variable, tf.Tensor]) -> None:
        """See the base class.

        Raises:
            RunError: BAD_CONFIG where the assignment has no meaning for several virtual replicas.
        """
        variable, value = update
        if id(variable) not in self._known:
            raise _unknown(variable)
        rule = self._rules.get(id(variable))  # seeds and metrics have none
        if rule == "read":
            raise _refusal(variable, "and each microbatch would assign another value", _DECLARE)
        if rule == "trained":
            raise _refusal(variable, "which is trained: by gradients only", _OUTSIDE)
        if rule == "mean" and not tf.as_dtype(variable.dtype).is_floating:
            raise _refusal(variable, f"whose {variable.dtype} has no mean", _DECLARE)
        if rule == "normalized" and self._is_inner:
            raise _refusal(variable, *_NORMALIZED_AGAIN)
        if rule == "normalized" and self.tape:
            # As in TensorFlow, where an assignment ends the way of a gradient: from here on it is
            # that of the new value.
            value = tf.stop_gradient(value)
            self.tape.watch(value)
            self._replacements.setdefault(id(variable), []).append(value)
        if rule:
            self._assigned.add(id(variable))
        super().add_update((variable, value))

    def values(self) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Return every variable and its value as it is now."""
        return [(v, self.get_current_value(v)) for v in self._known.values()]

    def inner(
        self, mapping: Sequence[tuple[keras.Variable, tf.Tensor]], tape: tf.GradientTape | None
    ) -> "MicrobatchScope":
        """Return a scope for a part of the microbatch that is computed again."""
        scope = MicrobatchScope(mapping, self._rules, in_program=self.in_program, is_inner=True)
        scope.tape = tape
        return scope

    def assigned(self) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Return every variable that was assigned, and its last value."""
        now = self.state_mapping
        return [(v, now[i]) for i, v in self._known.items() if now[i] is not self._first[i]]

    def replacements(self, variable: keras.Variable) -> list[tf.Tensor]:
        """Return the values that a layer gave its weight on the way, one for each call of it."""
        return self._replacements.get(id(variable), [])

    def was_assigned(self, variable: keras.Variable) -> bool:
        """Whether the microbatch assigned the variable, which is neither a seed nor a metric."""
        return id(variable) in self._assigned


def _unknown(variable: keras.Variable) -> RunError:
    hold = _HOLD_GENERATOR if variable.path.endswith(SEED) else _HOLD
    return _refusal(variable, "which is no state of the run", hold)


def _refusal(variable: keras.Variable, why: str, instead: str) -> RunError:
    line = user_code.calling_line()
    return RunError(
        ExitCode.BAD_CONFIG,
        f"{line + ': ' if line else ''}the step assigns {variable.path}, {why}; {instead}",
    )


class StepScope(_Scope):
    """Records what a step assigns, and refuses what is no state of the run."""

    def __init__(self, task: Task, mapping: Sequence[tuple[keras.Variable, tf.Tensor]]) -> None:
        super().__init__(mapping)
        self._known = {id(v) for v in task.readable()}
        self._updated: set[int] = set()

    def add_update(self, update: tuple[keras.Variable, tf.Tensor]) -> None:
        """See the base class; raises RunError, BAD_CONFIG."""
        if id(update[0]) not in self._known:
            raise _unknown(update[0])
        self._updated.add(id(update[0]))
        super().add_update(update)

    def was_updated(self, variable: keras.Variable) -> bool:
        """Whether the step assigned the variable."""
        return id(variable) in self._updated


@contextlib.contextmanager
def step_scope(task: Task, key: tf.Tensor) -> Iterator[StepScope]:
    """Open the scope in which `Task.train_step` runs, metrics at zero.

    Args:
        task: whose step it is.
        key: int64[2], unique to the step.
    """
    seed = tf.cast(philox_seeds(key, 1)[0], task.unseeded.state.dtype)
    counters = [v for metric in task.metrics.values() for v in metric.variables]
    zeros = [(v, tf.zeros(v.shape, v.dtype)) for v in counters]
    scope = StepScope(task, [(task.unseeded.state, seed), *zeros])
    with unseeded_draws(task.unseeded), functions_inlined(), scope:
        yield scope


@contextlib.contextmanager
def unseeded_draws(generator: keras.random.SeedGenerator) -> Iterator[None]:
    """Let `keras.random` without a seed draw from `generator`, not from its global one.

    The global one would be a constant of the graph: the same numbers in every step.
    """
    state = keras.src.backend.common.global_state
    name = keras.src.random.seed_generator.GLOBAL_SEED_GENERATOR
    original = state.get_global_attribute(name)
    state.set_global_attribute(name, generator)
    try:
        yield
    finally:
        state.set_global_attribute(name, original)


def philox_seeds(key: tf.Tensor, count: int) -> tf.Tensor:
    """Return int64[count, 2], a key for each of `count` generators."""
    return tf.random.stateless_uniform(
        [count, 2], key, minval=None, maxval=None, dtype=tf.int64, alg="philox"
    )
