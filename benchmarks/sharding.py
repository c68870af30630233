"""Sharded optimizer state against state that is whole on every replica: memory and time of a step.

    python -m benchmarks.sharding [--replicas=8] [--workers=2] [--hidden=1024] [--page=FILE]

A multilayer perceptron with two hidden layers and Adam. First on replicas of the CPU in one
process, then on worker processes of this machine. Both kinds of state take turns within one run.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from tests.processes import cluster

_TURNS = 9
_PLACE = "benchmarks.sharding"


def main() -> None:
    """Measure, print the page; as a worker, print what it measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--replicas", type=int, default=8, help="of one process; 0: none")
    parser.add_argument("--workers", type=int, default=2, help="processes; 0: none")
    parser.add_argument("--hidden", type=int, default=1024, help="units of a hidden layer")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--measure", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_measured(options.measure, options.hidden)))
        return
    lines = [
        "| replicas | weights | state whole | sharded, at most | of whole | step whole, ms "
        "| sharded, ms | time |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    places = {f"{options.replicas} of one process": (1, options.replicas)}
    places[f"{options.workers} processes"] = options.workers, 1
    for name, (workers, replicas) in places.items():
        if not workers * replicas:
            continue
        args = [f"--measure={replicas}", f"--hidden={options.hidden}"]
        found = []
        for worker in cluster(workers, args, 3600, _PLACE):
            if worker.code:
                sys.exit(worker.stderr)
            found.append(json.loads(worker.stdout))
        whole, sharded = (max(f["bytes"][kind] for f in found) for kind in (0, 1))
        before, after = found[0]["ms"]
        lines.append(
            f"| {name} | {found[0]['weights']:,} | {whole / 2**20:.2f} MiB "
            f"| {sharded / 2**20:.2f} MiB | {sharded / whole:.4f} | {before:.1f} | {after:.1f} "
            f"| {after / before:.2f}x |"
        )
    print("\n".join(lines))
    if options.page:
        options.page.write_text("\n".join(lines) + "\n")


def _measured(replicas: int, hidden: int) -> dict[str, object]:
    """Return the number of weights, and of whole and sharded state the bytes and ms of a step."""
    import tensorflow as tf  # the parent starts without it

    from tests.engine.sharded import CASES, STEPS, bytes_of_replicas, config_of, opened
    from trainer.cluster import strategy
    from trainer.cluster.placement import Placement
    from trainer.config import TrainConfig

    tf.get_logger().setLevel("ERROR")
    strategy.configure_runtime(TrainConfig(epochs=1))
    # One worker of several has one replica.
    distribution = (
        strategy.create(Placement("cpu", replicas))
        if replicas > 1
        else tf.distribute.MultiWorkerMirroredStrategy()
    )
    virtual_replicas = distribution.num_replicas_in_sync
    config = config_of({"main": CASES["Adam"]}, virtual_replicas, [hidden, hidden], ema_decay=0.0)
    sessions = [opened(config, distribution, is_sharded=kind) for kind in (False, True)]
    times: list[list[float]] = [[], []]
    for turn in range(_TURNS + 1):
        for index, session in enumerate(sessions):
            began = time.perf_counter()
            session.train(0, STEPS)
            if turn:
                times[index].append((time.perf_counter() - began) * 1e3 / STEPS)
    return {
        "weights": sessions[0].task.models["main"].count_params(),
        "bytes": [max(bytes_of_replicas(session)) for session in sessions],
        "ms": [statistics.median(t) for t in times],
    }


if __name__ == "__main__":
    main()
