"""Elements that a generator of the user's yields."""

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.sources import elements
from trainer.data.sources.elements import Leaves


def is_one(value: Any) -> bool:
    """Whether a value is a generator function, or what one returned."""
    function = getattr(value, "func", value)  # of a function with its arguments
    return inspect.isgeneratorfunction(function) or isinstance(value, Iterator)


class Pipeline:
    """The elements of a generator; see `tf_dataset.Pipeline`."""

    num_elements = 0

    def __init__(self, value: Any, config: DatasetConfig, where: str) -> None:
        self._label, self._where = elements.label_name(config), where
        self._elements = iter(value() if callable(value) else value)
        first = [
            elements.flat(element, self._label, where)
            for element in itertools.islice(self._elements, 1)
        ]
        if not first:
            raise RunError(ExitCode.BAD_DATA, f"{where}: the generator yields nothing")
        self._first = first[0]
        shapes = [elements.array(x, f"{where}, {n!r}").shape for n, x in self._first.items()]
        self.is_batch = elements.batched(shapes, config, where)

    def read(self) -> Iterator[Leaves]:
        """Yield the leaves of each element."""
        yield self._first
        for element in self._elements:
            yield elements.flat(element, self._label, self._where)

    def constants(self) -> Iterator[str]:
        """Yield nothing: what Python opens is seen otherwise."""
        yield from ()
