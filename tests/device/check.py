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


def devices(place: str) -> Result:
    """What TensorFlow sees, and whether its arithmetic is right."""
    found = _python("tests.device.arithmetic", secs=90)
    if place == "gpu":
        query = "--query-gpu=name,driver_version,memory.total,compute_cap"
        found["nvidia_smi"] = _output(["nvidia-smi", query, "--format=csv,noheader"])
    found["ok"] = found["right"] and (place == "cpu" or bool(found["gpus"]))
    return found


def digits(place: str) -> Result:
    """The default experiment: twice, killed and resumed, and beside a GPU that it must not use."""
    runs = _all(
        {
            "first": lambda: train(place),
            "second": lambda: train(place),
            "killed and resumed": lambda: trainings.killed_and_resumed(place),
            "--strategy=cpu": lambda: train("cpu"),
            "no GPU visible": lambda: train("cpu", environment={"CUDA_VISIBLE_DEVICES": "-1"}),
        }
    )
    on_device = ("first", "second", "killed and resumed")
    on_cpu = ("--strategy=cpu", "no GPU visible")
    equal = _one_digest(runs, on_device) and _one_digest(runs, on_cpu)
    return {"runs": _shown(runs), "ok": equal}


def modes(place: str) -> Result:
    """Each way to compile a step and each precision: one digest, a loss close to the CPU's."""
    wanted: dict[str, Callable[[], Run]] = {}
    for execution in ("graph", "xla_step", "xla_loop"):
        for precision in ("float32", "bfloat16"):
            options = {"execution": execution, "precision": precision}
            name = f"{execution} {precision}"
            wanted[f"{name} 1"] = _later(place, options)
            wanted[f"{name} 2"] = _later(place, options)
            wanted[f"{name} cpu"] = _later("cpu", options)
    runs = _all(wanted)
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


def two_gpus(place: str) -> Result:
    """One card as one replica, and split into two logical ones: equal."""
    wanted: dict[str, Callable[[], Run]] = {}
    for execution in ("graph", "xla_step"):
        options = {"execution": execution}
        wanted[f"{execution} 1"] = _later(place, options)
        wanted[f"{execution} 2"] = lambda options=options: trainings.on_two(place, options)
    runs = _all(wanted)
    equal = [_one_digest(runs, (f"{e} 1", f"{e} 2")) for e in ("graph", "xla_step")]
    replicas = [runs[f"{e} 2"].replicas for e in ("graph", "xla_step")]
    return {"runs": _shown(runs), "replicas": replicas, "ok": all(equal) and replicas == [2, 2]}


def libraries(place: str) -> Result:
    """What a missing and a broken CUDA library say: the exit code and the last line."""
    runs = _all(
        {
            "no library": lambda: train("gpu", environment={"LD_LIBRARY_PATH": ""}),
            "auto, no library": lambda: train("auto", environment={"LD_LIBRARY_PATH": ""}),
            "broken libcudnn": lambda: trainings.with_broken("libcudnn.so.9"),
            "broken libcublas": lambda: trainings.with_broken("libcublas.so.12"),
        }
    )
    return {"runs": _shown(runs), "ok": all(run.last_line for run in runs.values())}


def speed(work: str) -> Callable[[str], Result]:
    """Return the check that compares `work` with the peers, interleaved."""

    def measure(place: str) -> Result:
        peers = OPTIONS.out / "peers"
        for name in ("torch", "jax"):
            _plain_python(peers / name / "bin" / "python")
        file = OPTIONS.out / f"speed-{work}.json"
        command = [
            *(sys.executable, "-m", "benchmarks.speed", "--gpu", f"--works={work}"),
            *(f"--environments={peers}", f"--json={file}", "--rounds=3", "--seconds=1"),
        ]
        said = _output(command, secs=200)
        found = json.loads(file.read_text()) if file.exists() else []
        return {"measured": found, "said": said.splitlines(), "ok": bool(found)}

    return measure


CHECKS: dict[str, Callable[[str], Result]] = {
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
    place = "cpu" if OPTIONS.cpu else "gpu"
    OPTIONS.out.mkdir(parents=True, exist_ok=True)
    file = OPTIONS.out / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    results["when"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    _write(file, results)
    began = time.monotonic()
    for name in OPTIONS.only.split(",") if OPTIONS.only else CHECKS:
        if results.get(name, {}).get("ok"):
            continue
        passed = time.monotonic() - began
        if passed > OPTIONS.seconds:
            print(f"{name}: not run, {passed:.0f} s have passed", flush=True)
            continue
        results[name] = _tried(CHECKS[name], place)
        _write(file, results)
        print(f"{name}: {json.dumps(results[name])[:1500]}", flush=True)


def _write(file: pathlib.Path, results: Result) -> None:
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps(results, indent=1) + "\n")
    partial.rename(file)


def _tried(check: Callable[[str], Result], place: str) -> Result:
    began = time.monotonic()
    try:
        result = check(place)
    except Exception as error:  # the next check may still show something
        result = {"ok": False, "error": f"{type(error).__name__}: {error}"[-600:]}
    return {**result, "seconds": round(time.monotonic() - began, 1)}


def _all(wanted: Mapping[str, Callable[[], Run]]) -> dict[str, Run]:
    """Train all of them, several at once; return how each ended."""
    with concurrent.futures.ThreadPoolExecutor(OPTIONS.at_once) as pool:
        futures = {name: pool.submit(run) for name, run in wanted.items()}
        return {name: future.result() for name, future in futures.items()}


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
    OPTIONS = _options()
    main()
