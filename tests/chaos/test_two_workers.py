"""R3, R4, R5: two real worker processes; one is told to stop, dies, or freezes."""

import contextlib
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.harness import ENDLESS, STEPS, Worker, ended, finish, must_fail, pair, saved_steps
from tests.processes import free_ports

DEADLINE = 40


def _check_stopped_together(workdir: Path, **options: str) -> None:
    with pair(workdir, failpoints=("", "loop.boundary:term@8"), **options) as workers:
        codes = [worker.wait() for worker in workers]
    assert codes == [143, 143], [worker.output for worker in workers]
    steps = {re.search(r"after step (\d+)", worker.last_line)[1] for worker in workers}
    assert len(steps) == 1
    assert saved_steps(workdir)[-1] == int(steps.pop())
    for worker in workers:
        assert "Traceback" not in worker.output
        assert worker.last_line.startswith("stopped (143)"), worker.output


def test_both_stop_after_the_same_step(tmp_path: Path, digest: str) -> None:
    _check_stopped_together(tmp_path / "run")
    assert finish(tmp_path / "run") == digest


@pytest.mark.slow
def test_sabotage_a_worker_that_stops_alone_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_stopped_together(tmp_path / "run", sabotage="stops_alone")


def _check_named(workdir: Path, lost: int, **options: str) -> None:
    with pair(workdir, *ENDLESS, **options) as workers:
        workers[0].wait_for("step 10/")
        killed = time.monotonic()
        workers[lost].send(signal.SIGKILL)
        survivor = workers[1 - lost]
        assert survivor.wait(60) == 201, survivor.output
        assert time.monotonic() - killed < 20
    assert survivor.last_line.startswith(f"peer_lost (201): worker {lost} of 2"), survivor.output


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_worker_is_named(tmp_path: Path, lost: int) -> None:
    _check_named(tmp_path / "run", lost)


@pytest.mark.slow
def test_sabotage_a_loss_that_names_nobody_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_named(tmp_path / "run", 1, sabotage="names_nobody")


def test_a_worker_whose_device_fails_says_so_and_is_named_by_the_other(tmp_path: Path) -> None:
    with pair(tmp_path / "run", sabotage="has_a_broken_card_on_worker_1") as workers:
        assert [worker.wait() for worker in workers] == [201, 200], workers[1].output
    lost, failed = (worker.last_line for worker in workers)
    assert lost.startswith("peer_lost (201): worker 1 of 2"), lost
    assert failed.startswith("transient (200): worker 1 of 2"), failed
    assert "CUDA_ERROR_ECC_UNCORRECTABLE" in failed


@pytest.mark.slow
def test_what_does_not_compile_is_a_bug_on_every_worker(tmp_path: Path) -> None:
    with pair(tmp_path / "run", sabotage="does_not_compile") as workers:
        assert [worker.wait() for worker in workers] == [70, 70], workers[1].output
    for index, worker in enumerate(workers):
        assert worker.last_line.startswith(f"bug (70): worker {index} of 2"), worker.output
        assert "RET_CHECK failure" in worker.last_line


def _check_lost_and_restarted(workdir: Path, digest: str, **options: str) -> None:
    with pair(workdir, failpoints=("", "loop.boundary:kill@8")) as workers:
        assert [worker.wait() for worker in workers] == [201, 137]
    with pair(workdir, **options) as workers:
        assert [worker.wait() for worker in workers] == [0, 0], workers[0].output
    assert digest in (workdir / "summary.json").read_text()
    assert saved_steps(workdir)[-1] == STEPS


@pytest.mark.slow
def test_a_lost_worker_costs_at_most_one_interval(tmp_path: Path, digest: str) -> None:
    _check_lost_and_restarted(tmp_path / "run", digest)


@pytest.mark.slow
def test_sabotage_a_restart_that_forgets_is_caught(tmp_path: Path, digest: str) -> None:
    with must_fail():
        _check_lost_and_restarted(tmp_path / "run", digest, sabotage="forgets_optimizer")


def _check_frozen(workdir: Path, frozen: int, **options: str) -> None:
    with pair(workdir, f"--hang_deadline_secs={DEADLINE}", *ENDLESS, **options) as workers:
        workers[0].wait_for("step 10/")
        workers[frozen].send(signal.SIGSTOP)
        survivor = workers[1 - frozen]
        assert survivor.wait(DEADLINE + 5) in (201, 202), survivor.output


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_worker_ends_the_other(tmp_path: Path, frozen: int) -> None:
    _check_frozen(tmp_path / "run", frozen)


