"""The exact sum over workers against the collective library's ring: bytes and time.

    python -m benchmarks.exchange [--workers=2,4,8] [--sizes=1048576,30000000] [--page=FILE]

Every worker is a process of this machine and holds the gradients of one microbatch. The two sums
take turns within one run. Bytes are those of the loopback device, so nothing else may use it
meanwhile; both sums are started once before they are counted.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.processes import cluster

_TURNS = 15
_PLACE = "benchmarks.exchange"


def main() -> None:
    """Measure every number of workers, print the page; as a worker, print what it measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", default="2,4,8")
    parser.add_argument("--sizes", default="1048576,30000000", help="of the gradients, in numbers")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--as_worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    if options.as_worker:
        print(json.dumps([_measured(size) for size in sizes]))
        return
    lines = [
        "| workers | numbers | exact, ms | ring, ms | time | bytes |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for workers in map(int, options.workers.split(",")):
        first, *_ = cluster(workers, [f"--sizes={options.sizes}", "--as_worker"], 3600, _PLACE)
        if first.code:
            sys.exit(first.stderr)
        for size, found in zip(sizes, json.loads(first.stdout), strict=True):
            (exact, ring), (exact_bytes, ring_bytes) = found
            lines.append(
                f"| {workers} | {size:,} | {exact:.1f} | {ring:.1f} | {exact / ring:.2f}x "
                f"| {exact_bytes / ring_bytes:.2f}x |"
            )
    print("\n".join(lines))
    if options.page:
        options.page.write_text("\n".join(lines) + "\n")


def _measured(size: int) -> tuple[list[float], list[int]]:
    """Return the medians in ms, and the bytes on the loopback device, of the exact and the ring."""
    import tensorflow as tf  # the parent starts without it

    from trainer.engine.reduction import Reduction, sum_over_microbatches

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    rows = tf.random.stateless_normal([1, size], [0, 0])

    def adder(reduction: Reduction) -> Callable[[], None]:
        def on_replica() -> tf.Tensor:
            return sum_over_microbatches([rows], reduction)[0][0]

        def first() -> tf.Tensor:
            return strategy.experimental_local_results(strategy.run(on_replica))[0]

        call = tf.function(first, autograph=False)
        return lambda: call().numpy()

    adders = [adder("exact"), adder("fast")]
    times: list[list[float]] = [[], []]
    counts = [0, 0]
    for turn in range(_TURNS + 1):
        for index, add_up in enumerate(adders):
            before, began = _loopback_bytes(), time.perf_counter()
            add_up()
            if turn:
                times[index].append((time.perf_counter() - began) * 1e3)
                counts[index] += _loopback_bytes() - before
    return [statistics.median(t) for t in times], counts


def _loopback_bytes() -> int:
    (line,) = (n for n in Path("/proc/net/dev").read_text().splitlines() if "lo:" in n)
    return int(line.split()[1])


if __name__ == "__main__":
    main()
