"""How the memory of one process grows with the models that `train()` has trained in it.

    python -m benchmarks.many_models [--models=40] [--execution=graph,xla_step,xla_loop]

Every model is another one: an MLP on the digits with a hidden layer of its own width, trained for
two steps. Each mode is a process of its own. The first models are not counted: they pay for what
TensorFlow loads once.
"""

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

_WARM_UP, _STEPS = 8, 2


def main() -> None:
    """Measure every mode in a process of its own; as one of them, print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--execution", default="graph,xla_step,xla_loop")
    options = parser.parse_args()
    modes = options.execution.split(",")
    if len(modes) == 1:
        first, last = _resident_mib(modes[0], options.models)
        growth = (last - first) / options.models
        print(f"| {modes[0]} | {options.models} | {first:.0f} | {last:.0f} | {growth:.2f} |")
        return
    print("| execution | models | MiB before | MiB after | MiB a model |\n|---|--:|--:|--:|--:|")
    for mode in modes:
        command = [sys.executable, "-m", "benchmarks.many_models", f"--models={options.models}"]
        done = subprocess.run(
            [*command, f"--execution={mode}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr)
        print(done.stdout.splitlines()[-1], flush=True)


def _resident_mib(execution: str, models: int) -> tuple[float, float]:
    """Return the resident memory after the first models, and after as many more."""
    from trainer import train  # the parent starts without TensorFlow
    from trainer.config import ModelConfig, experiment_file

    config = dataclasses.replace(
        experiment_file.load("digits"), execution=execution, epochs=0, train_steps=_STEPS
    )
    found = []
    for width in range(16, 16 + _WARM_UP + models):
        model = ModelConfig("mlp", {"hidden": [width]})
        with tempfile.TemporaryDirectory() as workdir:
            train(dataclasses.replace(config, model=model), workdir)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        found.append(pages * 4096 / 2**20)
    return found[_WARM_UP - 1], found[-1]


if __name__ == "__main__":
    main()
