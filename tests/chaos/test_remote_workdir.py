"""R13: a workdir in a bucket: mirrored with the marker last, restored where there is nothing."""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.harness import ENDLESS, TINY, must_fail
from tests.processes import ROOT, Ended, cluster, trainer
from tests.storage.emulator import Emulator, running_emulator
from trainer import storage
from trainer.failpoints import VARIABLE

FAULTS = [429, 500, 502, 503, 504, "reset", "lost", "cut"]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running_emulator("runs") as emulator:
        yield emulator


def _run(workdir: str, *args: str, failpoint: str = "", sabotage: str = "") -> Ended:
    module = ("tests.chaos.sabotaged", sabotage) if sabotage else ("trainer",)
    environment = {VARIABLE: failpoint}
    return trainer(f"--workdir={workdir}", *TINY, *args, environment=environment, module=module)


def _digest(workdir: str) -> str:
    return json.loads(storage.read_bytes(f"{workdir}/summary.json"))["state_digest"]


def _check_killed(workdir: str, digest: str, sabotage: str = "") -> None:
    killed = _run(workdir, failpoint="loop.boundary:kill@14")
    assert killed.code == -9, killed.stderr
    older, newest = storage.list_mirrors(f"{workdir}/checkpoints")[-2:]
    storage.write_bytes(f"{newest}/state.npz", b"not what was committed")
    # An interrupted mirror: files, and no marker.
    storage.write_bytes(f"{workdir}/checkpoints/step_000000059/state.npz", b"torn")
    again = _run(workdir, sabotage=sabotage)
    assert again.code == 0, again.stderr
    assert f"skipped a damaged checkpoint: {newest.rpartition('/')[2]}" in again.stderr
    assert f"restored {older.rpartition('/')[2]}" in again.stderr
    assert _digest(workdir) == digest
    assert len(storage.list_mirrors(f"{workdir}/checkpoints")) == 3


def test_a_killed_run_goes_on_from_the_bucket(emulator: Emulator, digest: str) -> None:
    _check_killed("gs://runs/a/run", digest)
    assert any("/tensorboard/" in name for name in emulator.names("runs"))


def test_a_kill_while_the_page_is_drawn_loses_no_summary(emulator: Emulator, digest: str) -> None:
    killed = _run("gs://runs/page", failpoint="loop.before_report:kill")
    assert killed.code == -9, killed.stderr
    assert _digest("gs://runs/page") == digest


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", ["trusts_the_bucket", "forgets_optimizer"])
def test_sabotage_is_caught(emulator: Emulator, digest: str, sabotage: str) -> None:
    with must_fail():
        _check_killed(f"gs://runs/{sabotage}", digest, sabotage)


@pytest.mark.slow
def test_every_worker_restores_from_the_bucket(emulator: Emulator, digest: str) -> None:
    workdir = "gs://runs/workers"
    killed = _run(workdir, failpoint="loop.boundary:kill@14")
    assert killed.code == -9, killed.stderr
    newest = storage.list_mirrors(f"{workdir}/checkpoints")[-1].rpartition("/")[2]
    for worker in cluster(2, [f"--workdir={workdir}", *TINY]):
        assert worker.code == 0, worker.stderr
        assert f"restored {newest}" in worker.stderr
    assert _digest(workdir) == digest


@pytest.mark.slow
def test_a_workdir_of_another_run_in_the_bucket_is_refused(emulator: Emulator) -> None:
    workdir = "gs://runs/foreign"
    assert _run(workdir, "--config.train_steps=6").code == 0
    before = {name: storage.read_bytes(f"gs://runs/{name}") for name in emulator.names("runs")}
    refused = _run(workdir, "--config.train_steps=6", "--config.seed=1")
    assert (refused.code, "seed: 0 -> 1" in refused.last_line) == (78, True), refused.stderr
    assert all(storage.read_bytes(f"gs://runs/{n}") == data for n, data in before.items())


@pytest.mark.slow
def test_a_faulty_store_changes_nothing(emulator: Emulator, digest: str) -> None:
    rng, lock = random.Random(0), threading.Lock()

    def plan(*_: str) -> int | str | None:
        with lock:
            return rng.choice(FAULTS) if rng.random() < 0.3 else None

    workdir = "gs://runs/faulty"
    with emulator.proxy.faults(plan):
        done = _run(workdir, "--config.checkpoint_every_steps=20")
        faults = sum(fault is not None for _, _, fault in emulator.proxy.requests)
    assert done.code == 0, done.stderr
    assert faults > 20
    assert _digest(workdir) == digest
    print(f"{faults} faults in {len(emulator.proxy.requests)} requests")


@pytest.mark.slow
@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_store_that_refuses_ends_the_run_at_once(emulator: Emulator, code: int) -> None:
    """Two seconds from the first refusal, which is met while a call of the inner loop runs."""
    refused: list[float] = []
    training = threading.Event()

    def plan(*_: str) -> int | None:
        if training.is_set():
            refused.append(time.monotonic())
        return code if training.is_set() else None

    command = [sys.executable, "-m", "trainer", f"--workdir=gs://runs/{code}", *TINY, *ENDLESS]
    with (
        emulator.proxy.faults(plan),
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if " step 10/" in line:
                training.set()
        assert process.wait(60) == 78, said
        took = time.monotonic() - refused[0]
    assert said[-1].startswith("bad_config (78): "), said
    assert f"{code} " in said[-1]
    assert took < 2 + 2, took
    print(f"{code}: ended {took:.2f} s after the first refusal, {len(refused)} requests refused")
