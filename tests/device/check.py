"""What a GPU shows and a CPU cannot: digests, speed and messages, in minutes on a lent machine.

    python -m tests.device.check --out=DIR [--only=NAME,...] [--seconds=420] [--cpu]

The checks stand in the order of their worth. Each writes its result into DIR/results.json at once
and has its own time limit; a second start goes on with those that are missing or failed. `--cpu`
runs all of it beside no GPU, to see that the script itself is right.

TensorFlow is found by the environment of this process. PyTorch and JAX, the peers, are those of the
machine's own Python: they are started without the variables that lead to TensorFlow.
"""

import argparse
import concurrent.futures
import dataclasses
import datetime
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.device import trainings
from tests.device.trainings import Run, train

ROOT = pathlib.Path(__file__).parent.parent.parent
SIDE_BY_SIDE = 8
"""Trainings at once: what they end with does not depend on who else uses the card."""
_FOR_TENSORFLOW = ("LD_LIBRARY_PATH", "PYTHONPATH", "XLA_FLAGS", "KERAS_BACKEND")
Result = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Bench:
    """Where the checks run.

    Attributes:
        place: "gpu", or "cpu" where there is none.
        out: folder of the results.
        at_once: trainings side by side.
    """

    place: str
    out: pathlib.Path
    at_once: int

    def train_all(self, wanted: Mapping[str, Callable[[], Run]]) -> dict[str, Run]:
        """Train all of them, several at once; return how each ended."""
        with concurrent.futures.ThreadPoolExecutor(self.at_once) as pool:
            futures = {name: pool.submit(run) for name, run in wanted.items()}
            return {name: future.result() for name, future in futures.items()}


def devices(bench: Bench) -> Result:
    """What TensorFlow sees, and whether its arithmetic is right."""
    found = _python("tests.device.arithmetic", secs=90)
    if bench.place == "gpu":
        query = "--query-gpu=name,driver_version,memory.total,compute_cap"
        found["nvidia_smi"] = _output(["nvidia-smi", query, "--format=csv,noheader"])
    found["ok"] = found["right"] and (bench.place == "cpu" or bool(found["gpus"]))
    return found


def digits(bench: Bench) -> Result:
    """The default experiment: twice, killed and resumed, and beside a GPU that it must not use."""
    runs = bench.train_all(
        {
            "first": lambda: train(bench.place),
            "second": lambda: train(bench.place),
            "killed and resumed": lambda: trainings.killed_and_resumed(bench.place),
            "--strategy=cpu": lambda: train("cpu"),
            "no GPU visible": lambda: train("cpu", environment={"CUDA_VISIBLE_DEVICES": "-1"}),
        }
    )
    on_device = ("first", "second", "killed and resumed")
    on_cpu = ("--strategy=cpu", "no GPU visible")
    equal = _one_digest(runs, on_device) and _one_digest(runs, on_cpu)
    return {"runs": _shown(runs), "ok": equal}


def modes(bench: Bench) -> Result:
    """Each way to compile a step and each precision: one digest, a loss close to the CPU's."""
    wanted: dict[str, Callable[[], Run]] = {}
    for execution in ("graph", "xla_step", "xla_loop"):
        for precision in ("float32", "bfloat16"):
            options = {"execution": execution, "precision": precision}
            name = f"{execution} {precision}"
            wanted[f"{name} 1"] = _later(bench.place, options)
            wanted[f"{name} 2"] = _later(bench.place, options)
            wanted[f"{name} cpu"] = _later("cpu", options)
    runs = bench.train_all(wanted)
    rows = {}
    for name in sorted({n.rpartition(" ")[0] for n in runs}):
        first, cpu = runs[f"{name} 1"], runs[f"{name} cpu"]
        rows[name] = {
            "one_digest": _one_digest(runs, (f"{name} 1", f"{name} 2")),
            "loss": first.loss,
            "loss_on_cpu": cpu.loss,
            "digest": first.digest[:16],
            "failed": [r.last_line for r in (first, runs[f"{name} 2"], cpu) if r.code],
        }
    return {"modes": rows, "ok": all(r["one_digest"] and not r["failed"] for r in rows.values())}


def two_gpus(bench: Bench) -> Result:
    """One card as one replica, and split into two logical ones: equal."""
    wanted: dict[str, Callable[[], Run]] = {}
    for execution in ("graph", "xla_step"):
        options = {"execution": execution}
        wanted[f"{execution} 1"] = _later(bench.place, options)
        wanted[f"{execution} 2"] = lambda options=options: trainings.on_two(bench.place, options)
    runs = bench.train_all(wanted)
    equal = [_one_digest(runs, (f"{e} 1", f"{e} 2")) for e in ("graph", "xla_step")]
    replicas = [runs[f"{e} 2"].replicas for e in ("graph", "xla_step")]
    return {"runs": _shown(runs), "replicas": replicas, "ok": all(equal) and replicas == [2, 2]}


