"""What a function of the user returns: `config.dataset.name = "module:function"`.

    def build(size: int) -> dict:
        return {"train": train, "test": test}

It is called with `config.dataset.args`. Each split is a mapping of feature to array, a Keras
`PyDataset`, a `tf.data.Dataset`, or a generator function. The last two cannot be read at a place:
they are read once, and kept as records. One alone is `train`.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer import registry
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan
from trainer.data.records.reader import RecordReader
from trainer.data.sources import apart, arrays, generated, inputs, py_dataset, tf_dataset
from trainer.data.sources.keeping import Keeper
from trainer.data.sources.source import Examples

_FIELD = "config.dataset.name"


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`: the function is called, unless all that it made is kept."""
    function = registry.resolve({}, config.name, _FIELD)
    keeper = Keeper(config, stage)
    if info := keeper.find():
        return info
    if stage.apart and not keeper.is_live():
        apart.describe(config, stage)
        if info := keeper.find():
            return info
    return make(function, config, keeper)


def make(function: Callable[..., Any], config: DatasetConfig, keeper: Keeper) -> DatasetInfo:
    """Call the function, and keep what it made if that cannot be read at a place."""
    build = functools.partial(_build, function, config)
    with inputs.watched(keeper.code) as opened:
        returned = build()
        if any(_is_kept(value) for value in returned.values()):
            return keeper.keep(returned, build, opened)
    keeper.note_live()
    if all(py_dataset.is_one(value) for value in returned.values()):
        return py_dataset.of(returned, config)
    return arrays.of(returned, config)


def open(plan: ReadPlan) -> Examples:
    """See `source.Source`."""
    if plan.split.batches is not None:
        return py_dataset.BatchExamples(plan)
    return arrays.ArrayExamples(plan) if plan.split.arrays is not None else RecordReader(plan)


def _is_kept(value: Any) -> bool:
    return tf_dataset.is_one(value) or generated.is_one(value)


def _build(function: Callable[..., Any], config: DatasetConfig) -> Mapping[str, Any]:
    """Call the function, so that what it draws from TensorFlow's generator is the same each time.

    Where it is the first to import TensorFlow it is called again: operations take their seeds as
    they are made.
    """
    with tf_dataset.seeded() as is_seeded:
        returned = _call(function, config)
    if not is_seeded and any(tf_dataset.is_one(value) for value in returned.values()):
        with tf_dataset.seeded():
            return _call(function, config)
    return returned


def _call(function: Callable[..., Any], config: DatasetConfig) -> Mapping[str, Any]:
    """Call the function and check what it returns: split -> examples."""
    args, where = config.args, f"{_FIELD}={config.name!r}"
    try:
        if inspect.isgeneratorfunction(function):
            inspect.signature(function).bind(**args)
            return {"train": functools.partial(function, **args)}
        returned = function(**args)
    except TypeError as error:
        if error.__traceback__ and _is_of_the_call(error):
            raise RunError(
                ExitCode.BAD_CONFIG, f"config.dataset.args={dict(args)}: {error}"
            ) from error
        raise
    if _is_kept(returned) or py_dataset.is_one(returned):
        return {"train": returned}
    if not isinstance(returned, Mapping) or not returned:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{where} returned {type(returned).__name__}, and no mapping of split to arrays (a "
            "mapping of feature to array), tf.data.Dataset, PyDataset or generator function",
        )
    return returned


def _is_of_the_call(error: TypeError) -> bool:
    """Whether the arguments do not fit: nothing of the function has run."""
    frame = error.__traceback__ and error.__traceback__.tb_next
    return frame is None or frame.tb_frame.f_code.co_filename == inspect.__file__
