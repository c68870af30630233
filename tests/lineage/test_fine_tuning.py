"""Fine-tuning in two phases is two short configs: a frozen base, then all at lower rates."""

import json
import pathlib

import numpy as np
import pytest

from tests.processes import summary

HERE = pathlib.Path(__file__).parent
QUICK = ("--config.dataset.train_split=train[:64]", "--config.dataset.eval_split=")


def state(workdir: pathlib.Path, step: int) -> dict[str, np.ndarray]:
    with np.load(workdir / "checkpoints" / f"step_{step:09d}" / "state.npz") as arrays:
        names = {name: name.replace("%2F", "/") for name in arrays.files}
        return {n: arrays[name] for name, n in names.items() if n.startswith("main/")}


def moved(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    paths = {name.partition("/")[2].partition("/")[2]: name for name in after}
    return {path for path, n in paths.items() if not np.array_equal(before[n], after[n])}


@pytest.mark.timeout(900)
def test_two_phases(tmp_path: pathlib.Path) -> None:
    base, one, two = tmp_path / "base", tmp_path / "one", tmp_path / "two"
    phase_one, phase_two = (f"--config={HERE / name}.py" for name in ("phase_one", "phase_two"))
    whole = ("--config.model.args.trains_base=true", "--config.init.from=", *QUICK)
    summary(base, phase_one, *whole, "--config.init.exclude=[]")

    summary(one, phase_one, *QUICK, f"--config.init.from={base}", "--cpu_replicas=2")
    given, started, ended = state(base, 4), state(one, 0), state(one, 4)
    assert moved(given, started) == {"head/kernel", "head/bias"}  # as the seed makes them
    # Batch statistics as well, bit for bit: a frozen base is the one that was given.
    assert moved(started, ended) == {"head/kernel", "head/bias"}

    end = summary(two, phase_two, *QUICK, f"--config.init.from={one}")
    started, tuned = state(two, 0), state(two, 4)
    assert moved(ended, started) == set()
    assert len(moved(started, tuned)) > 100
    kernels = {n: np.abs(tuned[n] - started[n]).max() for n in tuned if n.endswith("/kernel")}
    slow = [distance for name, distance in kernels.items() if "/conv" in name]
    (fast,) = (distance for name, distance in kernels.items() if "/head/" in name)
    # Four updates of adam, each by its rate at most.
    assert max(slow) < 5e-5
    assert fast > 1.5e-4
    ancestors = [ancestor["digest"] for ancestor in end["parent"]["ancestors"]]
    assert ancestors == [json.loads((base / "summary.json").read_text())["state_digest"]]
