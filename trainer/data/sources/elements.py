"""From what a user's pipeline yields to blocks of examples: feature -> [n, ...].

An element is a dictionary of features, an input, or a tuple of input, label and weight; it holds
one example or a batch of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.records.columns import objects
from trainer.data.records.writing import Block
from trainer.data.sources import labels, roles
from trainer.data.sources.arrays import native

Leaves = dict[str, Any]

_INPUT = "input"
_IMAGE_RANK = 3
_DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16"),
)
_FIELD = "config.dataset.elements"


class SoftLabelError(Exception):
    """A label that began with whole numbers holds a fraction: none of its numbers is a class."""


def label_name(config: DatasetConfig) -> str:
    """Return what the second part of a tuple is called: the feature that the task compares with."""
    told = [name for name, role in config.roles.items() if role in ("label", "target")]
    return told[0] if told else "label"


def flat(element: Any, label: str, where: str) -> Leaves:
    """Return the leaves of an element by their names; an input without one is `input`.

    Raises:
        RunError: BAD_CONFIG for another structure, with what to write.
    """
    is_parts = isinstance(element, tuple) or _is_structure(element)
    if is_parts and 1 <= len(element) <= 3:
        parts = zip((_INPUT, label, "weight"), element, strict=False)
        pairs = [pair for name, part in parts for pair in _named(name, part, where)]
    else:
        pairs = list(_named(_INPUT, element, where))
    names = [name for name, _ in pairs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise _refusal(where, f"two features are called {min(twice)!r}; give one another name")
    return dict(pairs)


def _named(name: str, part: Any, where: str) -> Iterable[tuple[str, Any]]:
    if not isinstance(part, Mapping):
        if _is_structure(part):
            raise _refusal(
                where,
                f"{name!r} is a {type(part).__name__} of {len(part)}; give each a name: "
                'map to {"NAME": tensor, ...}',
            )
        return [(name, part)]
    for key, value in part.items():
        if isinstance(value, Mapping) or _is_structure(value):
            raise _refusal(
                where, f"{key!r} is a {type(value).__name__}; map to one flat dictionary"
            )
    return [(str(key), value) for key, value in part.items()]


def _is_structure(value: Any) -> bool:
    """Whether a list or tuple holds arrays or dictionaries; one of plain numbers is an array."""
    return isinstance(value, list | tuple) and any(
        isinstance(part, Mapping)
        or (hasattr(part, "shape") and not isinstance(part, np.generic))
        or _is_structure(part)
        for part in value
    )


def batched(shapes: Iterable[tuple[int | None, ...]], config: DatasetConfig, where: str) -> bool:
    """Whether an element is a batch, where only the shapes of its leaves tell.

    Raises:
        RunError: BAD_CONFIG where it may be either, with the line to write.
    """
    if config.elements != "auto":
        return config.elements == "batches"
    shapes = list(shapes)
    if not all(shapes) or len({shape[0] for shape in shapes}) > 1:
        return False  # a number for itself, or different first dimensions
    raise _refusal(
        where,
        f"is an element with {', '.join(str(list(s)) for s in shapes)} one example, or a batch of "
        f"them? write --{_FIELD}=batches, or =examples",
    )


def blocks(
    elements: Iterable[Leaves],
    config: DatasetConfig,
    where: str,
    *,
    is_batch: bool,
    is_soft: bool = False,
) -> Iterator[Block]:
    """Yield the elements as blocks of arrays that all have the form of the first one.

    Args:
        elements: leaf by name; see `flat`.
        config: names the label, whose form is settled here.
        where: field and split, for the message.
        is_batch: an element holds [n, ...] of each leaf, n of any size.
        is_soft: floats of the label are no classes, also where they are whole.

    Raises:
        RunError: BAD_DATA naming the example that has another form than the first one.
        SoftLabelError: where it shows late that floats of the label are no classes.
    """
    first: dict[str, tuple[Any, ...]] = {}
    names: dict[str, str] = {}
    label, made_classes, count = label_name(config), False, 0
    for leaves in elements:
        found = {name: array(leaf, f"{where}, {name!r}") for name, leaf in leaves.items()}
        arrays = found if is_batch else {name: value[None] for name, value in found.items()}
        names = names or _final_names(arrays)
        given = {names.get(n, n): a for n, a in arrays.items()}
        arrays = {n: _settled(n, a, config, is_soft=is_soft) for n, a in given.items()}
        form = {name: (array.dtype.name, array.shape[1:]) for name, array in arrays.items()}
        first = first or form
        if made_classes and form.get(label, ("",))[0].startswith("float"):
            raise SoftLabelError(f"{where}: example {count}")
        if label in given and given[label].dtype.kind == "f":
            made_classes |= arrays[label].dtype.kind == "i"
        _check_alike(first, form, arrays, f"{where}: example {count}")
        count += len(next(iter(arrays.values())))
        if arrays and len(next(iter(arrays.values()))):
            yield arrays
    if not count:
        raise RunError(ExitCode.BAD_DATA, f"{where}: holds no example")


def refuse_another(one: Leaves, other: Leaves, where: str) -> None:
    """Refuse a pipeline that, made anew, begins with another element.

    Raises:
        RunError: BAD_CONFIG: a restart, or another worker, would have other examples.
    """
    for name in one:
        if name not in other or not _is_same(one[name], other[name]):
            raise _refusal(
                where,
                f"{name!r} of the first element is another each time that the pipeline is made: "
                "give a seed to all that draws or shuffles in it, and leave random changes of "
                "examples to config.augment",
            )


def _is_same(one: Any, other: Any) -> bool:
    first, second = np.asarray(one), np.asarray(other)
    if first.dtype == object:
        return bool(np.array_equal(first, second))
    return (first.dtype, first.shape, first.tobytes()) == (
        second.dtype,
        second.shape,
        second.tobytes(),
    )  # bit for bit: NaN is NaN


def _final_names(arrays: Block) -> dict[str, str]:
    """An input without a name is the `image` of the tasks, where it has the shape of one."""
    is_image = _INPUT in arrays and arrays[_INPUT].ndim == 1 + _IMAGE_RANK
    return {_INPUT: "image"} if is_image and "image" not in arrays else {"": ""}


def array(leaf: Any, where: str) -> np.ndarray:
    """Return a leaf as an array of numbers, or of bytes objects for strings."""
    try:
        array = native(leaf, where)
    except ValueError as error:  # lists of different lengths
        raise _refusal(where, f"{error}; give an array of one shape, padded") from error
    if array.dtype == object:
        return _strings(array, where)
    if array.dtype.name not in _DTYPES:
        raise _refusal(where, f"{array.dtype} is not read; cast it to one of {', '.join(_DTYPES)}")
    return array


def _strings(array: np.ndarray, where: str) -> np.ndarray:
    values = [v.encode() if isinstance(v, str) else v for v in np.ravel(array)]
    if wrong := [v for v in values if not isinstance(v, bytes)]:
        raise _refusal(
            where,
            f"holds a {type(wrong[0]).__name__}: lists of different lengths, or an object; give an "
            "array of one shape, padded",
        )
    return objects(values).reshape(array.shape)


def _settled(name: str, array: np.ndarray, config: DatasetConfig, *, is_soft: bool) -> np.ndarray:
    if not roles.is_label(name, config):
        return array
    return labels.as_classes(array, is_told=name in config.roles and not is_soft)


def _check_alike(
    first: Mapping[str, Any], form: Mapping[str, Any], arrays: Block, where: str
) -> None:
    if first.keys() != form.keys():
        raise RunError(
            ExitCode.BAD_DATA, f"{where} has the features {sorted(form)}, the first {sorted(first)}"
        )
    for name, (dtype, shape) in form.items():
        if (dtype, shape) != first[name]:
            was, had = first[name]
            raise RunError(
                ExitCode.BAD_DATA,
                f"{where}, {name!r} is {dtype}{list(shape)}, and {was}{list(had)} in the first: "
                "bring all to one shape and dtype (pad, resize, cast); where an element is a batch "
                f"of examples, write --{_FIELD}=batches",
            )
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise RunError(
            ExitCode.BAD_DATA, f"{where}: a batch has features of different size: {sizes}"
        )


def _refusal(where: str, reason: str) -> RunError:
    return RunError(ExitCode.BAD_CONFIG, f"{where}: {reason}")
