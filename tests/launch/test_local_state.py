"""The state of local jobs holds: dead supervisors, rivals, torn writes, reused numbers."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from local_jobs import finish, is_over, until_over, until_running

from common.exit_codes import RunError
from launch.local import job_folder, supervisor
from launch.local.backend import LocalBackend
from launch.local.job_folder import JobFolder
from launch.local.prepare import prepare


def test_a_dead_supervisor_is_seen_and_its_workers_are_ended(backend, job):
    backend.submit(job("orphan", "*@*:sleep"))
    until_running(backend, "orphan", 1)
    [start] = [e for e in JobFolder(backend._root / "orphan").events() if e["event"] == "start"]
    parent = int(Path(f"/proc/{start['pid']}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (status := backend.status("orphan")).phase != "lost":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not is_over(start["pid"])
    assert f"worker 0 (process {start['pid']}) still runs without it" in status.detail
    assert "launch cancel" in status.detail.partition("submit again")[0]
    backend.cancel("orphan")
    until_over(start["pid"])


def test_a_supervisor_that_left_nobody_behind_says_so(backend, job, tmp_path):
    folder, lock = job_folder.create(
        backend._root, prepare(job("gone"), backend._root), str(tmp_path)
    )
    os.close(lock)
    folder.append("start", worker="worker 0", attempt=0, pid=1, started="1@another-boot")
    detail = backend.status("gone").detail
    assert "and its workers; submit again" in detail
    assert "still runs" not in detail


def test_a_state_folder_that_cannot_be_written_is_one_line(job, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot keep jobs: Not a directory") as refused:
        LocalBackend(tmp_path / "file" / "state").submit(job("never"))
    assert refused.value.code == 64


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a supervisor goes with its process
@pytest.mark.parametrize("unwritten", ["start", "exit"])
def test_a_supervisor_that_cannot_write_leaves_nobody_training(
    backend, job, tmp_path, monkeypatch, unwritten
):
    spec = prepare(job("full", "0@*:exit=0", "1@*:sleep", workers=2), backend._root)
    folder, lock = job_folder.create(backend._root, spec, str(tmp_path))
    append, pids, refused = JobFolder.append, [], []

    def fail_once(folder: JobFolder, event: str, **fields: object) -> None:
        pids.extend([fields["pid"]] if event == "start" else [])
        if event == unwritten and len(pids) == 2 and not refused:
            refused.append(event)
            raise OSError(errno.ENOSPC, "No space left on device")
        append(folder, event, **fields)

    monkeypatch.setattr(JobFolder, "append", fail_once)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    supervisor.main(folder)
    os.close(lock)
    for pid in pids:
        until_over(pid)
    status = backend.status("full")
    assert (status.phase, len(pids)) == ("failed", 2)
    assert "No space left" in status.detail


def test_a_reused_process_number_is_left_alone(backend, job, tmp_path):
    folder, lock = job_folder.create(
        backend._root, prepare(job("reboot"), backend._root), str(tmp_path)
    )
    os.close(lock)
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    bystander = subprocess.Popen(sleeper, start_new_session=True)
    folder.append(
        "start", worker="worker 0", attempt=0, pid=bystander.pid, started="1@another-boot"
    )
    assert backend.status("reboot").phase == "lost"
    backend.delete("reboot")
    time.sleep(0.1)  # a signal would need a moment to be seen
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_name_is_given_to_one_of_many_rivals(backend, job, tmp_path):
    spec, won, refused = prepare(job("wanted"), backend._root), [], []

    def claim() -> None:
        try:
            won.append(job_folder.create(backend._root, spec, str(tmp_path)))
        except RunError as error:
            refused.append(error.reason)

    threads = [threading.Thread(target=claim) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [(folder, lock)] = won
    assert len(refused) == 15
    assert "--name=wanted is taken" in refused[0]
    assert folder.spec() == spec
    assert [path.name for path in backend._root.iterdir()] == ["wanted"]
    os.close(lock)


def test_an_unfinished_event_is_not_read(backend, job, tmp_path):
    folder, lock = job_folder.create(
        backend._root, prepare(job("torn"), backend._root), str(tmp_path)
    )
    with (folder.path / "events.jsonl").open("a") as out:
        out.write('{"event": "st')
    assert [event["event"] for event in folder.events()] == ["submitted"]
    os.close(lock)


def test_a_running_job_is_not_deleted(backend, job):
    backend.submit(job("busy", "*@*:sleep"))
    until_running(backend, "busy", 1)
    with pytest.raises(RunError, match="launch cancel busy"):
        backend.delete("busy")
    backend.cancel("busy")
    finish(backend, "busy")
    backend.delete("busy")
    assert backend.statuses() == []
