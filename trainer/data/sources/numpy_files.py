"""NumPy files by pattern: `data/{split}.npz`, or `data/{split}_*.npy` with a file a feature.

Where one file holds all splits, the names of its members are given:
`args={"features": {"image": "x_{split}", "label": "y_{split}"}}`, as for the mnist.npz of Keras.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo
from trainer.data.records.files import Stage, open_shards
from trainer.data.sources import arrays, feature_spec, splits
from trainer.data.sources.source import refuse_other_args
from trainer.storage.failures import local_read


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`: the arrays are read whole; those of .npy files are mapped."""
    names = _names(config)
    is_shared = any("{split}" in name for name in (names or {}).values())
    used = splits.names(config) if is_shared or "{split}" in config.name else ["train"]
    whole = {}
    for split in used:
        pattern = config.name.replace("{split}", split)
        urls = [shard.url for shard in splits.list_files(pattern)]
        held = _join([_load(url, pattern, names or {}, stage) for url in urls], pattern)
        if names is not None:
            members = {n: member.replace("{split}", split) for n, member in names.items()}
            held = {n: _member(held, member, pattern) for n, member in members.items()}
        whole[split] = arrays.check(held, f"{pattern}, split {split!r}", config)
    return arrays.describe_arrays(config, whole)


open = arrays.ArrayExamples


def _names(config: DatasetConfig) -> dict[str, str] | None:
    """Return feature -> the name of its array in the file; None: as they are."""
    refuse_other_args(config, ("features",))
    asked = config.args.get("features")
    if isinstance(asked, list | tuple):
        asked = dict(zip(asked, asked, strict=True))
    if asked is not None and not (
        isinstance(asked, Mapping) and asked and all(isinstance(v, str) for v in asked.values())
    ):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{feature_spec.FIELD}={asked!r} is no list of names, nor a mapping of each to the "
            "name of its array",
        )
    return None if asked is None else dict(asked)


def _member(held: Mapping[str, Any], name: str, pattern: str) -> Any:
    if name not in held:
        raise RunError(ExitCode.BAD_CONFIG, spelling.unknown(f"{pattern}: array", name, held))
    return held[name]


def _load(url: str, pattern: str, names: Mapping[str, str], stage: Stage) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name."""
    with open_shards([url], [0], stage, expand=False) as open_shard, open_shard(0) as path:
        try:
            with local_read(url):
                if not url.lower().endswith(".npz"):
                    return {_name(url, pattern, names): np.load(path, "r", allow_pickle=False)}
                with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                    return {name: file[name] for name in file.files}
        except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
            reason = " ".join(str(error).split())
            if "pickle" in reason:
                reason = "is no file of NumPy, or holds Python objects, which are never loaded"
            raise RunError(ExitCode.BAD_DATA, f"{url}: {reason}") from error


def _name(url: str, pattern: str, names: Mapping[str, str]) -> str:
    """Return the array that a .npy file holds: the only one, or what the * of the pattern is."""
    if len(names) == 1 and "*" not in pattern:
        return next(iter(names.values()))
    before, star, after = Path(pattern).name.partition("*")
    match = re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", Path(url).name)
    if not star or match is None:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.name={pattern!r}: a .npy file holds one feature; put a * where the "
            "names of the features stand, such as {split}_*.npy",
        )
    return match[1]


def _join(files: list[dict[str, np.ndarray]], pattern: str) -> dict[str, np.ndarray]:
    """Lay the rows of several files end to end; of files of different features take all."""
    if len({tuple(sorted(file)) for file in files}) == len(files) > 1 and all(
        len(file) == 1 for file in files
    ):
        return {name: array for file in files for name, array in file.items()}
    first, *others = files
    for other in others:
        if set(other) != set(first):
            raise RunError(
                ExitCode.BAD_DATA,
                f"{pattern}: the files hold different arrays: {sorted(first)} and {sorted(other)}",
            )
    return {n: np.concatenate([f[n] for f in files]) for n in first} if others else first
