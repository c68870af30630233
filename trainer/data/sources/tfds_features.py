"""The features of a prepared TFDS dataset, as its features.json tells them.

Nested ones go by the name that their values are stored under: `objects/bbox`.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer.data.info import PIXEL_DTYPES, Feature
from trainer.data.sources import feature_spec, image_kinds

Spec = Mapping[str, Any]


def read(tree: Spec, folder: str, args: Mapping[str, Any]) -> dict[str, Feature]:
    """Return the features of an example.

    Args:
        tree: what features.json holds.
        folder: of the dataset, for messages.
        args: of the config: which features are read, with the fields that are not known; and the
            size of images.

    Raises:
        RunError: BAD_CONFIG naming a feature that is not there, or of a kind that is not read.
    """
    if "featuresDict" not in tree:
        kind = _kind(tree)
        raise RunError(
            ExitCode.BAD_CONFIG, f"{folder}: an example is a {kind}; allowed: FeaturesDict"
        )
    leaves = dict(_leaves(tree, "", ()))
    chosen = feature_spec.chosen(args)
    for name in chosen or ():
        if name not in leaves:
            raise RunError(
                ExitCode.BAD_CONFIG,
                spelling.unknown(f"{feature_spec.FIELD}: feature", name, leaves),
            )
    given = chosen if chosen is not None else {name: {} for name in leaves}
    features = {}
    for name, fields in given.items():
        lengths, spec = leaves[name]
        features[name] = _sized(name, _list(name, lengths, spec, folder), fields, args)
    return features


def _leaves(tree: Spec, name: str, lengths: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Give name -> (lengths of the lists around it, spec) of all features that hold values."""
    if "featuresDict" in tree:
        for inner, spec in tree["featuresDict"]["features"].items():
            yield from _leaves(spec, f"{name}/{inner}" if name else inner, lengths)
    elif _kind(tree) == "Sequence" and "sequence" in tree:
        sequence = tree["sequence"]
        length = int(sequence.get("length", -1))
        yield from _leaves(sequence["feature"], name, (*lengths, length))
    else:
        yield name, (lengths, tree)


def _list(name: str, lengths: tuple[int, ...], spec: Spec, folder: str) -> Feature:
    """Return a feature, or a list of it: of any length where its first dimension is None."""
    feature = _feature(name, spec, folder)
    if not lengths:
        return feature
    if len(lengths) > 1 or feature.encoding or None in feature.shape:
        raise _unread(name, "Sequence of sequences or images", folder)
    return dataclasses.replace(
        feature, shape=(lengths[0] if lengths[0] >= 0 else None, *feature.shape)
    )


def _feature(name: str, spec: Spec, folder: str) -> Feature:
    kind = _kind(spec)
    if kind == "Image":
        return _image(name, spec["image"], folder)
    if kind == "ClassLabel":
        return Feature((), "int64", num_classes=int(spec["classLabel"]["numClasses"]))
    if kind == "BBoxFeature":
        return Feature((4,), "float32")
    if kind in ("Tensor", "Scalar") and spec["tensor"].get("encoding", "none") == "none":
        return Feature(_shape(spec["tensor"]), spec["tensor"]["dtype"])
    if kind == "Text":
        return Feature((), "string")
    raise _unread(name, kind, folder)


def _unread(name: str, kind: str, folder: str) -> RunError:
    return RunError(
        ExitCode.BAD_CONFIG,
        f"{folder}: feature {name!r} is a {kind}; allowed: Image, ClassLabel, Tensor, Scalar, "
        "Text, BBoxFeature, and a Sequence of them but of images; where it is not needed, list "
        f'those that are: --{feature_spec.FIELD}=\'["image", "label"]\'',
    )


def _kind(spec: Spec) -> str:
    return str(spec.get("pythonClassName", "")).rpartition(".")[2]


def _image(name: str, image: Spec, folder: str) -> Feature:
    dtype = image.get("dtype", "uint8")
    if dtype not in PIXEL_DTYPES:  # decoding would give other numbers than were stored
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{folder}: feature {name!r} is an Image of {dtype}; allowed: "
            f"{', '.join(PIXEL_DTYPES)}",
        )
    return Feature(_shape(image), dtype, encoding="image")


def _shape(spec: Spec) -> tuple[int | None, ...]:
    dimensions = [int(d) for d in spec.get("shape", {}).get("dimensions", [])]
    return tuple(d if d > 0 else None for d in dimensions)


def _sized(name: str, feature: Feature, fields: Spec, args: Mapping[str, Any]) -> Feature:
    """Give what may be of any size in the files the one size that a batch needs."""
    known = {n: fields[n] for n in ("role", "pad_value", "num_classes") if n in fields}
    feature = dataclasses.replace(feature, **known)
    if None not in feature.shape:
        return feature
    if feature.encoding == "image":
        if (size := args.get("image_size")) is None:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"feature {name!r} has images of any size; give "
                "--config.dataset.args.image_size='[height, width]'",
            )
        image_kinds.check_size(size)
        return dataclasses.replace(feature, shape=(*size, feature.shape[-1]), resized=True)
    shape = tuple(fields.get("shape", ()))
    inner = feature.shape[1:]
    if not fields.get("padded") or shape[1:] != inner or None in inner or not shape:
        most = [128, *(d or 1 for d in inner)]
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"feature {name!r} is a list of any length, {list(feature.shape)}: write how many "
            f'values it has at most, such as {{"{name}": {{"shape": {most}, "padded": true}}}}, in '
            f"{feature_spec.FIELD}",
        )
    return dataclasses.replace(feature, shape=shape, padded=True)
