"""Measures one setting in this process: TensorFlow takes its threads once.

`python -m trainer.tune.measure SECONDS CONFIG FIELD=VALUE ...` prints one line of JSON.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from common import redaction
from common.exit_codes import ExitCode, RunError
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig, conversion, experiment_file
from trainer.run.request import make_request
from trainer.runtime import quiet

InnerLoop = Callable[[int, int], Any]


def measure(config: TrainConfig, seconds: float) -> dict[str, float]:
    """Return the steps/s of the inner loop over about `seconds`, and the time of its first call.

    No checkpoint, log or evaluation is made; the weights are lost.
    """
    from trainer.data.serving.input_pipeline import MAX_STEPS_PER_CALL
    from trainer.run import boundaries
    from trainer.run.session import open_session

    request = make_request(config, Placement("cpu"))
    live = open_session(request)
    first, rates = _timed(live.train, 0, 1), list[float]()
    secs, done, until = 0.0, 1, time.monotonic() + seconds
    while time.monotonic() < until or len(rates) < 2:
        num_steps = min(
            boundaries.steps_per_call(secs, MAX_STEPS_PER_CALL), request.plan.total_steps - done
        )
        if num_steps < 1:
            done, num_steps = 0, 1  # a short run begins again: only its time is of interest
        secs = _timed(live.train, done, num_steps) / num_steps
        rates.append(1 / secs)
        done += num_steps
    return {"steps_per_second": statistics.median(rates), "first_call_secs": first}


def _timed(train: InnerLoop, first_step: int, num_steps: int) -> float:
    started = time.monotonic()
    train(first_step, num_steps)
    return time.monotonic() - started


def main(args: Sequence[str]) -> ExitCode:
    """Run the process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    seconds, name, *settings = args
    pairs = [(field, value) for field, _, value in (s.partition("=") for s in settings)]
    try:
        with quiet.loading():
            config = conversion.override(experiment_file.load(name), pairs)
            print(json.dumps(measure(config, float(seconds))))
    except RunError as error:
        redaction.complain(error.code.last_line(error.reason))
        return error.code
    return ExitCode.DONE


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
