"""Keras `fit`: `python -m benchmarks.peers.keras_fit WORK STEPS_PER_EXECUTION [xla]`."""

import sys
from typing import Any

import keras
import tensorflow as tf

from benchmarks.peers import work
from benchmarks.peers.towers import scores
from trainer.models.cnn import cnn
from trainer.models.mlp import mlp
from trainer.models.resnet import resnet
from trainer.models.resnet50 import resnet50
from trainer.models.transformer import transformer


def pooled(input_shape: tuple[int, int, int], num_outputs: int) -> keras.Model:
    """Return a model that hardly computes: what is measured is the input."""
    inputs = keras.Input(input_shape)
    x = keras.layers.AveragePooling2D(32)(inputs)
    outputs = keras.layers.Dense(num_outputs)(keras.layers.Flatten()(x))
    return keras.Model(inputs, outputs)


def model(name: str) -> keras.Model:
    """Return the model that all TensorFlow contenders train."""
    shape = work.WORKS[name].shape
    small = {
        "cnn": lambda: cnn(shape, 10, padding="valid"),
        "resnet": lambda: resnet(shape, 10, depth=8),
        "jpeg": lambda: pooled(shape, 10),
        "towers": scores,
    }
    if name in small:
        return small[name]()
    if name == "resnet50":
        inputs = keras.Input(shape, dtype="uint8")
        scaled = keras.layers.Rescaling(1 / 255)(inputs)
        return keras.Model(inputs, resnet50(shape, work.WORKS[name].classes)(scaled))
    if name in work.TRANSFORMERS:
        return transformer((work.TOKENS,), work.VOCABULARY, **work.TRANSFORMERS[name])
    return mlp(shape, 10, dropout=work.WORKS[name].dropout)


def jpegs() -> tf.data.Dataset:
    """Return shuffled batches of decoded images from the records, without an end."""
    spec = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], "int64"),
    }

    def decode(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.io.parse_single_example(record, spec)
        image = tf.io.decode_jpeg(found["image"], channels=3)
        return tf.ensure_shape(image, work.WORKS["jpeg"].shape), found["label"]

    files = sorted(str(path) for path in work.jpeg_folder().glob("*.tfrecord"))
    found = tf.data.TFRecordDataset(files).repeat().shuffle(work.NUM_JPEGS)
    found = found.map(decode, tf.data.AUTOTUNE).batch(work.WORKS["jpeg"].batch, drop_remainder=True)
    scaled = found.map(lambda x, y: (tf.cast(x, tf.float32) / 255, y), tf.data.AUTOTUNE)
    return scaled.prefetch(tf.data.AUTOTUNE)


def dataset(name: str) -> tf.data.Dataset:
    """Return shuffled batches without an end."""
    kind = work.WORKS[name]
    if name == "jpeg":
        return jpegs()
    made = tf.data.Dataset.from_tensor_slices(work.examples(name)).cache().shuffle(kind.examples)
    batches = made.repeat().batch(kind.batch, drop_remainder=True)
    if kind.in_batch:
        batches = batches.map(lambda x, _: (x, tf.range(kind.batch)))
    return batches.prefetch(tf.data.AUTOTUNE)


def device_bytes() -> int | None:
    """Return the peak memory of the GPU; None where there is none."""
    if not tf.config.list_logical_devices("GPU"):
        return None
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def main(name: str, steps_per_execution: str, xla: str = "") -> None:
    kind = work.WORKS[name]
    # What is called float32 is float32 in every contender.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if kind.precision == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    made = model(name)
    made.compile(
        keras.optimizers.Adam(work.RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=int(steps_per_execution),
        jit_compile=bool(xla) or "auto",
    )
    if name == "jpeg" or kind.in_batch:
        data = dataset(name)

        def fit(steps: int) -> Any:
            return made.fit(data, steps_per_epoch=steps, verbose=0)
    else:
        x, y = work.examples(name)

        def fit(steps: int) -> Any:
            count = steps * kind.batch
            epochs, count = -(-count // len(x)), min(count, len(x))
            return made.fit(x[:count], y[:count], kind.batch, epochs=epochs, verbose=0)

    many = max(int(steps_per_execution), min(100, 6 * kind.many))

    def run() -> int:
        fit(many)
        return many

    work.serve(lambda: fit(1), run, device_bytes)


if __name__ == "__main__":
    main(*sys.argv[1:])
