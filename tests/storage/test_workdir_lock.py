"""One run at a time in a workdir, on a disk and in a bucket; a dead one is taken over."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.processes import ROOT
from tests.storage.emulator import Emulator
from tests.storage.lock_holder import STALE_SECS
from trainer import storage
from trainer.run import workdir_lock

HOLDER = Path(__file__).with_name("lock_holder.py")
LONG = 60.0


class Rivals:
    """Runs that want one workdir.

    Attributes:
        where: the workdir.
        log: where each writes its name at every write.
    """

    def __init__(self, where: str, log: Path) -> None:
        self.where, self.log = where, log
        self.started: list[subprocess.Popen[str]] = []

    def start(self, name: str, space: str = "", job: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, str(HOLDER), self.where, str(self.log), name, space, job]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
        )
        self.started.append(process)
        return process

    def tell(self, word: str, name: str) -> None:
        Path(f"{self.log}.{word}-{name}").touch()

    def writers(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def until(self, name: str) -> None:
        """Waits until this one writes."""
        before, deadline = len(self.writers()), time.monotonic() + LONG
        while name not in self.writers()[before:]:
            assert time.monotonic() < deadline, [process.poll() for process in self.started]
            time.sleep(0.05)


@pytest.fixture(params=["disk", "bucket"])
def rivals(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rivals]:
    where = str(tmp_path / "run")
    if request.param == "bucket":
        where = f"{request.getfixturevalue('bucket')}/run"
    found = Rivals(where, tmp_path / "log")
    yield found
    for process in found.started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


def refusal(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=LONG)
    assert process.returncode == ExitCode.BAD_CONFIG, out
    assert out.count("\n") == 1
    return out


@pytest.mark.parametrize("space", ["", "elsewhere"])
def test_the_second_run_is_refused_by_the_name_of_the_first(rivals, space):
    first = rivals.start("first", job="team/run")
    rivals.until("first")
    said = refusal(rivals.start("second", space))
    assert f"--workdir={rivals.where} is in use by the run of job team/run/0, process" in said
    assert str(first.pid) in said
    rivals.until("first")
    assert "second" not in rivals.writers()
    rivals.tell("end", "first")
    assert first.wait(LONG) == 0
    third = rivals.start("third", space)
    rivals.until("third")
    rivals.tell("end", "third")
    assert third.wait(LONG) == 0


def test_after_a_kill_the_next_run_here_goes_on_at_once(rivals):
    first = rivals.start("first")
    rivals.until("first")
    first.kill()  # and not waited for: what nobody has asked for is over all the same
    started = time.monotonic()
    with workdir_lock.held(rivals.where, stale_secs=LONG):
        assert time.monotonic() - started < LONG / 2


def test_after_a_kill_on_another_machine_it_is_taken_over_in_silence_and_no_earlier(rivals):
    first = rivals.start("first")
    rivals.until("first")
    first.kill()
    killed = time.monotonic()
    rivals.start("second", "elsewhere")
    rivals.until("second")
    assert time.monotonic() - killed > STALE_SECS


def test_a_frozen_owner_is_taken_over_and_writes_nothing_when_it_wakes(rivals):
    first = rivals.start("first")
    rivals.until("first")
    rivals.tell("freeze", "first")
    rivals.start("second")  # on the same machine: it is seen to be frozen, not at work
    rivals.until("second")
    before = rivals.writers().count("first")
    first.send_signal(signal.SIGCONT)
    said = refusal(first)
    assert "was taken over by a run, process" in said
    assert rivals.writers().count("first") == before
    rivals.until("second")


def test_a_restart_of_the_same_job_waits_for_nobody(rivals):
    first = rivals.start("first", job="team/run")
    rivals.until("first")
    rivals.start("restart", "elsewhere", job="team/run")
    rivals.until("restart")
    assert "taken over" in refusal(first)
    written = rivals.writers()
    assert "first" not in written[written.index("restart") + 100 :]


def test_of_many_rivals_for_a_dead_one_exactly_one_writes(rivals):
    first = rivals.start("first")
    rivals.until("first")
    first.kill()
    names = [f"rival-{index}" for index in range(4)]
    others = [rivals.start(name, name) for name in names]
    deadline = time.monotonic() + LONG
    while sum(process.poll() is None for process in others) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(set(rivals.writers()) - {"first"}) == 1


def test_what_was_never_claimed_twice_leaves_nothing(
    tmp_path: Path, bucket: str, emulator: Emulator
):
    with workdir_lock.held(str(tmp_path / "run")):
        assert [path.name for path in (tmp_path / "run" / "lock").iterdir()] == ["00000001.json"]
    assert list(tmp_path.iterdir()) == []
    with workdir_lock.held(f"{bucket}/run"):
        assert emulator.names(bucket.removeprefix("gs://")) == ["run/lock/00000001.json"]
    assert emulator.names(bucket.removeprefix("gs://")) == []


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path):
    where = str(tmp_path / "run[1]*")
    with (
        workdir_lock.held(where),
        pytest.raises(RunError, match="is in use by a run"),
        workdir_lock.held(where),
    ):
        pass
    with workdir_lock.held(where):
        pass


def test_a_file_is_made_once_though_its_answer_was_lost(bucket: str, emulator: Emulator, retry):
    assert storage.create_bytes(f"{bucket}/claim", b"mine", retry=retry)
    assert not storage.create_bytes(f"{bucket}/claim", b"theirs", retry=retry)
    assert storage.create_bytes(f"{bucket}/claim", b"mine", retry=retry)
    assert storage.read_bytes(f"{bucket}/claim") == b"mine"


def test_a_workdir_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(RunError, match="cannot write") as refused,
        workdir_lock.held(str(tmp_path / "file" / "run")),
    ):
        pass
    assert refused.value.code is ExitCode.BAD_CONFIG