def libraries(bench: Bench) -> Result:
    """What a missing and a broken CUDA library say: the exit code and the last line."""
    runs = bench.train_all(
        {
            "no library": lambda: train("gpu", environment={"LD_LIBRARY_PATH": ""}),
            "auto, no library": lambda: train("auto", environment={"LD_LIBRARY_PATH": ""}),
            "broken libcudnn": lambda: trainings.with_broken("libcudnn.so.9"),
            "broken libcublas": lambda: trainings.with_broken("libcublas.so.12"),
        }
    )
    return {"runs": _shown(runs), "ok": all(run.last_line for run in runs.values())}


def speed(work: str) -> Callable[[Bench], Result]:
    """Return the check that compares `work` with the peers, interleaved."""

    def measure(bench: Bench) -> Result:
        peers = bench.out / "peers"
        for name in ("torch", "jax"):
            _plain_python(peers / name / "bin" / "python")
        file = bench.out / f"speed-{work}.json"
        command = [
            *(sys.executable, "-m", "benchmarks.speed", "--gpu", f"--works={work}"),
            *(f"--environments={peers}", f"--json={file}", "--rounds=3", "--seconds=1"),
        ]
        said = _output(command, secs=200)
        found = json.loads(file.read_text()) if file.exists() else []
        return {"measured": found, "said": said.splitlines(), "ok": bool(found)}

    return measure


CHECKS: dict[str, Callable[[Bench], Result]] = {
    "devices": devices,
    "digits": digits,
    "modes": modes,
    "two_gpus": two_gpus,
    "speed_resnet50": speed("resnet50"),
    "speed_mlp": speed("mlp"),
    "libraries": libraries,
    "speed_transformer": speed("transformer"),
    "speed_cnn": speed("cnn"),
}


def main() -> None:
    options = _options()
    bench = Bench("cpu" if options.cpu else "gpu", options.out, options.at_once)
    bench.out.mkdir(parents=True, exist_ok=True)
    file = bench.out / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    results["when"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    _write(file, results)
    began = time.monotonic()
    for name in options.only.split(",") if options.only else CHECKS:
        if results.get(name, {}).get("ok"):
            continue
        passed = time.monotonic() - began
        if passed > options.seconds:
            print(f"{name}: not run, {passed:.0f} s have passed", flush=True)
            continue
        results[name] = _tried(CHECKS[name], bench)
        _write(file, results)
        print(f"{name}: {json.dumps(results[name])[:1500]}", flush=True)


def _write(file: pathlib.Path, results: Result) -> None:
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps(results, indent=1) + "\n")
    partial.rename(file)


def _tried(check: Callable[[Bench], Result], bench: Bench) -> Result:
    began = time.monotonic()
    try:
        result = check(bench)
    except Exception as error:  # the next check may still show something
        result = {"ok": False, "error": f"{type(error).__name__}: {error}"[-600:]}
    return {**result, "seconds": round(time.monotonic() - began, 1)}


def _later(place: str, options: Mapping[str, str]) -> Callable[[], Run]:
    return lambda: train(place, options)


def _one_digest(runs: Mapping[str, Run], names: tuple[str, ...]) -> bool:
    found = {runs[name].digest for name in names}
    return len(found) == 1 and "" not in found


def _shown(runs: Mapping[str, Run]) -> Result:
    return {name: run.shown() for name, run in runs.items()}


def _python(module: str, secs: float) -> Result:
    return json.loads(_output([sys.executable, "-m", module], secs).splitlines()[-1])


def _output(command: list[str], secs: float = 30) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=secs, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command}: {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def _plain_python(file: pathlib.Path) -> None:
    """Write a Python that does not find the carried TensorFlow nor its CUDA libraries."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ["#!/bin/sh", f"unset {' '.join(_FOR_TENSORFLOW)}"]
    lines += ["export XLA_PYTHON_CLIENT_PREALLOCATE=false", f'exec {sys.executable} "$@"']
    file.write_text("\n".join(lines) + "\n")
    file.chmod(0o755)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--only", default="", help=f"of {', '.join(CHECKS)}; all")
    parser.add_argument("--seconds", type=float, default=420, help="no check begins after them")
    parser.add_argument("--cpu", action="store_true", help="where there is no GPU")
    parser.add_argument("--at_once", type=int, default=min(SIDE_BY_SIDE, os.cpu_count() or 1))
    return parser.parse_args()


if __name__ == "__main__":
    main()
