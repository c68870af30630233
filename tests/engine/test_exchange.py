"""The sum over several workers has the bits of the tree over all rows, gathered or in slices."""

import json

import numpy as np
import pytest

from tests.engine.summing import rows
from tests.processes import cluster
from trainer.engine import reduction

# Both sides of the size from which slices are exchanged; sizes that the workers do not divide.
SIZES = (1, 10, reduction._GATHERED // 4, reduction._GATHERED + 7)


def tree(terms):
    """Add neighbours, then neighbours of those; an odd last one passes on."""
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0]


@pytest.mark.parametrize(
    ("workers", "num_rows"),
    [
        (3, 4),
        pytest.param(2, 6, marks=pytest.mark.slow),
        pytest.param(4, 3, marks=pytest.mark.slow),
    ],
)
def test_every_worker_has_the_sum_of_the_tree(workers, num_rows):
    args = [str(num_rows), *map(str, SIZES)]
    ended = cluster(workers, args, module="tests.engine.summing")
    expected = [tree(list(rows(size))) for size in SIZES]
    # Else any order would do.
    assert not np.array_equal(expected[-1], np.cumsum(rows(SIZES[-1]), axis=0)[-1])
    for worker in ended:
        assert worker.code == 0, worker.stderr
        assert json.loads(worker.stdout) == [total.tobytes().hex() for total in expected]
