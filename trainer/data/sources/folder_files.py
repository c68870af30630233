"""Which files of a folder of images are examples: by class, or as pairs of image and mask."""

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from common.exit_codes import ExitCode, RunError
from trainer import storage

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}
_LEFT_BY_OTHERS = {"thumbs.db", "desktop.ini"}
_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}


class Row(NamedTuple):
    """An example: its files below the folder of the split, and the name of its class."""

    files: Mapping[str, str]
    label: str = ""


def by_class(folder: str) -> tuple[list[Row], list[str]]:
    """Return the examples of a folder of classes, and the names of the classes, sorted.

    Raises:
        RunError: BAD_CONFIG where the folders are splits, BAD_DATA for a file that is no image.
    """
    held = sorted(p.name for p in Path(folder).iterdir() if p.is_dir() and p.name[0] != ".")
    if held and {name.lower() for name in held} <= _SPLITS:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.name: the folders of {folder} are splits, not classes: "
            f"{', '.join(held)}; write images:{folder}/{{split}}",
        )
    rows = []
    for name in _images(folder):
        label, inner, _ = name.partition("/")
        if not inner:
            raise RunError(
                ExitCode.BAD_DATA, f"{folder}/{name} lies in no folder of a class; move it into one"
            )
        rows.append(Row({"image": name}, label))
    return rows, held


def all_of(folder: str, feature: str, *others: str) -> list[Row]:
    """Return every image below a folder as an example of one feature.

    Raises:
        RunError: BAD_CONFIG where several features are asked for, BAD_DATA where there is no image.
    """
    if others:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.args.features: {folder} holds one image an example, and {feature}, "
            f"{', '.join(others)} are asked for; name their folders in config.dataset.args.pairs",
        )
    names = _images(folder)
    if not names:
        raise RunError(ExitCode.BAD_DATA, f"{folder}: no {', '.join(sorted(_IMAGES))} in it")
    return [Row({feature: name}) for name in names]


def in_pairs(folder: str, pairs: Mapping[str, str]) -> tuple[list[Row], list[str]]:
    """Return the examples whose files lie under one name in a folder for each feature.

    Raises:
        RunError: BAD_DATA for a file without its mate.
    """
    named: dict[str, dict[str, str]] = {}
    for feature, inner in pairs.items():
        named[feature] = {}
        for name in _images(f"{folder}/{inner}"):
            stem = name.rpartition(".")[0]
            if stem in named[feature]:
                raise RunError(
                    ExitCode.BAD_DATA, f"{folder}/{inner}/{stem}.*: two images have this name"
                )
            named[feature][stem] = f"{inner}/{name}"
    first, *others = named
    for other in others:
        for stem in sorted(set(named[first]) ^ set(named[other])):
            there, missing = (first, other) if stem in named[first] else (other, first)
            raise RunError(
                ExitCode.BAD_DATA,
                f"{folder}/{named[there][stem]} has no {missing!r} of its name in "
                f"{folder}/{pairs[missing]}",
            )
    return [
        Row({n: found[stem] for n, found in named.items()}) for stem in sorted(named[first])
    ], []


def _images(folder: str) -> list[str]:
    """Return the images below a folder, sorted; another kind of file is refused, not dropped."""
    names = []
    for file in storage.list_files(f"{glob.escape(folder)}/**"):
        name = file.url[len(str(Path(folder).absolute())) + 1 :]
        if any(part.startswith(".") for part in name.split("/")):
            continue
        if name.rpartition("/")[2].lower() in _LEFT_BY_OTHERS:
            continue
        if Path(name).suffix.lower() not in _IMAGES:
            raise RunError(
                ExitCode.BAD_DATA,
                f"{file.url} is no {', '.join(sorted(_IMAGES))}; convert it or move it away",
            )
        names.append(name)
    return sorted(names)
