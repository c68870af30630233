"""What the data of a config are: numbers, classes, and a picture of training examples."""

import collections
import contextlib
import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from trainer.config import TrainConfig
from trainer.data import sources
from trainer.data.augment import preprocess
from trainer.data.info import DatasetInfo, Feature, Split
from trainer.data.records.decode import describe
from trainer.data.records.files import Stage
from trainer.data.serving import examples, input_pipeline
from trainer.data.serving.stream import LocalMicrobatches, StreamPipeline
from trainer.storage.failures import local_io

Row = tuple[str, str]
_COLUMNS, _LINES = 8, 4
_COUNTED = 10_000
_TILE, _CAPTION = 72, 14
_CHANNELS = (1, 3)


def show(config: TrainConfig, stage: Stage, picture: pathlib.Path | None) -> list[Row]:
    """Return (name, value) rows, and write a PNG of the first examples as the step sees them."""
    info = sources.describe(config.dataset, stage)
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
            rows += _histogram(info, name, feature, config, stage)
    drawn = [n for n, f in info.features.items() if f.is_image and f.shape[-1] in _CHANNELS]
    if picture is not None and drawn:
        _draw(_first_examples(config, info, stage), drawn[0], picture)
        rows.append(("picture", str(picture)))
    return rows


def _split_rows(info: DatasetInfo) -> list[Row]:
    splits = [("training", info.train)] + [("evaluation", info.evaluation)] * bool(info.evaluation)
    return [
        (f"{use} examples", f"{s.num_examples:,} of {s.name}, {len(s.sections)} shards")
        for use, s in splits
        if s is not None
    ]


def _histogram(
    info: DatasetInfo, name: str, feature: Feature, config: TrainConfig, stage: Stage
) -> list[Row]:
    """Count the classes of the first training examples; only their labels are decoded."""
    count = min(info.train.num_examples, _COUNTED)
    part = Split(info.train.name, info.train.shards, info.train.start, info.train.start + count)
    if info.train.arrays is not None:
        labels = info.train.arrays[name][part.start : part.stop]
    else:
        skip_bad = config.dataset.skip_bad_records
        labels = examples.load(part, {name: feature}, stage=stage, skip_bad=skip_bad)[name]
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
    order = input_pipeline.make_order(
        info.train, seed=config.seed, window=config.dataset.shuffle_window
    )
    skip_bad = config.dataset.skip_bad_records
    read = input_pipeline.make_examples(info, info.train, order, count, stage, skip_bad=skip_bad)
    pipeline = StreamPipeline(
        LocalMicrobatches(0, count),
        read,
        order,
        batch_size=count,
        microbatch_size=count,
        num_steps=1,
    )
    with contextlib.closing(pipeline):
        try:
            selected = pipeline.select(pipeline.prepare(0, 1), tf.constant(0))
        except tf.errors.OpError as error:
            raise pipeline.cause(error, 0, 1) from None
    batch, _ = pipeline.batch(selected, tf.constant(0, tf.int64), 1)
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
