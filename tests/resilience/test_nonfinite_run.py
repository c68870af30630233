import numpy as np
import pytest

from trainer.engine.step_sums import StepSums
from trainer.run.nonfinite import Run, find_run, reasons


@pytest.mark.parametrize(
    ("skipped", "before", "limit", "found"),
    [
        ([0, 0, 0], 0, 2, Run(None, 0)),
        ([0, 1, 0], 0, 2, Run(None, 0)),
        ([0, 0, 1], 0, 2, Run(None, 1)),
        ([1, 0, 0], 1, 2, Run(1, 2)),
        ([0, 1, 1, 1], 0, 2, Run(3, 2)),
        ([1], 0, 0, Run(1, 1)),
    ],
)
def test_runs_are_counted_over_calls(skipped, before, limit, found) -> None:
    assert find_run(np.asarray(skipped, np.float32), before, limit) == found


def test_each_step_is_reported_with_its_reason() -> None:
    each = {"skipped": np.float32([0, 1, 1, 0]), "spike": np.float32([0, 0, 1, 0])}
    assert reasons(StepSums(4, each, {}), 10) == {
        11: "loss or gradient not finite",
        12: "loss spike",
    }
    del each["spike"]  # the guard is off
    assert set(reasons(StepSums(4, each, {}), 10).values()) == {"loss or gradient not finite"}
