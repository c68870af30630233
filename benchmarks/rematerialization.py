"""What `model.remat` saves and costs: peak memory and time of a step, and whether the bits agree.

    python -m benchmarks.rematerialization [--batch=64] [--depth=8] [--execution=graph]

A transformer of `depth` blocks of width 128 over 128 characters, one microbatch, on the CPU. Each
contender is a process of its own; its peak is the resident memory above that of its start.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

_STEPS = 3


def main() -> None:
    """Measure both, print a table; as a contender, print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--execution", default="graph")
    parser.add_argument("--remat", choices=("true", "false"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.remat:
        print(json.dumps(_measured(options)))
        return
    found = {}
    for remat in ("false", "true"):
        command = [sys.executable, "-m", "benchmarks.rematerialization", *sys.argv[1:]]
        done = subprocess.run(
            [*command, f"--remat={remat}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr)
        found[remat] = json.loads(done.stdout.splitlines()[-1])
    print("| model.remat | peak, MiB | ms a step | state |\n|---|--:|--:|---|")
    for remat, (peak, millis, digest) in found.items():
        print(f"| {remat} | {peak:.0f} | {millis:.0f} | `{digest[:16]}` |")


def _measured(options: argparse.Namespace) -> tuple[float, float, str]:
    import numpy as np  # the parent starts without TensorFlow
    import tensorflow as tf

    from tests.engine.resident_loop import resident_loop
    from trainer import build
    from trainer.checkpoint import digest
    from trainer.cluster.strategy import configure_runtime
    from trainer.config import ModelConfig, TrainConfig, experiment_file
    from trainer.data.info import Feature
    from trainer.engine.step import make_train_step
    from trainer.engine.step_sums import zero_sums

    configure_runtime(TrainConfig(epochs=1, execution=options.execution))
    config = experiment_file.load("text_transformer")
    model = ModelConfig(
        "transformer",
        {"width": 128, "depth": options.depth, "heads": 4},
        remat=options.remat == "true",
    )
    config = dataclasses.replace(
        config,
        model=model,
        global_batch_size=options.batch,
        virtual_replicas=1,
        execution=options.execution,
    )
    task = build.build_task(config, {"tokens": Feature((129,), "int64")}, total_steps=_STEPS)
    tokens = np.random.default_rng(0).integers(0, 20, (_STEPS * options.batch, 129))
    loop = resident_loop(
        tf.distribute.get_strategy(),
        make_train_step(task, build.step_plan(config)),
        {"tokens": tokens},
        zero_sums(task, training=True),
        batch=options.batch,
        virtual_replicas=1,
        compiled=options.execution == "xla_loop",
    )
    before = _resident_mib("VmRSS")
    loop(0, 1)
    began = time.perf_counter()
    loop(1, _STEPS - 1)
    millis = (time.perf_counter() - began) / (_STEPS - 1) * 1e3
    state = {name: variable.numpy() for name, variable in task.state().items()}
    return _resident_mib("VmHWM") - before, millis, digest(state, _STEPS)


def _resident_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (x for x in lines if x.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
