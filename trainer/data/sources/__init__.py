"""Sources: what `config.dataset.name` stands for, described before TensorFlow is imported.

A new source is one file with the two functions of `source.Source`, and one line in `FORMS`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan
from trainer.data.sources import (
    array_record,
    arrow_files,
    csv_files,
    custom,
    image_folder,
    numpy_files,
    parquet,
    skip_list,
    tfds,
    tfrecord_pattern,
    webdataset,
)
from trainer.data.sources.source import Examples, Source

_NO_STAGE = Stage()


class Form(NamedTuple):
    """A form of names, and the source of the datasets that are named so.

    Attributes:
        text: of the form, for the message that a name has none.
        regex: of the whole name.
        source: which describes and opens them.
        is_custom: the name is that of code of the user, which is run.
    """

    text: str
    regex: str
    source: Source
    is_custom: bool = False


def _ending(*extensions: str) -> str:
    """Return a regex of the names of files of a format, in any case, plain or compressed."""
    return rf"(?i).+\.({'|'.join(extensions)})(\.gz)?"


FORMS = (
    Form("digits", r"digits", tfds),
    Form("tfds:NAME, tfds:DIRECTORY", r"tfds:.+", tfds),
    Form("a CSV pattern such as data/{split}.csv", _ending("csv", "tsv"), csv_files),
    Form("data/{split}-*.parquet", _ending("parquet", "pq"), parquet),
    Form("data/{split}/data-*.arrow", _ending("arrow", "feather"), arrow_files),
    Form("data/{split}.npz, data/{split}_*.npy", _ending("npz", "npy"), numpy_files),
    Form("data/{split}-*.array_record", r"(?i).+\.array_?record(-[^/]*)?", array_record),
    Form("data/{split}-*.tar", _ending("tar", "tgz"), webdataset),
    Form("images:DIRECTORY, images:DIRECTORY/{split}", r"images:.+", image_folder),
    Form("a TFRecord pattern such as data/{split}-*.tfrecord", r".*[/*].*", tfrecord_pattern),
    Form("module:function", r".+:.+", custom, is_custom=True),
)
"""Every form of a name; the first one that fits counts."""


def find(name: str) -> Form:
    """Return the form of a name.

    Raises:
        RunError: BAD_CONFIG with all forms, where it has none.
    """
    for form in FORMS:
        if re.fullmatch(form.regex, name):
            return form
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"config.dataset.name={name!r} is not known; allowed: "
        f"{', '.join(form.text for form in FORMS)}",
    )


def can_skip(name: str) -> bool:
    """Whether damaged stretches of the files can be left out: those of TFRecords can."""
    return find(name).source in (tfds, tfrecord_pattern)


def has_splits(name: str, args: Mapping[str, Any]) -> bool:
    """Whether the source tells splits apart; without, all examples are `train`."""
    return "{split}" in f"{name} {args}" or find(name).source in (tfds, custom)


def describe(config: DatasetConfig, stage: Stage = _NO_STAGE) -> DatasetInfo:
    """Return what is known of the dataset that the config names; see `source.Source`.

    Args:
        config: which data.
        stage: where remote files are brought that have to be read for it.
    """

    def plainly(config: DatasetConfig) -> DatasetInfo:
        if config.skip_bad_records and not can_skip(config.name):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.dataset.skip_bad_records=true: of {config.name!r} nothing is left out; "
                "only records of TFRecord files are",
            )
        return find(config.name).source.describe(config, stage)

    return skip_list.describe(config, plainly) if config.skip_list else plainly(config)


def open_split(plan: ReadPlan) -> Examples:
    """Return the examples of a split; see `source.Source`."""
    source = find(plan.info.config.name).source
    return skip_list.OthersExamples(plan, source.open) if plan.split.skipped else source.open(plan)
