"""What no GPU computes in one order is refused by name, before the first step."""

import json
import pathlib
import subprocess
import sys

import pytest

from common.exit_codes import ExitCode
from tests.processes import ROOT, trainer

HISTOGRAM = ROOT / "tests" / "entry" / "planted_histogram.py"
REFUSED = {
    "bincount": ["DenseBincount"],
    "contrast": ["AdjustContrastv2"],
    "nearest": ["ResizeNearestNeighborGrad"],
    "crop": ["CropAndResizeGradBoxes", "CropAndResizeGradImage"],
    "dilation": ["Dilation2DBackpropFilter", "Dilation2DBackpropInput"],
    "argmax": ["MaxPoolGradWithArgmax"],
    "quantised": ["FakeQuantWithMinMaxVarsGradient"],
    "sparse": ["SparseTensorDenseMatMul"],
    "frozen": ["FusedBatchNormGradV3"],
    "raw": ["SparseSoftmaxCrossEntropyWithLogits"],
    "column": ["Svd"],
    "nested": ["DenseBincount"],
}
# Runs the trainer as if the CPU next to it were a GPU: what is traced is the same.
AS_ON_GPU = (
    "import sys; from trainer import __main__ as trainer; from trainer.cluster import strategy\n"
    "strategy.uses_gpu = lambda: True; sys.exit(trainer.main(['trainer', *sys.argv[1:]]))"
)


def audit(what: str) -> dict[str, list[str]]:
    command = [sys.executable, "-m", "tests.engine.gpu_audit", what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_each_operation_without_a_deterministic_kernel_is_found_and_no_other():
    found = audit("planted")
    assert found["every change and metric"] == []
    assert {name: types for name, types in found.items() if types} == REFUSED


@pytest.mark.slow  # its fast cut: tests/conformance trains every part through the same check
def test_every_experiment_that_ships_could_run_on_a_gpu():
    assert not {name: types for name, types in audit("shipped").items() if types}


def test_the_run_names_the_operation_and_the_line_before_its_first_step(tmp_path: pathlib.Path):
    folder = tmp_path / "run"
    args = [f"--config={HISTOGRAM}", f"--workdir={folder}"]
    done = subprocess.run(
        [sys.executable, "-c", AS_ON_GPU, *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.BAD_CONFIG, done.stderr
    line = 1 + next(
        i for i, text in enumerate(HISTOGRAM.read_text().splitlines()) if "is named" in text
    )
    for part in ("DenseBincount", f"{HISTOGRAM}:{line}", "tf.one_hot"):
        assert part in done.stderr.splitlines()[-1]
    assert not list(folder.glob("checkpoints/*"))
    assert trainer(*args).code == 0, "the CPU has a kernel for it"
