"""R7: sharded state that workers save together ends Same, killed or not, on any replicas."""

import signal
from pathlib import Path

import pytest

from tests.chaos.harness import STEPS, finish, pair, run, saved_steps

SHARDED = ("--config.optimizer_state=sharded",)


@pytest.mark.slow
def test_two_workers_that_are_killed_end_same(tmp_path: Path, digest: str) -> None:
    workdir = tmp_path / "run"
    with pair(workdir, *SHARDED, failpoints=("checkpoint.before_commit:kill@3", "")) as workers:
        assert workers[0].wait() == 128 + signal.SIGKILL
        assert workers[1].wait() == 201
    assert saved_steps(workdir)[-1] < STEPS
    with pair(workdir, *SHARDED, "--config.checkpoint_every_secs=0.1") as workers:
        codes = [worker.wait() for worker in workers]
        assert codes == [0, 0], [worker.output for worker in workers]
    assert finish(workdir) == digest


@pytest.mark.slow
def test_four_replicas_that_are_killed_go_on_as_one(tmp_path: Path, digest: str) -> None:
    workdir = tmp_path / "run"
    killed = run(workdir, *SHARDED, "--cpu_replicas=4", failpoint="loop.boundary:kill@6")
    assert killed.wait() == 128 + signal.SIGKILL, killed.output
    assert 0 < saved_steps(workdir)[-1] < STEPS
    assert finish(workdir) == digest
