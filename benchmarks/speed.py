"""Steps per second against other frameworks on the same work, interleaved.

    python -m benchmarks.speed --works=mlp,mlp_dropout,cnn --environments=.venv/peers
        [--only=NAME,...] [--rounds=5] [--seconds=1.5] [--json=FILE]

Every contender is a process with an environment of its own (`benchmarks/peers/install.sh`). All
start one after another, warm up and wait; then each runs for a moment in turn, round by round.
Shown are the median of the rounds, their spread, the CPU time of all threads a step takes (which a
busy machine changes least), the time from process start to the end of the first step, and the peak
memory after the warm-up.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent
# name -> (environment, module, arguments after the work)
CONTENDERS = {
    "lockstep graph": ("", "lockstep", ["graph"]),
    "lockstep graph, 2 threads": ("", "lockstep", ["graph", "float32", "2"]),
    "lockstep xla_loop": ("", "lockstep", ["xla_loop"]),
    "lockstep xla_loop, 2 threads": ("", "lockstep", ["xla_loop", "float32", "2"]),
    "lockstep graph, bfloat16": ("", "lockstep", ["graph", "bfloat16"]),
    "Keras fit": ("", "keras_fit", ["1"]),
    "Keras fit, 50 steps a call": ("", "keras_fit", ["50"]),
    "bare tf.function": ("", "tensorflow_loop", ["bare"]),
    "Orbit": ("orbit", "tensorflow_loop", ["orbit"]),
    "PyTorch": ("torch", "pytorch", ["loop"]),
    "Lightning": ("torch", "pytorch", ["lightning"]),
    "JAX scan": ("jax", "jax_scan", []),
}


class Contender:
    """One process, warmed up."""

    def __init__(self, name: str, work: str, environments: pathlib.Path) -> None:
        self.name = name
        folder, module, arguments = CONTENDERS[name]
        python = str(environments / folder / "bin/python") if folder else sys.executable
        self._process = subprocess.Popen(
            [python, "-m", f"benchmarks.peers.{module}", work, *arguments],
            cwd=ROOT,
            env={**os.environ, "STARTED": str(time.time()), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.facts = {**self._answer(), **self._answer()}
        self.rates: list[float] = []
        self.cpu_ms: list[float] = []

    def run(self, seconds: float) -> None:
        """Measure for so long."""
        assert self._process.stdin
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        found = self._answer()
        self.rates.append(found["steps_per_second"])
        self.cpu_ms.append(found["cpu_ms_per_step"])

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)

    def result(self) -> dict[str, Any]:
        """Return the median and spread of the rounds, and what was seen at the start."""
        middle = statistics.median(self.rates)
        spread = [round(min(self.rates), 1), round(max(self.rates), 1)]
        facts = {key: round(value, 1) for key, value in self.facts.items()}
        cpu_ms = round(statistics.median(self.cpu_ms), 3)
        rate = round(middle, 1)
        return {"steps_per_second": rate, "spread": spread, "cpu_ms": cpu_ms, **facts}

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        raise SystemExit(f"{self.name}: ended with {self._process.wait()}")


def compare(
    work: str, names: list[str], environments: pathlib.Path, rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Return name -> what was measured."""
    with contextlib.ExitStack() as stack:
        contenders = []
        for name in names:
            contenders.append(Contender(name, work, environments))
            stack.callback(contenders[-1].close)
        for _ in range(rounds):
            for contender in contenders:
                contender.run(seconds)
        return {contender.name: contender.result() for contender in contenders}


def table(work: str, results: dict[str, dict[str, Any]]) -> str:
    """Return the results of one work as a Markdown table, the fastest first."""
    base = results.get("Keras fit", next(iter(results.values())))["steps_per_second"]
    lines = [
        f"\n**{work}**\n",
        "| contender | steps/s | spread | x fit | CPU ms/step | first step, s | peak, MiB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, found in sorted(results.items(), key=lambda x: -x[1]["steps_per_second"]):
        rate, (low, high) = found["steps_per_second"], found["spread"]
        lines.append(
            f"| {name} | {rate:,.0f} | {low:,.0f}-{high:,.0f} | {rate / base:.2f} "
            f"| {found['cpu_ms']:.2f} | {found['first_step_secs']:.1f} | {found['peak_mib']:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", default="mlp,mlp_dropout,cnn")
    parser.add_argument("--environments", type=pathlib.Path, default=pathlib.Path(".venv/peers"))
    parser.add_argument("--only", default=",".join(n.replace(",", ";") for n in CONTENDERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--json", type=pathlib.Path)
    flags = parser.parse_args()
    names = [name.replace(";", ",") for name in flags.only.split(",")]
    found = {}
    for work in flags.works.split(","):
        load = os.getloadavg()[0]
        found[work] = compare(work, names, flags.environments, flags.rounds, flags.seconds)
        print(table(work, found[work]) + f"\n\nLoad average before: {load:.1f}", flush=True)
    if flags.json:
        flags.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
