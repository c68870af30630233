"""What all contenders share: the examples, and how they are timed. Needs nothing but numpy.

A contender is a process that starts, makes one step, warms up and then waits: the driver lets one
after another run for a moment, round by round, so that a noisy machine slows all of them alike.
"""

import dataclasses
import json
import os
import pathlib
import resource
import sys
import time
from collections.abc import Callable

import numpy as np

RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class Work:
    """What is trained.

    Attributes:
        batch: examples a step.
        shape: of an image.
        many: steps in one call, for those who can make many.
        dropout: share of the hidden units that are dropped.
        precision: of the layers' arithmetic.
        examples: in memory.
        classes: of an image.
        in_batch: what is asked for is the place of an example in its batch: which it is of all.
    """

    batch: int
    shape: tuple[int, int, int] = (28, 28, 1)
    many: int = 256
    dropout: float = 0.0
    precision: str = "float32"
    examples: int = 12_800
    classes: int = 10
    in_batch: bool = False


WORKS = {
    "mlp": Work(32),
    "mlp_dropout": Work(32, dropout=0.2),
    "cnn": Work(128, many=4),
    "resnet": Work(64, (32, 32, 3), many=4),
    "jpeg": Work(32, (224, 224, 3), many=8),
    "resnet50": Work(128, (224, 224, 3), 8, precision="bfloat16", examples=1024, classes=1000),
    "transformer": Work(16, many=2, examples=1024),
    "transformer_large": Work(64, many=16, precision="bfloat16", examples=4096),
    "towers": Work(512, many=16, examples=65_536, in_batch=True),
}
TRANSFORMERS = {
    "transformer": {"width": 256, "depth": 4, "heads": 4},
    "transformer_large": {"width": 512, "depth": 6, "heads": 8},
}
VOCABULARY, TOKENS = 256, 256
USERS, ITEMS, WIDTH = 20_000, 10_000, 64
NUM_JPEGS = 1024
"""Files NNNN.jpg, and the same bytes in train-N.tfrecord, in the folder that JPEGS names."""


def images(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return made images [N, height, width, channels] and labels int64[N].

    Small images are float32 in [0, 1]; those of "resnet50" uint8, to be divided by 255.
    """
    rng, work = np.random.default_rng(0), WORKS[name]
    shape = (work.examples, *work.shape)
    labels = rng.integers(0, work.classes, work.examples)
    if name == "resnet50":
        return rng.integers(0, 256, shape, np.uint8), labels
    return rng.uniform(size=shape).astype(np.float32), labels


def tokens(name: str) -> np.ndarray:
    """Return made text, int32[N, TOKENS + 1]."""
    rng = np.random.default_rng(0)
    return rng.integers(0, VOCABULARY, (WORKS[name].examples, TOKENS + 1), np.int32)


def pairs() -> np.ndarray:
    """Return made pairs of a user and an item, int32[N, 2]."""
    rng = np.random.default_rng(0)
    return rng.integers(0, (USERS, ITEMS), (WORKS["towers"].examples, 2), np.int32)


def examples(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what the model reads and what it is asked for; zeros for a place in the batch."""
    if name in TRANSFORMERS:
        rows = tokens(name)
        return rows[:, :-1], rows[:, 1:]
    if WORKS[name].in_batch:
        return pairs(), np.zeros(WORKS[name].examples, np.int64)
    return images(name)


def jpeg_folder() -> pathlib.Path:
    """Return where the driver put the JPEG images."""
    return pathlib.Path(os.environ["JPEGS"])


def serve(
    first: Callable[[], object],
    run: Callable[[], int],
    device_bytes: Callable[[], int | None] = lambda: None,
) -> None:
    """Answer the driver: the start, then one rate for each line read, seconds or "calls=N".

    Args:
        first: makes one step; everything is compiled afterwards or here.
        run: makes some steps and returns how many; their results are on the host afterwards.
        device_bytes: returns the peak memory of the accelerator; None: there is none.
    """
    first()
    _say(first_step_secs=time.time() - float(os.environ["STARTED"]))
    run()
    run()
    peak = {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    on_device = device_bytes()
    _say(**peak, **({} if on_device is None else {"device_mib": on_device / 2**20}))
    for line in sys.stdin:
        kind, _, calls = line.strip().partition("=")
        _say(**(_counted(run, int(calls)) if calls else _timed(run, float(kind))))


def _timed(run: Callable[[], int], seconds: float) -> dict[str, float]:
    started, spent, done = time.perf_counter(), time.process_time(), 0
    while (passed := time.perf_counter() - started) < seconds:
        done += run()
    return _rates(done, passed, time.process_time() - spent)


def _counted(run: Callable[[], int], calls: int) -> dict[str, float]:
    started, spent = time.perf_counter(), time.process_time()
    done = sum(run() for _ in range(calls))
    return _rates(done, time.perf_counter() - started, time.process_time() - spent)


def _rates(steps: int, seconds: float, cpu_seconds: float) -> dict[str, float]:
    return {"steps_per_second": steps / seconds, "cpu_ms_per_step": 1000 * cpu_seconds / steps}


def _say(**values: float) -> None:
    print("@" + json.dumps(values), flush=True)
