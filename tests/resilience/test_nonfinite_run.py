import numpy as np
import pytest

from trainer.run.nonfinite import Run, find_run


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
