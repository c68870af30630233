"""The trainer in its image on a real node: whatever ends its pods, the run ends with one digest."""

import json
import os
import signal
from pathlib import Path

import pytest

from launch.kubernetes.backend import KubernetesBackend
from launch.spec.job import JobSpec
from launch.spec.parts import Mount
from launch.spec.status import JobStatus, describe
from tests import processes
from tests.control_plane.daemons import until
from tests.control_plane.standin import IMAGE

pytestmark = [pytest.mark.usefixtures("ready_node"), pytest.mark.slow]
ARGS = (
    "--config=digits",
    "--config.virtual_replicas=2",
    "--config.train_steps=400",
    "--config.checkpoint_every_steps=20",
    "--config.log_every_steps=20",
    "--config.eval_every_steps=400",
)


@pytest.fixture(scope="session")
def local_digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the same run in one process of this machine."""
    return str(processes.summary(tmp_path_factory.mktemp("local"), *ARGS)["state_digest"])


def trainer(namespace: str, name: str, **fields: object) -> JobSpec:
    made = {"workers": 2, "cpus": 1, "memory_gib": 3, "scratch_gib": 2, **fields}
    return JobSpec(
        name=name,
        namespace=namespace,
        args=(*ARGS, f"--workdir=/runs/{name}"),
        image=IMAGE,
        mounts=(Mount("pvc", "runs", "/runs"),),
        **made,
    )


def ended(backend: KubernetesBackend, name: str, secs: float = 420) -> JobStatus:
    until(lambda: backend.status(name).phase in ("succeeded", "failed"), name, secs)
    return backend.status(name)


def digest(workdir: Path) -> str:
    return json.loads((workdir / "summary.json").read_text())["state_digest"]


def until_saved(workdir: Path) -> None:
    until(lambda: len(list(workdir.glob("checkpoints/*"))) > 1, f"{workdir}: not saved", 240)


def process_of(job: str, worker: int) -> int:
    """The number of a worker's process, as this machine sees it."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        is_worker = f"JOB_COMPLETION_INDEX={worker}".encode() in variables
        if is_worker and f"--workdir=/runs/{job}".encode() in words:
            return int(folder.name)
    raise LookupError(f"worker {worker} of {job} has no process")


def test_a_job_ends_with_the_digest_of_one_process(backend, namespace, runs, local_digest, jobset):
    name = f"whole{'-set' if jobset else ''}"
    backend.submit(trainer(namespace, name, jobset=jobset))
    assert ended(backend, name).phase == "succeeded", describe(backend.status(name))
    assert digest(runs / name) == local_digest


def test_a_killed_worker_changes_nothing(backend, namespace, runs, local_digest, jobset):
    name = f"killed{'-set' if jobset else ''}"
    backend.submit(trainer(namespace, name, jobset=jobset))
    until_saved(runs / name)
    os.kill(process_of(name, 1), signal.SIGKILL)
    assert ended(backend, name).phase == "succeeded", describe(backend.status(name))
    assert digest(runs / name) == local_digest
    if not jobset:
        assert "worker 1, attempt 0: exit code 137" in describe(backend.status(name))


def test_a_run_that_kueue_preempts_changes_nothing(backend, namespace, runs, local_digest, queue):
    backend.submit(trainer(namespace, "yields", queue=queue, priority_class="lockstep-low"))
    until_saved(runs / "yields")
    urgent = {"queue": queue, "priority_class": "lockstep-high", "workers": 1, "cpus": 2}
    backend.submit(trainer(namespace, "urgent", **urgent))
    until(lambda: backend.status("yields").phase == "queued", "is not preempted", 120)
    assert ended(backend, "urgent").phase == "succeeded", describe(backend.status("urgent"))
    assert ended(backend, "yields").phase == "succeeded", describe(backend.status("yields"))
    assert {digest(runs / name) for name in ("yields", "urgent")} == {local_digest}
    assert backend.status("yields").restarts == 0
