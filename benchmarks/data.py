"""How fast examples are served in exact order, against the plain way and the bare ceiling.

    python -m benchmarks.data [--records=60000] [--images=512] [--window=4096] [--rounds=5]

Everything that is compared takes turns, so that a noisy machine slows all of it; medians of the
rounds are printed as JSON, and the ratio of each round's pair as [lowest, median, highest].

    records/s      784 bytes and a label, batches of 256, parsed; `tf_shuffle` is
                   TFRecordDataset.shuffle with the same window, `parse_only` reads nothing
    images/s       JPEG images of 224 x 224; `decode_only` is the decoder alone, in parallel
    digits/s       the embedded digits: streamed, resident and `tfds.as_dataset`
    resume_secs    from nothing to the first batch, at step 0 and at step 10^9
    step_secs      a training step of the default config, streamed and resident: what is more is
                   waiting for data
    staging_mb/s   a bucket on the emulator: staged shards, and one plain download after another
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import feeds, records, sources
from trainer.data.files import Stage
from trainer.data.info import DatasetInfo
from trainer.data.staging import Stager
from trainer.data.stream import LocalLanes, StreamFeed

BATCH = 256
SHARDS = 8
DIGITS_STEPS = 200
SHARD_BYTES = 16 << 20
ROWS = {
    "image": {"dtype": "uint8", "shape": [784], "encoding": "raw"},
    "label": {"num_classes": 10},
}
JPEGS = {
    "image": {"dtype": "uint8", "shape": [224, 224, 3], "encoding": "image"},
    "label": {"num_classes": 10},
}
Kinds = dict[str, Callable[[], float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--window", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows = sources.describe(write(folder / "rows", flags.records, random_row, ROWS))
        images = sources.describe(write(folder / "jpeg", flags.images, random_jpeg, JPEGS))
        report("records/s", record_kinds(rows, flags.window), flags.rounds, "tf_shuffle")
        report("images/s", image_kinds(images, flags.images // 2), flags.rounds, "decode_only")
        report("digits/s", digit_kinds(), flags.rounds, "tfds")
        report("resume_secs", resume_kinds(rows, flags.window), flags.rounds, "step_0")
        report("step_secs", step_kinds(), flags.rounds, "resident")
        with bucket(folder / "stage") as kinds:
            report("staging_mb/s", kinds, flags.rounds, "plain_download")


def report(title: str, kinds: Kinds, rounds: int, base: str) -> None:
    """Print the median of each kind and its ratio to `base` in the same round."""
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for measure in kinds.values():
        measure()  # traced, and in the page cache
    for _ in range(rounds):
        for kind, measure in kinds.items():
            found[kind].append(measure())
    result: dict[str, object] = {k: round(statistics.median(v), 4) for k, v in found.items()}
    for kind, values in found.items():
        if kind != base:
            ratios = sorted(value / other for value, other in zip(values, found[base], strict=True))
            spread = (ratios[0], statistics.median(ratios), ratios[-1])
            result[f"{kind} / {base}"] = [round(ratio, 3) for ratio in spread]
    print(json.dumps({title: result}), flush=True)


def record_kinds(info: DatasetInfo, window: int) -> Kinds:
    return {
        "exact_window": lambda: rate(exact(info, window)),
        "exact_global": lambda: rate(exact(info, 0)),
        "tf_shuffle": lambda: rate(shuffled(info, window)),
        "parse_only": lambda: rate(parse_only(info)),
    }


def image_kinds(info: DatasetInfo, window: int) -> Kinds:
    return {
        "exact_window": lambda: rate(exact(info, window, batch=32)),
        "tf_shuffle": lambda: rate(shuffled(info, window, batch=32)),
        "decode_only": lambda: rate(decode_only(info)),
    }


def digit_kinds() -> Kinds:
    info = sources.describe(DatasetConfig())
    resident = feeds.make_feed(
        tf.distribute.get_strategy(),
        info,
        DatasetConfig(serve="resident"),
        split=info.train,
        seed=0,
        batch_size=BATCH,
        lane_size=BATCH,
        num_steps=DIGITS_STEPS,
        stage=Stage(),
        compiled=False,
    )
    return {
        "stream": lambda: rate(exact(info, 0, steps=DIGITS_STEPS)),
        "resident": lambda: rate(gathered(resident)),
        "tfds": lambda: rate(plain_tfds(info.source)),
    }


def resume_kinds(info: DatasetInfo, window: int) -> Kinds:
    return {
        f"step_{step}": lambda step=step: first_batch(info, window, step) for step in (0, 10**9)
    }


def step_kinds() -> Kinds:
    from benchmarks import resilience

    sessions = {kind: resilience._session(kind) for kind in ("stream", "resident")}
    at = dict.fromkeys(sessions, 0)

    def secs(kind: str) -> float:
        started = time.perf_counter()
        sessions[kind].train(at[kind], 64)
        at[kind] += 64
        return (time.perf_counter() - started) / 64

    return {kind: lambda kind=kind: secs(kind) for kind in sessions}


@contextlib.contextmanager
def bucket(stage: pathlib.Path) -> Iterator[Kinds]:
    from tests.storage.emulator import running_emulator

    with running_emulator("bench") as emulator:
        os.environ["STORAGE_EMULATOR_HOST"] = emulator.url  # no proxy between
        storage.close()
        urls = [f"gs://bench/shard-{i}" for i in range(SHARDS)]
        for url in urls:
            storage.write_bytes(url, os.urandom(SHARD_BYTES))
        turns = iter(range(10**6))
        yield {
            "staged": lambda: staged(urls, stage / str(next(turns))),
            "plain_download": lambda: downloaded(urls, stage / str(next(turns))),
        }


def rate(batches: Iterator[int]) -> float:
    """Return examples/s from the first batch to the last: opening, tracing, closing left out."""
    next(batches)
    count, started = 0, time.perf_counter()
    ended = started
    for size in batches:
        count, ended = count + size, time.perf_counter()
    return count / (ended - started)


def exact(info: DatasetInfo, window: int, batch: int = BATCH, steps: int = 0) -> Iterator[int]:
    steps = steps or info.train.num_examples // batch
    with contextlib.closing(make_stream(info, window, batch, steps)) as feed:
        for examples, _ in feed.prepare(0, steps):
            yield int(examples["label"].shape[0])


def make_stream(info: DatasetInfo, window: int, batch: int, steps: int) -> StreamFeed:
    order = feeds.make_order(info.train, seed=0, window=window)
    read = feeds.make_examples(info, info.train, order, steps * batch, Stage(), skip_bad=False)
    lanes = LocalLanes(0, batch)
    return StreamFeed(lanes, read, order, batch_size=batch, lane_size=batch, num_steps=steps)


def first_batch(info: DatasetInfo, window: int, step: int) -> float:
    started = time.perf_counter()
    with contextlib.closing(make_stream(info, window, BATCH, 2 * 10**9)) as feed:
        next(feed.prepare(step, 1))
        return time.perf_counter() - started


def shuffled(info: DatasetInfo, window: int, batch: int = BATCH) -> Iterator[int]:
    files = tf.data.Dataset.from_tensor_slices([s.url for s in info.train.shards]).shuffle(SHARDS)
    plain = tf.data.TFRecordDataset(files).shuffle(window)
    yield from parsed(plain.batch(batch, drop_remainder=True), info, batch)


def parse_only(info: DatasetInfo) -> Iterator[int]:
    """Parse the same batch again and again: nothing is read."""
    first = next(iter(tf.data.TFRecordDataset(info.train.shards[0].url).batch(BATCH)))
    steps = info.train.num_examples // BATCH
    yield from parsed(tf.data.Dataset.from_tensors(first).repeat(steps), info, BATCH)


def parsed(blocks: tf.data.Dataset, info: DatasetInfo, batch: int) -> Iterator[int]:
    for examples in records.decode_blocks(blocks, info.features, batch).prefetch(4):
        yield int(examples["label"].shape[0])


def decode_only(info: DatasetInfo) -> Iterator[int]:
    """Decode the first shard's images again and again; no records, no batches."""
    features = {"image": tf.io.FixedLenFeature([], tf.string)}
    shard = tf.data.TFRecordDataset(info.train.shards[0].url)
    images = [tf.io.parse_single_example(record, features)["image"] for record in shard]
    decoded = (
        tf.data.Dataset.from_tensor_slices(tf.stack(images))
        .repeat(SHARDS)
        .map(tf.io.decode_jpeg, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(64)
    )
    for _ in decoded:
        yield 1


def gathered(feed: object) -> Iterator[int]:
    @tf.function
    def run(prepared: object) -> tf.Tensor:
        total = tf.constant(0.0)
        for index in tf.range(DIGITS_STEPS):
            batch, _ = feed.batch(feed.select(prepared, index), tf.constant(0, tf.int64), 1)
            total += tf.reduce_sum(tf.cast(batch["image"], tf.float32))
        return total

    run(feed.prepare(0, DIGITS_STEPS))
    yield 0
    run(feed.prepare(0, DIGITS_STEPS)).numpy()
    yield BATCH * DIGITS_STEPS


def plain_tfds(folder: str) -> Iterator[int]:
    import tensorflow_datasets as tfds

    dataset = tfds.builder_from_directory(folder).as_dataset(split="train")
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


def serialize(image: bytes, label: int) -> bytes:
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def random_row(rng: np.random.Generator) -> bytes:
    return rng.integers(0, 256, 784, np.uint8).tobytes()


def random_jpeg(rng: np.random.Generator) -> bytes:
    coarse = rng.integers(0, 256, [14, 14, 3], np.uint8)
    return tf.io.encode_jpeg(np.kron(coarse, np.ones([16, 16, 1], np.uint8))).numpy()


if __name__ == "__main__":
    main()
