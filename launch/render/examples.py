"""The manifests under k8s/: rendered here, compared in the tests. `make manifests` writes them."""

import dataclasses
import sys
from pathlib import Path

from launch.render import manifest, permissions
from launch.spec import documents
from launch.spec.job import JobSpec

_VERSION = "0.1.0"
_HEADER = "# Rendered by `make manifests`; change launch/render/examples.py, not this file.\n"


_CPU, _GPU, _TPU = (f"lockstep:{_VERSION}-{flavour}" for flavour in ("cpu", "gpu", "tpu"))


def _microbatches(count: int) -> tuple[str, ...]:
    return (f"--config.virtual_replicas={count}",)


def _trial(index: int, rate: str) -> tuple[str, ...]:
    workdir = f"--workdir=gs://BUCKET/sweep/trial-{index}"
    return (f"--config.optimizer.learning_rate={rate}", workdir)


_SPECS = (
    JobSpec("cpu-smoke", ("--config.epochs=1",), image=_CPU, workers=2),
    JobSpec("gpu-1", image=_GPU, accelerator="l4", devices_per_worker=1),
    JobSpec("gpu-8", _microbatches(8), image=_GPU, accelerator="h100", devices_per_worker=8),
    JobSpec(
        "gpu-4x8",
        _microbatches(32),
        image=_GPU,
        accelerator="h100",
        devices_per_worker=8,
        workers=4,
    ),
    JobSpec("tpu-v5e-host", _microbatches(8), image=_TPU, accelerator="v5e", topology="2x4"),
    JobSpec("tpu-v5e-slice", _microbatches(16), image=_TPU, accelerator="v5e", topology="4x4"),
    JobSpec("tpu-v6e-slice", _microbatches(32), image=_TPU, accelerator="v6e", topology="4x8"),
    JobSpec(
        "sweep",
        image=_CPU,
        trials=tuple(_trial(index, rate) for index, rate in enumerate(("0.1", "0.01", "0.001"))),
        parallel_trials=3,
    ),
    JobSpec(
        "kueue",
        image=_GPU,
        accelerator="a100-80",
        devices_per_worker=4,
        queue="training",
        spot=True,
    ),
    JobSpec("jobset", image=_CPU, workers=2, jobset=True),
    JobSpec("trainjob", image=_CPU, workers=2, trainjob=True, queue="training"),
)
EXAMPLES = {
    spec.name: dataclasses.replace(
        spec, args=("--config=digits", f"--workdir=gs://BUCKET/{spec.name}", *spec.args)
    )
    for spec in _SPECS
}


def files() -> dict[str, str]:
    """Path below k8s/ and text of every rendered file."""
    rendered = {
        f"examples/{name}.yaml": _HEADER + manifest.text(spec) for name, spec in EXAMPLES.items()
    }
    role = permissions.role("submitter", "lockstep")
    return {**rendered, "base/submitter.yaml": _HEADER + documents.dump([role])}


def main(root: Path) -> None:
    """Writes every file below `root`."""
    for path, text in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
