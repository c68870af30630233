"""How fast examples are served in exact order, against the plain way and the bare ceiling.

    python -m benchmarks.data [PART] [--records=240000] [--images=2048] [--window=4096] [--rounds=5]

Everything that is compared takes turns, so that a noisy machine slows all of it; medians of the
rounds are printed as JSON, and the ratio of each round's pair as [lowest, median, highest]. Each
part runs in a process of its own.

    records    records/s of 784 bytes and a label, batches of 256, parsed; `tf_shuffle` is
               TFRecordDataset.shuffle with the same window, `parse_only` reads nothing
    images     images/s of JPEG images of 224 x 224 in batches of 32; `decode_only` is the decoder
               alone, in parallel: it keeps one pixel of each image
    digits     examples/s of the embedded digits: streamed, resident, and `tfds.as_dataset`, which
               caches small data decoded, and with its cache off
    resume     seconds from nothing to the first batch, at step 0 and at step 10^9
    steps      seconds of a training step of the default config, streamed and resident, and the
               share of a streamed step that waits for data
    staging    MB/s from a bucket on the emulator: staged shards, and one plain download after
               another through the same client
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
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

BATCH, IMAGES = 256, 32
SHARDS = 8
DIGITS_STEPS = 200
TRAIN_STEPS = 64
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
    parser.add_argument("part", nargs="?", choices=list(PARTS))
    parser.add_argument("--records", type=int, default=240_000)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--window", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()
    if flags.part is None:
        for part in PARTS:
            command = [sys.executable, "-m", "benchmarks.data", part, *sys.argv[1:]]
            subprocess.run(command, check=True)
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ending:
        kinds, base = PARTS[flags.part](flags, pathlib.Path(folder), ending)
        print(json.dumps({flags.part: compare(kinds, flags.rounds, base)}), flush=True)


def compare(kinds: Kinds, rounds: int, base: str) -> dict[str, object]:
    """Return the median of each kind, and its ratio to `base` in the same round."""
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
    return result


def record_kinds(flags: argparse.Namespace, folder: pathlib.Path, *_: object) -> tuple[Kinds, str]:
    info = sources.describe(write(folder / "rows", flags.records, random_row, ROWS))
    kinds: Kinds = {
        "exact_window": lambda: rate(exact(info, flags.window)),
        "exact_global": lambda: rate(exact(info, 0)),
        "tf_shuffle": lambda: rate(shuffled(info, flags.window)),
        "parse_only": lambda: rate(parse_only(info)),
    }
    return kinds, "tf_shuffle"


def image_kinds(flags: argparse.Namespace, folder: pathlib.Path, *_: object) -> tuple[Kinds, str]:
    info = sources.describe(write(folder / "jpeg", flags.images, random_jpeg, JPEGS))
    window = flags.images // 2
    kinds: Kinds = {
        "exact_window": lambda: rate(exact(info, window, IMAGES)),
        "tf_shuffle": lambda: rate(shuffled(info, window, IMAGES)),
        "decode_only": lambda: rate(decode_only(info)),
    }
    return kinds, "decode_only"


def digit_kinds(*_: object) -> tuple[Kinds, str]:
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
    kinds: Kinds = {
        "stream": lambda: rate(exact(info, 0, steps=DIGITS_STEPS)),
        "resident": lambda: rate(gathered(resident)),
        "tfds": lambda: rate(plain_tfds(info.source, cached=True)),
        "tfds_uncached": lambda: rate(plain_tfds(info.source, cached=False)),
    }
    return kinds, "tfds_uncached"


def resume_kinds(flags: argparse.Namespace, folder: pathlib.Path, *_: object) -> tuple[Kinds, str]:
    info = sources.describe(write(folder / "rows", flags.records, random_row, ROWS))
    time.sleep(2)  # indexes of files that were written a moment ago are not kept
    kinds: Kinds = {
        f"step_{step}": lambda step=step: first_batch(info, flags.window, step)
        for step in (0, 10**9)
    }
    return kinds, "step_0"


def step_kinds(*_: object) -> tuple[Kinds, str]:
    from benchmarks import resilience

    sessions = {kind: resilience._session(kind) for kind in ("stream", "resident")}
    at, shares = dict.fromkeys(sessions, 0), [0.0]

    def secs(kind: str) -> float:
        session = sessions[kind]
        started, waited = time.perf_counter(), session.data_wait()
        session.train(at[kind], TRAIN_STEPS)
        at[kind] += TRAIN_STEPS
        took = time.perf_counter() - started
        if kind == "stream":
            shares.append((session.data_wait() - waited) / took)
        return took / TRAIN_STEPS

    kinds: Kinds = {kind: lambda kind=kind: secs(kind) for kind in sessions}
    return {**kinds, "wait_share": lambda: shares[-1]}, "resident"


def staging_kinds(
    _: object, folder: pathlib.Path, ending: contextlib.ExitStack
) -> tuple[Kinds, str]:
    from tests.storage.emulator import running_emulator

    emulator = ending.enter_context(running_emulator("bench"))
    os.environ["STORAGE_EMULATOR_HOST"] = emulator.url  # no proxy between
    storage.close()
    urls = [f"gs://bench/shard-{i}" for i in range(SHARDS)]
    for url in urls:
        storage.write_bytes(url, os.urandom(SHARD_BYTES))
    turns = iter(range(10**6))
    kinds: Kinds = {
        "staged": lambda: staged(urls, folder / str(next(turns))),
        "plain_download": lambda: downloaded(urls, folder / str(next(turns))),
    }
    return kinds, "plain_download"


PARTS: dict[str, Callable[..., tuple[Kinds, str]]] = {
    "records": record_kinds,
    "images": image_kinds,
    "digits": digit_kinds,
    "resume": resume_kinds,
    "steps": step_kinds,
    "staging": staging_kinds,
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
    """Return noise that falls off with its frequency, as photographs do: about 38 KB."""
    axis = np.fft.fftfreq(224)
    falloff = np.maximum(np.hypot(axis[:, np.newaxis], axis), 1 / 224) ** -1.2
    noise = np.exp(2j * np.pi * rng.random([3, 224, 224])) * falloff
    planes = np.fft.ifft2(noise).real
    planes /= planes.std(axis=(1, 2), keepdims=True)
    image = 128 + 50 * (planes[:1] + 0.3 * planes).transpose(1, 2, 0)
    return bytes(tf.io.encode_jpeg(np.uint8(np.clip(image, 0, 255))).numpy())


if __name__ == "__main__":
    main()
