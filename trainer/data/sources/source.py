"""What a source is: two functions of a module, and what the second one gives."""

import importlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Protocol

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Feature
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan, Served

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf


def need(module: str, extra: str, config: DatasetConfig) -> None:
    """Refuse a dataset whose library is not there.

    Raises:
        RunError: BAD_CONFIG with what to install.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.name={config.name!r} needs {module}: pip install 'lockstep[{extra}]' "
            f"({error})",
        ) from error


def refuse_other_args(config: DatasetConfig, known: Collection[str]) -> None:
    """Refuse what a source does not know in `config.dataset.args`.

    Raises:
        RunError: BAD_CONFIG naming it, and the one that may have been meant.
    """
    for name in config.args:
        if name not in known:
            raise RunError(
                ExitCode.BAD_CONFIG, spelling.unknown("config.dataset.args", name, known)
            )


class Examples(Protocol):
    """An open split. Examples are read by number on the host, and decoded in the pipeline.

    Attributes:
        stored: name -> what `read` gives of one example, in its order.
        example_bytes: stored bytes of one example, about; at least 1.
    """

    stored: Mapping[str, Feature]
    example_bytes: int

    def read(self, served: Served) -> "list[np.ndarray]":
        """Return the examples as they are stored: [n, ...] for each of `stored`.

        Raises:
            RunError: BAD_DATA with the place of the example that cannot be read.
        """

    def decode(self, stored: "tf.data.Dataset", size: int) -> "tf.data.Dataset":
        """Return feature -> [size, ...] of elements that hold [size, ...] of each of `stored`."""

    def check(self, served: Served) -> None:
        """Read examples and find the one that cannot be, or that `decode` fails on.

        Raises:
            RunError: BAD_DATA naming its place and the feature.
        """

    def close(self) -> None:
        """Close all files; nothing is read any more."""


class Source(Protocol):
    """One kind of dataset; a module is one."""

    def describe(self, config: DatasetConfig, stage: Stage) -> DatasetInfo:
        """Return what is known before an example is read. TensorFlow is not imported.

        Raises:
            RunError: BAD_CONFIG or BAD_DATA, with the reason.
        """

    def open(self, plan: ReadPlan) -> Examples:
        """Return the examples of a split; they are opened anew for every pipeline."""
