"""The ways to read examples that `benchmarks.data` compares: ours, the plain ones, the ceilings."""

import contextlib
import pathlib
import time
from collections.abc import Iterator

import tensorflow as tf

from benchmarks.made_data import SHARDS, slices
from trainer import storage
from trainer.data.info import DatasetInfo
from trainer.data.records import decode
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan
from trainer.data.records.staging import Stager
from trainer.data.serving.order import Batches, training_order
from trainer.data.serving.reading import ExampleReader
from trainer.data.serving.stream import StreamPipeline

BATCH, IMAGES = 256, 32
DIGITS_STEPS = 200
SHARD_BYTES = 16 << 20


def rate(batches: Iterator[int]) -> float:
    """Return examples/s from the first batch to the last: opening, tracing, closing left out."""
    next(batches)
    count, started = 0, time.perf_counter()
    ended = started
    for size in batches:
        count, ended = count + size, time.perf_counter()
    return count / (ended - started)


def exact(
    info: DatasetInfo, window: int, batch: int = BATCH, steps: int = 0, folder: str = ""
) -> Iterator[int]:
    """Serve one pass, or so many steps; `folder` holds the copies of tables."""
    steps = steps or info.train.num_examples // batch
    with contextlib.closing(make_stream(info, window, batch, steps, folder)) as pipeline:
        for examples, _ in pipeline.prepare(0, steps):
            yield int(examples["label"].shape[0])


def make_stream(
    info: DatasetInfo, window: int, batch: int, steps: int, folder: str = ""
) -> StreamPipeline:
    order = training_order(info.train, seed=0, window=window)
    visits = order.reading_order(steps * batch)
    reader = ExampleReader(ReadPlan(info, info.train, info.features, visits, Stage(folder)))
    return StreamPipeline(reader, Batches(order, batch, batch, range(batch)), steps)


def first_batch(info: DatasetInfo, window: int, step: int) -> float:
    started = time.perf_counter()
    with contextlib.closing(make_stream(info, window, BATCH, 2 * 10**9)) as pipeline:
        next(pipeline.prepare(step, 1))
        return time.perf_counter() - started


def shuffled(info: DatasetInfo, window: int, batch: int = BATCH) -> Iterator[int]:
    files = tf.data.Dataset.from_tensor_slices([s.url for s in info.train.shards]).shuffle(SHARDS)
    plain = tf.data.TFRecordDataset(files).shuffle(window)
    yield from parsed(plain.batch(batch, drop_remainder=True), info, batch)


def pipeline(count: int, window: int) -> Iterator[int]:
    batches = slices(count).shuffle(window, seed=0).batch(BATCH, drop_remainder=True)
    for examples in batches.prefetch(4):
        yield int(examples["label"].shape[0])


def parse_only(info: DatasetInfo) -> Iterator[int]:
    """Parse the same batch again and again: nothing is read."""
    first = next(iter(tf.data.TFRecordDataset(info.train.shards[0].url).batch(BATCH)))
    steps = info.train.num_examples // BATCH
    yield from parsed(tf.data.Dataset.from_tensors(first).repeat(steps), info, BATCH)


def parsed(blocks: tf.data.Dataset, info: DatasetInfo, batch: int) -> Iterator[int]:
    for examples in decode.decode_blocks(blocks, info.features, batch).prefetch(4):
        yield int(examples["label"].shape[0])


def decode_only(info: DatasetInfo) -> Iterator[int]:
    """Decode the first shard's images again and again; no records, no batches of images."""
    features = {"image": tf.io.FixedLenFeature([], tf.string)}
    shard = tf.data.TFRecordDataset(info.train.shards[0].url)
    images = [tf.io.parse_single_example(record, features)["image"] for record in shard]
    pixels = (
        tf.data.Dataset.from_tensor_slices(tf.stack(images))
        .repeat(SHARDS)
        .map(lambda image: tf.io.decode_jpeg(image)[0, 0, 0], num_parallel_calls=tf.data.AUTOTUNE)
        .batch(IMAGES)
    )
    for batch in pixels.prefetch(4):
        yield len(batch)


def gathered(pipeline: object) -> Iterator[int]:
    @tf.function
    def run(prepared: object) -> tf.Tensor:
        total = tf.constant(0.0)
        for index in tf.range(DIGITS_STEPS):
            batch, _ = pipeline.batch(pipeline.select(prepared, index), tf.constant(0, tf.int64), 1)
            total += tf.reduce_sum(tf.cast(batch["image"], tf.float32))
        return total

    run(pipeline.prepare(0, DIGITS_STEPS))
    yield 0
    run(pipeline.prepare(0, DIGITS_STEPS)).numpy()
    yield BATCH * DIGITS_STEPS


def plain_tfds(folder: str, *, cached: bool) -> Iterator[int]:
    import tensorflow_datasets as tfds

    options = tfds.ReadConfig(try_autocache=cached)
    builder = tfds.builder_from_directory(folder)
    dataset = builder.as_dataset(split="train", read_config=options)
    batches = dataset.shuffle(1501).repeat().batch(BATCH).take(DIGITS_STEPS).prefetch(4)
    for examples in batches:
        yield int(examples["label"].shape[0])


def staged(urls: list[str], folder: pathlib.Path) -> float:
    started = time.perf_counter()
    with Stager(urls, folder, 2 * len(urls) * SHARD_BYTES) as stager:
        for visit in range(len(urls)):
            with stager.open(visit):
                pass
    return len(urls) * SHARD_BYTES / 1e6 / (time.perf_counter() - started)


def downloaded(urls: list[str], folder: pathlib.Path) -> float:
    folder.mkdir(parents=True)
    started = time.perf_counter()
    for i, url in enumerate(urls):
        filesystem, name = storage.filesystems.open_url(url)
        filesystem.get_file(name, str(folder / str(i)))
    return len(urls) * SHARD_BYTES / 1e6 / (time.perf_counter() - started)
