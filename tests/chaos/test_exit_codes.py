"""R19: injected failures, each with the exact code of the table and one line that names it."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from common.exit_codes import ExitCode
from launch.spec.exit_policy import Verdict, judge_exit
from tests.chaos.harness import ENDLESS, Worker, ended, must_fail, pair, run
from tests.data.shards import FEATURES, write_shards
from tests.processes import free_ports


def _bad_flag(workdir: Path) -> Worker:
    return run(workdir, "--no_such_flag=1")


def _bad_field(workdir: Path) -> Worker:
    return run(workdir, "--config.train_step=1")


def _bad_cluster(workdir: Path) -> Worker:
    return run(workdir, cluster=["localhost"])


def _damaged_data(workdir: Path) -> Worker:
    pattern = write_shards(workdir.parent / "data", [40, 40])
    shard = workdir.parent / "data" / "train-1.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-7])
    return run(
        workdir, f"--config.dataset.name={pattern}", "--config.dataset.eval_split=",
        f"--config.dataset.args={json.dumps({'features': FEATURES})}", "--config.plateau.metric=",
    )  # fmt: skip


def _damaged_checkpoints(workdir: Path) -> Worker:
    run(workdir, failpoint="loop.boundary:kill@8")
    for state in (workdir / "checkpoints").glob("*/state.npz"):
        state.write_bytes(b"")
    return run(workdir)


def _diverged(workdir: Path) -> Worker:
    steps = json.dumps(list(range(20, 60)))
    return run(workdir, "--config.task.name=tests.chaos.poison:Poisoned",
               f"--config.task.args.steps={steps}")  # fmt: skip


def _own_bug(workdir: Path) -> Worker:
    return run(workdir, "--config.loss.name=operator:truediv")


def _another_model(workdir: Path) -> Worker:
    run(workdir, failpoint="loop.boundary:kill@8")
    return run(workdir, "--config.model.args.hidden=[17]")


def _full_disk(workdir: Path) -> Worker:
    return run(workdir, failpoint="checkpoint.write:enospc@9")


def _failing_disk(workdir: Path) -> Worker:
    return run(workdir, failpoint="checkpoint.write:eio@9")


def _told_to_stop(workdir: Path) -> Worker:
    return run(workdir, failpoint="loop.boundary:term@8")


def _lost_peer(workdir: Path) -> Worker:
    with pair(workdir, *ENDLESS, failpoints=("", "loop.boundary:kill@8")) as workers:
        workers[0].wait()
    return workers[0]


def _missing_peer(workdir: Path) -> Worker:
    cluster = [f"localhost:{port}" for port in free_ports(2)]
    return run(workdir, "--startup_deadline_secs=3", cluster=cluster)


def _hang(workdir: Path) -> Worker:
    return run(workdir, "--hang_deadline_secs=15", failpoint="evaluate.boundary:hang")


def _broken_card(workdir: Path) -> Worker:
    return run(workdir, sabotage="has_a_broken_card")


def _uncompiled(workdir: Path) -> Worker:
    return run(workdir, sabotage="does_not_compile")


def _interrupted(workdir: Path) -> Worker:
    with ended(Worker(workdir, *ENDLESS)) as worker:
        worker.wait_for("step 5/")
        worker.send(signal.SIGINT)
        worker.wait()
    return worker


FAILURES: dict[str, tuple[Callable[[Path], Worker], ExitCode, str]] = {
    "bad flag": (_bad_flag, ExitCode.BAD_FLAG, "no_such_flag"),
    "bad field": (_bad_field, ExitCode.BAD_CONFIG, "did you mean 'train_steps'"),
    "bad cluster": (_bad_cluster, ExitCode.BAD_CONFIG, "TF_CONFIG"),
    "damaged data": (_damaged_data, ExitCode.BAD_DATA, "train-1.tfrecord"),
    "damaged checkpoints": (_damaged_checkpoints, ExitCode.BAD_DATA, "no checkpoint is whole"),
    "diverged": (_diverged, ExitCode.BUG, "config.max_rollbacks=2"),
    "own bug": (_own_bug, ExitCode.BUG, "must have the same dtype"),
    "another model": (_another_model, ExitCode.BAD_CONFIG, "model.args.hidden"),
    "full disk": (_full_disk, ExitCode.BAD_CONFIG, "No space left on device"),
    "failing disk": (_failing_disk, ExitCode.TRANSIENT, "Input/output error"),
    "told to stop": (_told_to_stop, ExitCode.STOPPED, "the same command goes on"),
    "interrupted": (_interrupted, ExitCode.STOPPED, "the same command goes on"),
    "lost peer": (_lost_peer, ExitCode.PEER_LOST, "worker 1 of 2"),
    "missing peer": (_missing_peer, ExitCode.HANG, "worker 1 of 2"),
    "broken card": (_broken_card, ExitCode.TRANSIENT, "CUDA_ERROR_ECC_UNCORRECTABLE"),
    "not compiled": (_uncompiled, ExitCode.BUG, "RET_CHECK failure"),
    "hang": (_hang, ExitCode.HANG, "--hang_deadline_secs"),
}


def _check_code(workdir: Path, failure: str) -> None:
    inject, code, words = FAILURES[failure]
    worker = inject(workdir)
    assert worker.wait() == code, worker.output
    assert worker.last_line.startswith(f"{code.name.lower()} ({int(code)}): "), worker.output
    assert words in worker.last_line
    may_retry = judge_exit(worker.wait()) in (Verdict.IGNORE, Verdict.COUNT)
    assert may_retry == code.retriable == (worker.wait() >= 128)


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES)
def test_every_failure_has_its_code(tmp_path: Path, failure: str) -> None:
    _check_code(tmp_path / "run", failure)


def test_sabotage_another_code_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAILURES, "bad flag", (_bad_field, ExitCode.BAD_FLAG, ""))
    with must_fail():
        _check_code(tmp_path / "run", "bad flag")
