"""What an optimizer updates by itself: each element, each variable, or nothing smaller than all.

Read off the graph of its update, whoever has written it. A variable is updated by itself where its
update, traced alone, is the same function as its update among all others, and reads nothing of
them. It is updated by element where all operations on the way are, and a part of it has the same
ones. They are a list, because an operation that is not known may mix elements.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence, Set

import keras
import tensorflow as tf

from trainer.engine.inlined import functions_inlined
from trainer.engine.optimizer import Part, standing_for, update

_OPERATIONS = """
    Abs Add AddN AddV2 Cast Ceil ClipByValue Cos Div DivNoNan Elu Equal Erf Exp Expm1 Floor Greater
    GreaterEqual Identity IsFinite IsInf IsNan Less LessEqual Log Log1p LogicalAnd LogicalNot
    LogicalOr Maximum Minimum Mul MulNoNan Neg NotEqual OnesLike Pow RealDiv Reciprocal Relu Rint
    Round Rsqrt Select SelectV2 Sigmoid Sign Sin Softplus Sqrt Square SquaredDifference StopGradient
    Sub Tanh Xdivy Xlog1py Xlogy ZerosLike
"""
_FEW = 64
_BY_ELEMENT = frozenset(_OPERATIONS.split())
Label = tuple[str, int]
Place = tuple[str, int]
Written = dict[int, tf.Tensor]
"""id of a variable -> its new value."""


@dataclasses.dataclass(frozen=True)
class Separate:
    """A variable that its optimizer updates by itself.

    Attributes:
        variable: the trained one.
        slots: variables of the optimizer that belong to it.
        by_element: whether an element of it and of its slots depends on none at another place.
    """

    variable: keras.Variable
    slots: tuple[keras.Variable, ...]
    by_element: bool


def separate(optimizer: keras.optimizers.Optimizer) -> list[Separate] | None:
    """Return every variable that the optimizer is built on, or None if it mixes some of them.

    It is also None where a step of the optimizer changes what is not its own, such as the state of
    a random generator: whoever leaves out an update would draw other numbers afterwards.
    """
    trained, traced = list(optimizer._trainable_variables), _Traced(optimizer)
    try:
        among_all = traced.update(trained)
        alone = [traced.update([variable]) for variable in trained]
    except Exception:  # of the user's code, which may not do with one variable
        return None
    is_known = {id(v) for v in (*trained, *optimizer.variables)}.issuperset(among_all)
    if not is_known or among_all.keys() != set().union(*alone):
        return None
    own = traced.that_depend_on_gradients(among_all)
    found = [
        traced.separated(v, one, among_all, own) for v, one in zip(trained, alone, strict=True)
    ]
    return None if None in found else found  # type: ignore[return-value] # no None is left


class _Traced:
    """Updates of an optimizer, in a graph where all that they may read is a placeholder."""

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        self._optimizer = optimizer
        self._labels: dict[str, Label] = {}
        self._prints: dict[Place, int] = {}
        self._reads: dict[Place, frozenset[Label]] = {}
        self._graph = tf.__internal__.FuncGraph("update")
        trained = optimizer._trainable_variables
        with self._graph.as_default():
            self._given = {id(v): self._placeholder("variable", v)
                           for v in (*trained, *optimizer.variables)}  # fmt: skip
            self._grads = {id(v): self._placeholder("gradient", v) for v in trained}
            self._condition = tf.compat.v1.placeholder(tf.bool, [])
        self._labels[self._condition.op.name] = ("condition", 0)

    def _placeholder(
        self, kind: str, variable: keras.Variable, num_elements: int | None = None
    ) -> tf.Tensor:
        shape = variable.shape if num_elements is None else part_shape(variable, num_elements)
        made = tf.compat.v1.placeholder(variable.dtype, shape)
        self._labels[made.op.name] = (kind, id(variable))
        return made

    def update(self, to: Sequence[keras.Variable]) -> Written:
        """Trace the update of some variables."""
        return self._traced(to, self._given, self._grads)

    def update_of_part(self, variable: keras.Variable, slots: Sequence[keras.Variable]) -> Written:
        """Trace the update of a small part of one variable."""
        with self._graph.as_default():
            given = {id(v): self._placeholder("variable", v, _FEW) for v in (variable, *slots)}
            grads = {id(variable): self._placeholder("gradient", variable, _FEW)}
        return self._traced([variable], self._given | given, grads)

    def _traced(
        self,
        to: Sequence[keras.Variable],
        given: Mapping[int, tf.Tensor],
        grads: Mapping[int, tf.Tensor],
    ) -> Written:
        all_of_them = (*self._optimizer._trainable_variables, *self._optimizer.variables)
        parts = [Part(v, given[id(v)], given[id(v)]) for v in all_of_them]
        with (
            self._graph.as_default(),
            functions_inlined(),
            keras.StatelessScope() as scope,
            standing_for(parts),
        ):
            update(self._optimizer, [grads[id(v)] for v in to], to, self._condition)
            found = dict(scope.state_mapping)
        self._labels |= {x.op.name: ("captured", id(outer)) for outer, x in self._graph.captures}
        written = {key: x for key, x in found.items() if x is not given.get(key)}
        if any(x.graph is not self._graph for x in written.values()):
            raise ValueError("assigned inside a loop or a condition, which the step refuses")
        return written

    def that_depend_on_gradients(self, written: Written) -> set[int]:
        """Return the ids of the variables whose new values depend on any gradient."""
        found = set(self._grads)
        while more := {k for k, x in written.items() if self._read(x) & _labels(found)} - found:
            found |= more
        return found

    def separated(
        self, variable: keras.Variable, alone: Written, among_all: Written, own: Set[int]
    ) -> Separate | None:
        """Return what the update of one variable is, or None if it is another one among all."""
        if any(self._print(x) != self._print(among_all[key]) for key, x in alone.items()):
            return None
        slots = [v for v in self._optimizer.variables if id(v) in own & alone.keys()]
        mine = [variable, *slots]
        read = frozenset().union(*map(self._read, alone.values()))
        if read & _labels(own) - _labels(id(v) for v in mine):
            return None
        new = [alone[id(v)] for v in mine if id(v) in alone]
        by_element = (
            bool(variable.shape.rank)
            and all(v.shape == variable.shape for v in mine)
            and self._is_by_element(new, variable.shape, own)
            and self._is_alike(alone, variable, slots)
        )
        return Separate(variable, tuple(slots), by_element)

    def _is_alike(
        self, alone: Written, variable: keras.Variable, slots: Sequence[keras.Variable]
    ) -> bool:
        """Whether a part is updated as the whole is: a rule may look at shapes."""
        try:
            part = self.update_of_part(variable, slots)
        except Exception:  # of the user's code, for which this is no variable
            return False
        return {k: self._print(x) for k, x in part.items()} == {
            k: self._print(x) for k, x in alone.items()
        }

    def _is_by_element(
        self, waiting: list[tf.Tensor], shape: tf.TensorShape, own: Set[int]
    ) -> bool:
        """Whether the elements of what depends on gradients meet only others at their own place."""
        seen: set[Place] = set()
        while waiting:
            tensor = waiting.pop()
            if (place := _place(tensor)) in seen:
                continue
            seen.add(place)
            if not self._read(tensor) & _labels(own):
                if tensor.shape.rank != 0:
                    return False
            elif tensor.shape != shape:
                return False
            elif tensor.op.name not in self._labels:
                if tensor.op.type not in _BY_ELEMENT:
                    return False
                waiting += tensor.op.inputs
        return True

    def _print(self, tensor: tf.Tensor) -> int:
        """Return a hash of the function that gives the tensor."""
        place, op = _place(tensor), tensor.op
        if op.name in self._labels:
            return hash(self._labels[op.name])
        if place not in self._prints:
            attributes = [
                (name, value.SerializeToString(deterministic=True))
                for name, value in sorted(op.node_def.attr.items())
                if not name.startswith("_")
            ]
            told = (op.type, tensor.value_index, *attributes)
            self._prints[place] = hash((told, *map(self._print, op.inputs)))
        return self._prints[place]

    def _read(self, tensor: tf.Tensor) -> frozenset[Label]:
        """Return what the tensor is computed from."""
        place = _place(tensor)
        if place not in self._reads:
            label = self._labels.get(tensor.op.name)
            own = frozenset([label] if label else [])
            self._reads[place] = own.union(*map(self._read, tensor.op.inputs))
        return self._reads[place]


def part_shape(variable: keras.Variable, num_elements: int) -> list[int]:
    """Return the shape of a part of a variable, of its rank: a rule may ask for that."""
    return [num_elements, *[1] * (len(variable.shape) - 1)]


def _labels(keys: Iterable[int]) -> set[Label]:
    return {(kind, key) for key in keys for kind in ("variable", "gradient")}


def _place(tensor: tf.Tensor) -> Place:
    return tensor.op.name, tensor.value_index
