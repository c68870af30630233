"""How fast examples are served in exact order, against the plain way and the bare ceiling.

    python -m benchmarks.data [PART] [--records=240000] [--images=2048] [--window=4096] [--rounds=5]

Everything that is compared takes turns, so that a noisy machine slows all of it; medians of the
rounds are printed as JSON, and the ratio of each round's pair as [lowest, median, highest]. Each
part runs in a process of its own. `busy` is the load of the machine for each of its processors,
before and after: above 1, others have slowed what is measured here.

    records    records/s of 784 bytes and a label, batches of 256, parsed; `tf_shuffle` is
               TFRecordDataset.shuffle with the same window, `parse_only` reads nothing
    images     images/s of JPEG images of 224 x 224 in batches of 32; `decode_only` is the decoder
               alone, in parallel: it keeps one pixel of each image
    kept       examples/s of a `tf.data.Dataset` that is kept as records, and of the pipeline itself
    csv, parquet, arrow, npy, array_record, image_folder, webdataset
               examples/s in exact order, and of the plain reader of the format's library; tables
               are copied once before
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
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import tensorflow as tf

from benchmarks import foreign_readers, readers, sessions
from benchmarks.made_data import (
    JPEGS,
    ROWS,
    SHARDS,
    random_jpeg,
    random_row,
    write,
)
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.serving import input_pipeline

TRAIN_STEPS = 64
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
        before, found = load(), compare(kinds, flags.rounds, base)
        print(json.dumps({flags.part: found | {"busy": [before, load()]}}), flush=True)


def load() -> float:
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 1)


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
        "exact_window": lambda: readers.rate(readers.exact(info, flags.window)),
        "exact_global": lambda: readers.rate(readers.exact(info, 0)),
        "tf_shuffle": lambda: readers.rate(readers.shuffled(info, flags.window)),
        "parse_only": lambda: readers.rate(readers.parse_only(info)),
    }
    return kinds, "tf_shuffle"


def image_kinds(flags: argparse.Namespace, folder: pathlib.Path, *_: object) -> tuple[Kinds, str]:
    info = sources.describe(write(folder / "jpeg", flags.images, random_jpeg, JPEGS))
    window = flags.images // 2
    kinds: Kinds = {
        "exact_window": lambda: readers.rate(readers.exact(info, window, readers.IMAGES)),
        "tf_shuffle": lambda: readers.rate(readers.shuffled(info, window, readers.IMAGES)),
        "decode_only": lambda: readers.rate(readers.decode_only(info)),
    }
    return kinds, "decode_only"


def kept_kinds(flags: argparse.Namespace, folder: pathlib.Path, *_: object) -> tuple[Kinds, str]:
    args = {"count": flags.records}
    config = DatasetConfig("benchmarks.made_data:slices", eval_split="", args=args)
    info = sources.describe(config, Stage(str(folder)))
    kinds: Kinds = {
        "exact_window": lambda: readers.rate(readers.exact(info, flags.window)),
        "exact_global": lambda: readers.rate(readers.exact(info, 0)),
        "pipeline": lambda: readers.rate(readers.pipeline(flags.records, flags.window)),
    }
    return kinds, "pipeline"


def foreign_kinds(
    name: str, flags: argparse.Namespace, folder: pathlib.Path, *_: object
) -> tuple[Kinds, str]:
    is_images = name in foreign_readers.OF_IMAGES
    count, batch = (flags.images, readers.IMAGES) if is_images else (flags.records, readers.BATCH)
    config, plain = foreign_readers.SOURCES[name](folder / name, count)
    stage = str(folder / "stage")
    info = sources.describe(config, Stage(stage))
    kinds: Kinds = {
        "exact_global": lambda: readers.rate(readers.exact(info, 0, batch, folder=stage)),
        "plain": lambda: readers.rate(plain()),
    }
    return kinds, "plain"


def digit_kinds(*_: object) -> tuple[Kinds, str]:
    info = sources.describe(DatasetConfig())
    resident = input_pipeline.make_pipeline(
        tf.distribute.get_strategy(),
        info,
        DatasetConfig(serve="resident"),
        split=info.train,
        seed=0,
        batch_size=readers.BATCH,
        microbatch_size=readers.BATCH,
        num_steps=readers.DIGITS_STEPS,
        stage=Stage(),
        compiled=False,
        num_processes=1,
    )
    kinds: Kinds = {
        "stream": lambda: readers.rate(readers.exact(info, 0, steps=readers.DIGITS_STEPS)),
        "resident": lambda: readers.rate(readers.gathered(resident)),
        "tfds": lambda: readers.rate(readers.plain_tfds(info.source, cached=True)),
        "tfds_uncached": lambda: readers.rate(readers.plain_tfds(info.source, cached=False)),
    }
    return kinds, "tfds_uncached"


def resume_kinds(flags: argparse.Namespace, folder: pathlib.Path, *_: object) -> tuple[Kinds, str]:
    info = sources.describe(write(folder / "rows", flags.records, random_row, ROWS))
    time.sleep(2)  # indexes of files that were written a moment ago are not kept
    kinds: Kinds = {
        f"step_{step}": lambda step=step: readers.first_batch(info, flags.window, step)
        for step in (0, 10**9)
    }
    return kinds, "step_0"


def step_kinds(*_: object) -> tuple[Kinds, str]:
    opened = {kind: sessions.open_digits(kind) for kind in ("stream", "resident")}
    at, shares = dict.fromkeys(opened, 0), [0.0]

    def secs(kind: str) -> float:
        session = opened[kind]
        started, waited = time.perf_counter(), session.train.waited()
        session.train(at[kind], TRAIN_STEPS)
        at[kind] += TRAIN_STEPS
        took = time.perf_counter() - started
        if kind == "stream":
            shares.append((session.train.waited() - waited) / took)
        return took / TRAIN_STEPS

    kinds: Kinds = {kind: lambda kind=kind: secs(kind) for kind in opened}
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
        storage.write_bytes(url, os.urandom(readers.SHARD_BYTES))
    turns = iter(range(10**6))
    kinds: Kinds = {
        "staged": lambda: readers.staged(urls, folder / str(next(turns))),
        "plain_download": lambda: readers.downloaded(urls, folder / str(next(turns))),
    }
    return kinds, "plain_download"


PARTS: dict[str, Callable[..., tuple[Kinds, str]]] = {
    "records": record_kinds,
    "images": image_kinds,
    "kept": kept_kinds,
    **{name: functools.partial(foreign_kinds, name) for name in foreign_readers.SOURCES},
    "digits": digit_kinds,
    "resume": resume_kinds,
    "steps": step_kinds,
    "staging": staging_kinds,
}


if __name__ == "__main__":
    main()
