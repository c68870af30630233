"""Made records: rows of bytes, and noise as JPEG images."""

import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.config import DatasetConfig

SHARDS = 8
ROWS = {
    "image": {"dtype": "uint8", "shape": [784], "encoding": "raw"},
    "label": {"num_classes": 10},
}
JPEGS = {
    "image": {"dtype": "uint8", "shape": [224, 224, 3], "encoding": "image"},
    "label": {"num_classes": 10},
}


def write(
    folder: pathlib.Path, count: int, make: Callable[[np.random.Generator], bytes], spec: object
) -> DatasetConfig:
    folder.mkdir()
    rng = np.random.default_rng(0)
    made = [make(rng) for _ in range(64)]
    for shard in range(SHARDS):
        with tf.io.TFRecordWriter(str(folder / f"train-{shard}.tfrecord")) as writer:
            for i in range(shard, count, SHARDS):
                writer.write(serialize(made[i % len(made)], i % 10))
    return DatasetConfig(str(folder / "{split}-*"), eval_split="", args={"features": spec})


def slices(count: int) -> tf.data.Dataset:
    """Return rows as a user's pipeline gives them."""
    rows = np.random.default_rng(0).integers(0, 256, (count, 784), np.uint8)
    return tf.data.Dataset.from_tensor_slices({"image": rows, "label": np.arange(count) % 10})


def serialize(image: bytes, label: int) -> bytes:
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def random_row(rng: np.random.Generator) -> bytes:
    return rng.integers(0, 256, 784, np.uint8).tobytes()


def random_jpeg(rng: np.random.Generator) -> bytes:
    """Return noise that falls off with its frequency, as photographs do: about 38 KB."""
    axis = np.fft.fftfreq(224)
    falloff = np.maximum(np.hypot(axis[:, np.newaxis], axis), 1 / 224) ** -1.2
    noise = np.exp(2j * np.pi * rng.random([3, 224, 224])) * falloff
    planes = np.fft.ifft2(noise).real
    planes /= planes.std(axis=(1, 2), keepdims=True)
    image = 128 + 50 * (planes[:1] + 0.3 * planes).transpose(1, 2, 0)
    return bytes(tf.io.encode_jpeg(np.uint8(np.clip(image, 0, 255))).numpy())
