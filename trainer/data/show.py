"""What the data of a config are: numbers, classes, and a picture of training examples."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from trainer.config import TrainConfig
from trainer.data import sources
from trainer.data.augment import preprocess
from trainer.data.info import DatasetInfo
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan
from trainer.data.records.undecodable import describe
from trainer.data.serving import reading
from trainer.data.serving.order import training_order
from trainer.data.sources import roles
from trainer.storage.failures import local_io

Row = tuple[str, str]
_COLUMNS, _LINES = 8, 4
_COUNTED = 10_000
_TILE, _CAPTION = 72, 14
_CHANNELS = (1, 3)


def show(config: TrainConfig, stage: Stage, picture: pathlib.Path | None) -> list[Row]:
    """Return (name, value) rows, and write a PNG of the first examples as the step sees them."""
    info = sources.describe(roles.of_task(config), stage)
    rows = [("source", info.source), *_split_rows(info)]
    rows += [(f"feature {name}", describe(f)) for name, f in info.features.items()]
    rows += [
        ("bytes an example", f"{info.example_bytes:,} decoded"),
        ("bytes in all", f"{info.num_bytes:,} decoded"),
        ("fingerprint", info.fingerprint()[:16]),
    ]
    rows += [("skipped", line) for line in info.skipped]
    for name, feature in info.features.items():
        if feature.num_classes is not None:
            rows += _histogram(info, name, stage)
    drawn = [n for n, f in info.features.items() if f.is_image and f.shape[-1] in _CHANNELS]
    if picture is not None and drawn:
        _draw(_first_examples(config, info, stage), drawn[0], picture)
        rows.append(("picture", str(picture)))
    return rows


def _split_rows(info: DatasetInfo) -> list[Row]:
    return [
        (f"{use} examples", f"{s.num_examples:,} of {s.name}, {len(s.sections)} shards")
        for use, s in (("training", info.train), ("evaluation", info.evaluation))
        if s is not None
    ]


def _histogram(info: DatasetInfo, name: str, stage: Stage) -> list[Row]:
    """Count the classes of the first training examples; only their labels are decoded."""
    count = min(info.train.num_examples, _COUNTED)
    part = dataclasses.replace(info.train, stop=info.train.start + count)
    labels = reading.load(info, part, stage, [name])[name]
    counted = collections.Counter(labels.ravel().tolist())
    most = max(counted.values())
    title = f"{name}, first {count:,}" if count < info.train.num_examples else name
    return [
        (f"{title} = {label}", f"{counted[label]:7,} {'#' * round(40 * counted[label] / most)}")
        for label in sorted(counted)
    ]


def _first_examples(config: TrainConfig, info: DatasetInfo, stage: Stage) -> dict[str, np.ndarray]:
    """Return the first training examples, augmented: feature -> [n, ...]."""
    count = min(_COLUMNS * _LINES, info.train.num_examples)
    window = config.dataset.shuffle_window
    order = training_order(info.train, seed=config.seed, window=window)
    visits = order.reading_order(count)
    plan = ReadPlan(info, info.train, info.features, visits, stage)
    stored = reading.load_first(plan, order, count)
    batch = {name: tf.constant(values)[tf.newaxis] for name, values in stored.items()}
    change = preprocess.make_preprocess(info.features, config.augment, seed=config.seed)
    seen = change(batch, tf.range(count, dtype=tf.int64)[tf.newaxis])
    return {name: values[0].numpy() for name, values in seen.items()}


def _draw(seen: Mapping[str, np.ndarray], feature: str, path: pathlib.Path) -> None:
    """Write a grid of the images [n, H, W, 1 or 3] of a feature, each over its class."""
    from PIL import Image, ImageDraw

    labels = seen.get("label", np.zeros(()))
    grid = Image.new("RGB", (_COLUMNS * _TILE, _LINES * (_TILE + _CAPTION)), "white")
    pen = ImageDraw.Draw(grid)
    for place, image in enumerate(seen[feature]):
        pixels = np.repeat(image, 3 // image.shape[-1], axis=-1)
        tile = Image.fromarray(np.uint8(np.clip(pixels, 0, 1) * 255))
        left, top = place % _COLUMNS * _TILE, place // _COLUMNS * (_TILE + _CAPTION)
        grid.paste(tile.resize((_TILE - 2, _TILE - 2), Image.Resampling.NEAREST), (left, top))
        if labels.ndim in (1, 2):  # a class, or a share of each
            pen.text((left + 2, top + _TILE - 1), _caption(labels[place]), fill="black")
    with local_io(path, "--picture"):
        path.parent.mkdir(parents=True, exist_ok=True)
        grid.save(path, format="PNG")


def _caption(label: np.ndarray) -> str:
    if label.ndim == 0:
        return str(label)
    parts = [f"{i}:{label[i]:.1f}" for i in np.argsort(-label)[:2] if label[i] > 0]
    return " ".join(parts)