@pytest.mark.slow
def test_sabotage_waiting_for_a_frozen_worker_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_frozen(tmp_path / "run", 1, sabotage="waits_for_ever")


def _check_quiet(workdir: Path, **options: str) -> None:
    with pair(workdir, **options) as workers:
        assert [worker.wait() for worker in workers] == [0, 0], workers[0].output
    assert workers[0].last_line.startswith("done: ")
    for worker in workers:
        assert "Traceback" not in worker.output
        assert not re.search(r"^E\d{4} .*(coordination|heartbeat|collective)", worker.output, re.M)


def test_good_run_ends_quietly(tmp_path: Path, digest: str) -> None:
    _check_quiet(tmp_path / "run")
    assert digest in (tmp_path / "run" / "summary.json").read_text()


@pytest.mark.slow
def test_sabotage_a_chief_that_leaves_first_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_quiet(tmp_path / "run", sabotage="leaves_first")


@pytest.mark.slow
def test_a_worker_killed_at_the_rendezvous_is_missed_and_named(tmp_path: Path, digest: str) -> None:
    workdir = tmp_path / "run"
    killed = ("", "rendezvous.listening:kill")
    with pair(workdir, "--startup_deadline_secs=10", failpoints=killed) as workers:
        assert [worker.wait() for worker in workers] == [202, 137], workers[0].output
    assert workers[0].last_line.startswith("hang (202): worker 1 of 2: "), workers[0].output
    with pair(workdir) as workers:
        assert [worker.wait() for worker in workers] == [0, 0], workers[0].output
    assert digest in (workdir / "summary.json").read_text()


def _check_missing(workdir: Path, **options: str) -> None:
    """Nobody else comes; the deadline counts from the first word about it, a second into it."""
    cluster = [f"localhost:{port}" for port in free_ports(2)]
    flag = "--startup_deadline_secs=6"
    with ended(Worker(workdir, flag, cluster=cluster, **options)) as worker:
        worker.wait_for("waiting for worker 1 of 2")
        assert worker.wait(6 - 1 + 2) == 202
    assert worker.last_line.startswith("hang (202): worker 1 of 2: "), worker.output
    assert not workdir.exists()


def test_a_worker_that_never_comes_ends_the_wait(tmp_path: Path) -> None:
    _check_missing(tmp_path / "run")


@pytest.mark.slow
def test_sabotage_a_wait_without_an_end_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_missing(tmp_path / "run", sabotage="meets_without_a_deadline")


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [0, 1])
def test_workers_of_two_workdirs_are_refused(tmp_path: Path, undisturbed: Path, ahead: int) -> None:
    """Each of them, whichever restored the later step; nothing is trained or overwritten."""
    folders = [tmp_path / "here", tmp_path / "there"]
    for folder in folders:
        shutil.copytree(undisturbed, folder)
    shutil.rmtree(folders[1 - ahead] / "checkpoints" / f"step_{STEPS:09d}")
    before = [saved_steps(folder) for folder in folders]
    cluster = [f"localhost:{port}" for port in free_ports(2)]
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(ended(Worker(folder, cluster=cluster, index=index)))
            for index, folder in enumerate(folders)
        ]
        codes = [worker.wait() for worker in workers]
    assert codes == [78, 78], [worker.output for worker in workers]
    for index, worker in enumerate(workers):
        assert f"worker {index} restored step {before[index][-1]}" in worker.last_line
        assert "--workdir must be" in worker.last_line
    assert [saved_steps(folder) for folder in folders] == before


def _check_patient(workdir: Path, sabotage: str) -> None:
    with pair(workdir, "--config.train_steps=24", sabotage=sabotage) as workers:
        assert [worker.wait() for worker in workers] == [0, 0], workers[1].output


@pytest.mark.slow
def test_a_worker_waits_for_a_save_of_the_chief_that_takes_long(tmp_path: Path) -> None:
    """It waits inside a step, and has seen short ones only; so does the chief's next save."""
    _check_patient(tmp_path / "run", "saves_slowly")


@pytest.mark.slow
def test_sabotage_a_worker_that_has_learnt_to_be_impatient_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_patient(tmp_path / "run", "learns_of_everything")
