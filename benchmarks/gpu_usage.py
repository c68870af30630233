"""How busy a GPU is while something runs, as the driver counts it."""

import contextlib
import statistics
import subprocess
from collections.abc import Iterator

_QUERY = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms=100"]


@contextlib.contextmanager
def watched(*, on: bool) -> Iterator[list[float]]:
    """Give a list that holds, afterwards, the median share of time in which a kernel ran, in %."""
    found = list[float]()
    if not on:
        yield found
        return
    with subprocess.Popen(_QUERY, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield found
        finally:
            process.terminate()
            said, _ = process.communicate()
            # The driver looks back over up to a second: the first values are of the one before.
            values = [float(line) for line in said.split() if line.isdigit()]
            found += [statistics.median(values[len(values) // 2 :])] if values else []
