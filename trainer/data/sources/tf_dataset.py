"""A `tf.data.Dataset` of the user's: what of it can be kept, and its elements.

The chain of its operations is walked in Python: datasets that capture tables or generators cannot
be made a graph of.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer import user_code
from trainer.config import DatasetConfig
from trainer.data.sources import elements
from trainer.data.sources.elements import Leaves

_BLOCK = 256
_BATCHES, _UNBATCHES = ("BatchDataset", "PaddedBatchDataset", "RebatchDataset"), ("UnbatchDataset",)
_ADVICE = (
    "it would be drawn once, and every epoch would see the same; leave it out and set "
    "config.augment, or draw in the model"
)
_SEED = 0


def is_one(value: Any) -> bool:
    """Whether a value is a `tf.data.Dataset`."""
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(value, tf.data.Dataset)


@contextlib.contextmanager
def seeded() -> Iterator[bool]:
    """Give every operation that is made in the block a seed, from the user's if there is one.

    So a shuffle without a seed is the same on every host, and at every start. Gives whether
    TensorFlow is imported: before it is, there is nothing to set.
    """
    tf, context = (sys.modules.get(f"tensorflow{name}") for name in ("", ".python.eager.context"))
    if tf is None or context is None:
        yield tf is not None
        return
    set_by_user = context.global_seed()
    # Also where one is set: operations count on from it, and it begins anew here.
    tf.random.set_seed(_SEED if set_by_user is None else set_by_user)
    try:
        yield True
    finally:
        context.set_global_seed(set_by_user)


class Pipeline:
    """The elements of a dataset, checked before the first one is read.

    Attributes:
        is_batch: an element is a batch of examples.
        num_elements: of the dataset; below 1: not known.

    Args:
        dataset: of the user.
        config: names the label, and may tell what an element is.
        where: field and split, for the messages.

    Raises:
        RunError: BAD_CONFIG for what has no end, no fixed shape, or draws random numbers.
    """

    def __init__(self, dataset: Any, config: DatasetConfig, where: str) -> None:
        tf = sys.modules["tensorflow"]
        self._label, self._where = elements.label_name(config), where
        specs = elements.flat(dataset.element_spec, self._label, where)
        for name, spec in specs.items():
            _check_spec(name, spec, where)
        self.num_elements = int(dataset.cardinality())
        if self.num_elements == tf.data.INFINITE_CARDINALITY:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{where}: the dataset has no end; leave .repeat() out, as epochs are counted by "
                "the config, or say how many elements: .take(n)",
            )
        self._chain = list(_chain(dataset, set()))
        for each in self._chain:
            _refuse_random(each, where)
        shapes = {name: _shape(spec) for name, spec in specs.items()}
        self.is_batch = _is_batch(self._chain, shapes, config, where)
        is_fixed = all(None not in shape for shape in shapes.values())
        if not self.is_batch and is_fixed:  # read many at a time
            dataset, self.is_batch = dataset.batch(_BLOCK), True
            self.num_elements = -(-self.num_elements // _BLOCK)
        self._dataset = dataset

    def read(self) -> Iterator[Leaves]:
        """Yield the leaves of each element, as arrays.

        Raises:
            RunError: BAD_DATA with the number of the element that the pipeline fails on.
        """
        tf = sys.modules["tensorflow"]
        # What runs in parallel comes in order, also where the user has allowed otherwise.
        tf.config.experimental.enable_op_determinism()
        number = 0
        try:
            for element in self._dataset.as_numpy_iterator():
                yield elements.flat(element, self._label, self._where)
                number += 1
        except tf.errors.OpError as error:
            raise RunError(
                ExitCode.BAD_DATA,
                f"{self._where}: the pipeline fails at element {number}: "
                f"{user_code.reason_of(error)}",
            ) from error

    def constants(self) -> Iterator[str]:
        """Yield the strings that it was made of: names of files are among them."""
        tf = sys.modules["tensorflow"]
        for each in self._chain:
            for value in tf.nest.flatten(list(vars(each).values())):
                if isinstance(value, tf.Tensor) and value.dtype == tf.string:
                    for item in np.ravel(value.numpy()):
                        yield item.decode(errors="replace")


def _chain(dataset: Any, seen: set[int]) -> Iterator[Any]:
    """Yield a dataset and all that it reads from, the last operation first."""
    if id(dataset) not in seen:
        seen.add(id(dataset))
        yield dataset
        inside = [each for each in vars(dataset).values() if is_one(each)]
        for each in (*dataset._inputs(), *inside):
            yield from _chain(each, seen)


def _shape(spec: Any) -> tuple[int | None, ...]:
    return tuple(spec.shape.as_list())


def _check_spec(name: str, spec: Any, where: str) -> None:
    tf = sys.modules["tensorflow"]
    instead = {
        tf.RaggedTensorSpec: "pad it to one length: .map with x.to_tensor(shape=[None, LENGTH])",
        tf.SparseTensorSpec: "make it dense: .map with tf.sparse.to_dense(x)",
    }
    if type(spec) is not tf.TensorSpec:
        kind = type(spec).__name__.removesuffix("Spec")
        advice = instead.get(type(spec), "map to tensors of one shape")
        raise RunError(ExitCode.BAD_CONFIG, f"{where}: {name!r} is a {kind}; {advice}")
    if spec.shape.rank is None:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{where}: {name!r} has no known rank; say its shape: .map with "
            "tf.ensure_shape(x, [...])",
        )


def _is_batch(chain: list[Any], shapes: dict[str, Any], config: DatasetConfig, where: str) -> bool:
    """Whether the last operation that joins or cuts elements joins them."""
    if config.elements == "auto":
        for each in chain:
            kind = type(each).__name__
            if kind.endswith(_BATCHES):
                return True
            if kind.endswith(_UNBATCHES):
                return False
        if not all(shape and shape[0] is None for shape in shapes.values()):
            return False
    return elements.batched(shapes.values(), config, where)


def _refuse_random(dataset: Any, where: str) -> None:
    """Refuse a function of the dataset that keeps or draws something: a random augmentation."""
    for function in dataset._functions():
        for op in function.function.graph.get_operations():
            for kind in (op.type, *_inside(op)):
                if _is_random(kind):
                    place = _line(op)
                    raise RunError(
                        ExitCode.BAD_CONFIG,
                        f"{where}: {place}the pipeline draws random numbers ({kind}): {_ADVICE}",
                    )


def _inside(op: Any) -> Iterator[str]:
    """Yield the types of the operations in the functions that an operation calls."""
    names = [a.func.name for a in op.node_def.attr.values() if a.func.name]
    if names:
        library = {f.signature.name: f for f in op.graph.as_graph_def().library.function}
        while names:
            function = library.pop(names.pop(), None)
            for node in function.node_def if function else ():
                yield node.op
                names += [a.func.name for a in node.attr.values() if a.func.name]


def _is_random(kind: str) -> bool:
    """Whether operations of this type draw from a state, or change one (a seed generator's)."""
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(kind)
    if known is None or not known.is_stateful or "Dataset" in kind:
        return False
    draws = any(attribute.name == "seed" for attribute in known.attr)
    return draws or kind.startswith(
        (
            "StatefulUniform",
            "StatefulStandard",
            "StatefulTruncated",
            "StatefulRandom",
            "Rng",
            "Assign",
        )
    )


def _line(op: Any) -> str:
    users = [f for f in op.traceback or () if user_code.is_users(f.filename)]
    return f"{users[-1].filename}:{users[-1].lineno}: " if users else ""
