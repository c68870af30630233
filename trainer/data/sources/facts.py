"""What is noted of a file while its copy is made, and the features that follow from it."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import Feature
from trainer.data.records.columns import Batch
from trainer.data.sources import feature_spec, image_kinds, labels, roles

if TYPE_CHECKING:
    import pyarrow as pa

Fields = Mapping[str, Mapping[str, Any]]
_MOST_NAMES = 100_000


class Facts:
    """Gathers facts of one file.

    Args:
        config: which says what is a label.

    Attributes:
        found: the facts, as JSON; whole once all rows were noted.
    """

    def __init__(self, config: DatasetConfig) -> None:
        self.found: dict[str, Any] = {"rows": 0, "features": {}, "labels": {}, "classes": {}}
        self._config = config
        self._images: set[str] = set()
        self._kinds: dict[str, image_kinds.Kinds] = {}

    def note_schema(self, schema: "pa.Schema") -> None:
        """Note which columns hold images or classes, as Hugging Face writes it."""
        import pyarrow as pa

        for field in schema:
            if pa.types.is_struct(field.type) and {f.name for f in field.type} == {"bytes", "path"}:
                self._images.add(field.name)
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        for name, feature in told.get("info", {}).get("features", {}).items():
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
                self.found["classes"][name] = len(feature["names"])

    def note_images(self, name: str, kind: image_kinds.Kind) -> None:
        """Note an image file of a feature."""
        self.found["features"][name] = ["string", [], True]
        self._kinds.setdefault(name, image_kinds.Kinds()).add(kind)
        self.found["kinds"] = {n: kinds.found() for n, kinds in self._kinds.items()}

    def note(
        self,
        batch: Batch,
        fields: Fields,
        where: Callable[[str, int], str],
        pointed: Collection[str] = (),
    ) -> Batch:
        """Note some rows; returns them with the classes of a label as whole numbers.

        Args:
            batch: of rows.
            fields: that the config gives.
            where: names the place of a row of the batch and its column.
            pointed: columns that say where images are, which were noted by themselves.

        Raises:
            RunError: BAD_DATA where rows do not go together with those before.
        """
        told = {n for n, given in fields.items() if {"num_classes", "classes"} & set(given)}
        counted = {n for n in batch if n in told or roles.is_label(n, self._config)} - set(pointed)
        batch = {n: self._label(n, x, where) if n in counted else x for n, x in batch.items()}
        for name in (name for name in batch if name not in pointed):
            values = batch[name]
            is_bytes = values.dtype.kind == "O"
            is_image = fields.get(name, {}).get("encoding") == "image" or name in self._images
            form = ["string" if is_bytes else str(values.dtype), list(values.shape[1:]), is_image]
            first = self.found["features"].setdefault(name, form)
            if form != first:
                raise RunError(
                    ExitCode.BAD_DATA,
                    f"{where(name, 0)} is {_words(form)}, and {_words(first)} before",
                )
            if is_image and is_bytes:
                for row, value in enumerate(values):
                    place = where(name, row)
                    self.note_images(name, image_kinds.read_kind(value, place))
        self.found["rows"] += len(next(iter(batch.values())))
        return batch

    def _label(self, name: str, values: np.ndarray, where: Callable[[str, int], str]) -> np.ndarray:
        is_told = name in self._config.roles
        values = labels.as_classes(values, is_told=is_told)
        kind = values.dtype.kind if values.ndim == 1 else ""
        if kind == "O":
            self._note_names(name, values, where)
        elif kind == "f" and is_told:
            _refuse_fraction(name, values, where)
        elif kind in ("i", "u"):
            self._note_range(name, values, where)
        return values

    def _note_names(self, name: str, values: np.ndarray, where: Callable[[str, int], str]) -> None:
        names = set(self.found["labels"].get(name, ())) | {value.decode() for value in values}
        if len(names) > _MOST_NAMES:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{where(name, 0)}: more than {_MOST_NAMES} different texts are no classes",
            )
        self.found["labels"][name] = sorted(names)

    def _note_range(self, name: str, values: np.ndarray, where: Callable[[str, int], str]) -> None:
        counted = labels.counted(values, name, self._config)
        low, high = int(counted.argmin()), int(counted.argmax())
        noted = self.found["labels"].setdefault(name, {"low": [int(counted[low]), ""], "high": -1})
        if int(counted[low]) < noted["low"][0] or not noted["low"][1]:
            noted["low"] = [int(counted[low]), where(name, low)]
        if int(counted[high]) > noted["high"]:
            noted["high"], noted["at"] = int(counted[high]), where(name, high)


def _refuse_fraction(name: str, values: np.ndarray, where: Callable[[str, int], str]) -> None:
    row = int((values != np.floor(values)).argmax())
    raise RunError(
        ExitCode.BAD_DATA,
        f"{where(name, row)} is {values[row]}, which is no class; {labels.as_target(name)}",
    )


def features_of(
    noted: Mapping[str, Mapping[str, Any]], config: DatasetConfig
) -> dict[str, Feature]:
    """Return the features of all files together.

    Args:
        noted: URL -> facts of the file.
        config: with the fields that are given, and the size of images.

    Raises:
        RunError: BAD_DATA where two files hold different things; and see `labels`, `image_kinds`.
    """
    fields = feature_spec.chosen(config.args) or {}
    filled = {url: facts for url, facts in noted.items() if facts["rows"]}
    first_url, first = next(iter(filled.items()), ("", {"features": {}}))
    for url, facts in filled.items():
        _compare(first_url, first["features"], url, facts["features"])
    features = {}
    for name, (dtype, shape, is_image) in first["features"].items():
        given = fields.get(name, {})
        if is_image:
            kinds = [
                image_kinds.Kind(*k) for facts in filled.values() for k in facts["kinds"][name]
            ]
            role = roles.of_pixels(name, str(given.get("role", "")), config)
            size = config.args.get("image_size")
            features[name] = image_kinds.propose(name, kinds, given, size, role)
        else:
            label = _label_feature(name, list(filled.values()), config, given)
            features[name] = label or Feature(tuple(shape), dtype, role=given.get("role", ""))
    return features


def _compare(first_url: str, first: Mapping[str, Any], url: str, other: Mapping[str, Any]) -> None:
    for name in {**first, **other}:
        if first.get(name) != other.get(name):
            one, two = (_words(f[name]) if name in f else "not there" for f in (first, other))
            raise RunError(
                ExitCode.BAD_DATA,
                f"{url}: column {name!r} is {two}, and {one} in {first_url}; where one dtype holds "
                f'both, write it: {{"{name}": {{"dtype": "..."}}}} in {feature_spec.FIELD}',
            )


def _words(form: Sequence[Any]) -> str:
    dtype, shape, is_image = form
    return "an image" if is_image else f"{dtype}{shape}"


def _label_feature(
    name: str, noted: Sequence[Mapping[str, Any]], config: DatasetConfig, given: Mapping[str, Any]
) -> Feature | None:
    """Return the feature of a label whose classes are counted or named, else None."""
    held = [facts["labels"][name] for facts in noted if name in facts["labels"]]
    declared = given.get("num_classes") or next(
        (facts["classes"][name] for facts in noted if name in facts["classes"]), None
    )
    if not held:
        return None
    if isinstance(held[0], list):
        names = tuple(given.get("classes") or sorted({text for texts in held for text in texts}))
        others = sorted({text for texts in held for text in texts} - set(names))
        if others:
            raise RunError(
                ExitCode.BAD_DATA,
                f"feature {name!r} holds {others[0]!r}, which is none of its classes {list(names)}",
            )
        return Feature((), "int64", num_classes=len(names), classes=names)
    lowest, where = min((facts["low"] for facts in held), key=lambda low: low[0])
    most = max(held, key=lambda facts: facts["high"])
    if declared is not None and most["high"] >= declared:
        raise RunError(
            ExitCode.BAD_DATA,
            f"{most['at']} is {most['high']}, and its classes are 0..{declared - 1}",
        )
    counted = labels.count_classes(
        name,
        config,
        lowest=lowest,
        where=where,
        highest=most["high"],
        num_examples=sum(facts["rows"] for facts in noted),
    )
    dtype = noted[0]["features"][name][0]
    return Feature((), dtype, num_classes=declared or counted)
