"""What all contenders share: the examples, and how they are timed. Needs nothing but numpy.

A contender is a process that starts, makes one step, warms up and then waits: the driver lets one
after another run for a moment, round by round, so that a noisy machine slows all of them alike.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable

import numpy as np

NUM_EXAMPLES = 12_800
BATCH = {"mlp": 32, "mlp_dropout": 32, "cnn": 128}
DROPOUT = {"mlp": 0.0, "mlp_dropout": 0.2, "cnn": 0.0}
RATE = 1e-3


def images() -> tuple[np.ndarray, np.ndarray]:
    """Return made images of MNIST's size, float32[N, 28, 28, 1], and labels int64[N]."""
    rng = np.random.default_rng(0)
    shape = (NUM_EXAMPLES, 28, 28, 1)
    return rng.uniform(size=shape).astype(np.float32), rng.integers(0, 10, NUM_EXAMPLES)


def serve(first: Callable[[], object], run: Callable[[], int]) -> None:
    """Answer the driver: the start, then one rate for each line read.

    Args:
        first: makes one step; everything is compiled afterwards or here.
        run: makes some steps and returns how many; their results are on the host afterwards.
    """
    first()
    _say(first_step_secs=time.time() - float(os.environ["STARTED"]))
    run()
    run()
    _say(peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    for line in sys.stdin:
        seconds, done = float(line), 0
        started, spent = time.perf_counter(), time.process_time()
        while (passed := time.perf_counter() - started) < seconds:
            done += run()
        cpu_ms = 1000 * (time.process_time() - spent) / done
        _say(steps_per_second=done / passed, cpu_ms_per_step=cpu_ms)


def _say(**values: float) -> None:
    print("@" + json.dumps(values), flush=True)
