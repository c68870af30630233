"""The manifests under k8s/: rendered here, compared in the tests. `make manifests` writes them."""

import sys
from pathlib import Path

from launch.render import manifest, permissions
from launch.spec import documents
from launch.spec.job import JobSpec

_VERSION = "0.1.0"
_HEADER = "# Rendered by `make manifests`; change launch/render/examples.py, not this file.\n"


def _spec(name: str, flavour: str, *args: str, **fields: object) -> JobSpec:
    trainer = ("--config=digits", f"--workdir=gs://BUCKET/{name}", *args)
    return JobSpec(name=name, args=trainer, image=f"lockstep:{_VERSION}-{flavour}", **fields)  # type: ignore[arg-type] # fields of JobSpec, checked when it is rendered


def _trial(index: int, rate: str) -> tuple[str, ...]:
    workdir = f"--workdir=gs://BUCKET/sweep/trial-{index}"
    return (f"--config.optimizer.learning_rate={rate}", workdir)


EXAMPLES: dict[str, JobSpec] = {
    spec.name: spec
    for spec in (
        _spec("cpu-smoke", "cpu", "--config.epochs=1", workers=2),
        _spec("gpu-1", "gpu", accelerator="l4", devices_per_worker=1),
        _spec(
            "gpu-8", "gpu", "--config.virtual_replicas=8", accelerator="h100", devices_per_worker=8
        ),
        _spec(
            "gpu-4x8",
            "gpu",
            "--config.virtual_replicas=32",
            accelerator="h100",
            devices_per_worker=8,
            workers=4,
        ),
        _spec(
            "tpu-v5e-host", "tpu", "--config.virtual_replicas=8", accelerator="v5e", topology="2x4"
        ),
        _spec(
            "tpu-v5e-slice",
            "tpu",
            "--config.virtual_replicas=16",
            accelerator="v5e",
            topology="4x4",
        ),
        _spec(
            "tpu-v6e-slice",
            "tpu",
            "--config.virtual_replicas=32",
            accelerator="v6e",
            topology="4x8",
        ),
        _spec(
            "sweep",
            "cpu",
            trials=tuple(
                _trial(index, rate) for index, rate in enumerate(("0.1", "0.01", "0.001"))
            ),
            parallel_trials=3,
        ),
        _spec(
            "kueue",
            "gpu",
            accelerator="a100-80",
            devices_per_worker=4,
            queue="training",
            spot=True,
        ),
        _spec("jobset", "cpu", workers=2, jobset=True),
    )
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
