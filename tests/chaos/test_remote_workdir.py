"""A workdir in a bucket: mirrored with the marker last, restored on a machine that has nothing."""

import json
from collections.abc import Iterator

import pytest

from tests.chaos.harness import TINY, must_fail
from tests.processes import Ended, trainer
from tests.storage.emulator import Emulator, running_emulator
from trainer import storage
from trainer.failpoints import VARIABLE


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running_emulator("runs") as emulator:
        yield emulator


def _run(workdir: str, failpoint: str = "", sabotage: str = "") -> Ended:
    module = ("tests.chaos.sabotaged", sabotage) if sabotage else ("trainer",)
    return trainer(f"--workdir={workdir}", *TINY, environment={VARIABLE: failpoint}, module=module)


def _check_killed(workdir: str, digest: str, sabotage: str = "") -> None:
    killed = _run(workdir, "loop.edge:kill@14")
    assert killed.code == -9, killed.stderr
    older, newest = storage.list_mirrors(f"{workdir}/checkpoints")[-2:]
    storage.write_bytes(f"{newest}/state.npz", b"not what was committed")
    # An interrupted mirror: files, and no marker.
    storage.write_bytes(f"{workdir}/checkpoints/step_000000059/state.npz", b"torn")
    again = _run(workdir, sabotage=sabotage)
    assert again.code == 0, again.stderr
    assert f"skipped a damaged checkpoint: {newest.rpartition('/')[2]}" in again.stderr
    assert f"restored {older.rpartition('/')[2]}" in again.stderr
    summary = json.loads(storage.read_bytes(f"{workdir}/summary.json"))
    assert summary["state_digest"] == digest
    assert len(storage.list_mirrors(f"{workdir}/checkpoints")) == 3


def test_a_killed_run_goes_on_from_the_bucket(emulator: Emulator, digest: str) -> None:
    _check_killed("gs://runs/a/run", digest)
    assert any("/tensorboard/" in name for name in emulator.names("runs"))


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", ["trusts_the_bucket", "forgets_optimizer"])
def test_sabotage_is_caught(emulator: Emulator, digest: str, sabotage: str) -> None:
    with must_fail():
        _check_killed(f"gs://runs/{sabotage}", digest, sabotage)
