"""R7: 1, 2, 4, 2 and 1 replicas and two processes, one after another within an epoch or so."""

import itertools
from pathlib import Path

import pytest

from tests.chaos.harness import STEPS, audit, finish, must_fail, pair, run, saved_steps

REPLICAS = (1, 2, 4, 2, 1)


def _check_moved(workdir: Path, undisturbed: Path, digest: str, **options: str) -> None:
    log, steps = f"--log_examples={workdir.parent / 'examples'}", [0]
    for replicas in REPLICAS:
        placed = (log, f"--cpu_replicas={replicas}")
        stopped = run(workdir, *placed, failpoint="loop.boundary:term@3", **options)
        assert stopped.wait() == 143, stopped.output
        steps.append(saved_steps(workdir)[-1])
    with pair(workdir, log, failpoints=("", "loop.boundary:term@3"), **options) as workers:
        assert [worker.wait() for worker in workers] == [143, 143], workers[0].output
    steps.append(saved_steps(workdir)[-1])
    assert all(early < late for early, late in itertools.pairwise(steps)), steps
    assert steps[-1] < STEPS
    assert finish(workdir, log, **options) == digest
    assert audit(workdir.parent / "examples") == audit(undisturbed.parent / "examples")
    print(f"moved at steps {steps}")


@pytest.mark.slow
def test_a_run_moves_between_replicas_and_processes(
    tmp_path: Path, undisturbed: Path, digest: str
) -> None:
    _check_moved(tmp_path / "run", undisturbed, digest)


@pytest.mark.slow
def test_sabotage_microbatches_that_follow_the_hardware_are_caught(
    tmp_path: Path, undisturbed: Path, digest: str
) -> None:
    with must_fail():
        _check_moved(
            tmp_path / "run", undisturbed, digest, sabotage="numbers_microbatches_by_replica"
        )
