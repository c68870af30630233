"""The local backend with real processes: the same policy as a cluster, and a state that holds."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import fsspec
import pytest

from common.exit_codes import RunError
from launch.local import job_folder, supervisor
from launch.local.backend import LocalBackend
from launch.local.job_folder import JobFolder
from launch.local.prepare import prepare
from launch.local.supervisor import Supervisor
from launch.local.worker import share_cores


def finish(backend: LocalBackend, name: str, lines: list[str] | None = None):
    out = [].append if lines is None else lines.append
    return backend.follow(name, out, until=time.monotonic() + 30)


def until_running(backend: LocalBackend, name: str, count: int) -> None:
    """Waits until `count` stand-ins listen to signals and the backend says that they run."""
    deadline = time.monotonic() + 15
    ready = Path("runs") / name
    while len(list(ready.glob("started-*"))) < count or not (
        backend.status(name).detail.startswith(f"{count} of")
    ):
        assert time.monotonic() < deadline, backend.status(name)
        time.sleep(0.05)


def is_over(pid: int) -> bool:
    """Whether a process has ended; its parent may not have asked for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until_over(pid: int) -> None:
    deadline = time.monotonic() + 10
    while not is_over(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_get_the_cluster_description_of_a_cluster(backend, job, lines):
    backend.submit(job("pair", "*@*:env=TF_CONFIG", workers=2))
    assert finish(backend, "pair", lines).phase == "succeeded"
    found = {
        line.split("]")[0]: json.loads(line.split("TF_CONFIG=")[1])
        for line in lines
        if "TF_CONFIG=" in line
    }
    first, second = found["[worker 0"], found["[worker 1"]
    assert first["cluster"] == second["cluster"]
    assert len(set(first["cluster"]["worker"])) == 2
    assert first["task"] == {"type": "worker", "index": 0}
    assert second["task"] == {"type": "worker", "index": 1}


def test_one_worker_has_no_cluster(backend, job, lines, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "left over from another job")
    backend.submit(job("alone", "*@*:env=TF_CONFIG"))
    finish(backend, "alone", lines)
    assert "[worker 0] TF_CONFIG=None" in lines


def test_cores_are_shared_out(backend, job, lines):
    backend.submit(job("cores", "*@*:cores", workers=2))
    finish(backend, "cores", lines)
    shown = sorted(line.split("cores=")[1] for line in lines if "cores=" in line)
    assert shown == sorted(str(sorted(share)) for share in share_cores(2))


def test_a_killed_worker_restarts_the_job_and_is_counted(backend, job, lines):
    backend.submit(job("killed", "1@0:kill", "0@0:exit=201", workers=2))
    status = finish(backend, "killed", lines)
    assert (status.phase, status.restarts) == ("succeeded", 1)
    assert any("exit code 137: killed by SIGKILL" in line for line in lines)
    assert "[launch] restart 1 of 3" in lines


def test_a_worker_killed_from_outside_restarts(backend, job):
    backend.submit(job("outside", "*@0:sleep", workers=1))
    until_running(backend, "outside", 1)
    start = next(e for e in JobFolder(backend._root / "outside").events() if e["event"] == "start")
    os.kill(start["pid"], signal.SIGKILL)
    status = finish(backend, "outside")
    assert (status.phase, status.restarts) == ("succeeded", 1)


def test_a_bad_config_fails_at_once(backend, job):
    backend.submit(
        job("bad", "0@*:print=learning_rate=-1 must be > 0", "0@*:exit=78", "1@*:sleep", workers=2)
    )
    status = finish(backend, "bad")
    assert (status.phase, status.restarts) == ("failed", 0)
    assert "exit code 78: bad config" in str(status.first_failure)
    assert status.first_failure.worker == "worker 0"
    assert status.first_failure.last_lines == ("learning_rate=-1 must be > 0",)


def test_a_stop_is_restarted_and_not_counted(backend, job, lines):
    backend.submit(job("evicted", "*@0:exit=143", "*@1:exit=143", workers=2, max_restarts=0))
    status = finish(backend, "evicted", lines)
    assert (status.phase, status.restarts) == ("succeeded", 0)
    assert lines.count("[launch] restart (not counted)") == 2


def test_a_worker_that_was_told_to_stop_is_not_judged(backend, job, tmp_path):
    script = ("0@0:exit=143", "1@0:onterm=1", "1@0:sleep")
    spec = prepare(job("told", *script, workers=2, max_restarts=0), backend._root)
    folder, lock = job_folder.create(backend._root, spec, str(tmp_path))
    assert Supervisor(folder, peer_grace_secs=0.5).run() == "succeeded"
    os.close(lock)


def test_restarts_are_capped(backend, job):
    backend.submit(job("flaky", "*@*:exit=200", max_restarts=1))
    status = finish(backend, "flaky")
    assert (status.phase, status.restarts) == ("failed", 1)
    assert "--max_restarts=1" in status.detail


def test_cancel_lets_the_workers_save(backend, job, lines):
    backend.submit(job("stop", "*@*:sleep", workers=2))
    until_running(backend, "stop", 2)
    backend.cancel("stop")
    assert finish(backend, "stop", lines).phase == "cancelled"
    codes = [e["code"] for e in JobFolder(backend._root / "stop").events() if e["event"] == "exit"]
    assert codes == [143, 143]


def test_a_worker_that_ignores_sigterm_is_killed_after_the_grace(backend, tmp_path, job):
    program = (
        "import pathlib, signal, time; signal.signal(15, signal.SIG_IGN); "
        "pathlib.Path('deaf').touch(); time.sleep(60)"
    )
    spec = dataclasses.replace(
        job("stubborn", grace_secs=1), command=(sys.executable, "-c", program)
    )
    backend.submit(spec)
    while not Path("deaf").exists():
        time.sleep(0.05)
    backend.cancel("stubborn")
    assert finish(backend, "stubborn").phase == "cancelled"


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
    assert "launch cancel" in status.detail.partition("submit again")[0]
    backend.cancel("orphan")
    until_over(start["pid"])


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


def test_a_sweep_retries_each_trial_for_itself(backend, job, monkeypatch):
    trials = tuple((f"--config.rate={i}", f"--workdir=out/trial-{i}") for i in range(3))
    backend.submit(
        job("grid", "1@0:kill", "2@*:exit=78", "--workdir=out", trials=trials, parallel_trials=2)
    )
    status = finish(backend, "grid")
    assert status.phase == "failed"
    assert status.restarts == 1
    monkeypatch.chdir("/")  # the workdirs are those of the folder in which the job was submitted
    trials = backend.report("grid").trials
    assert [line.split(maxsplit=2)[2] for line in trials[:2]] == ["done accuracy=0.5"] * 2
    assert "exit code 78" in trials[2]


def test_a_failed_sweep_names_a_trial_that_failed_for_good(backend, job):
    trials = tuple((f"--workdir=runs/mixed/{i}",) for i in range(2))
    backend.submit(job("mixed", "0@0:kill", "1@*:exit=78", trials=trials))
    status = finish(backend, "mixed")
    assert (status.phase, status.first_failure.worker) == ("failed", "trial 1")
    assert status.first_failure.exit_code == 78


def test_the_results_of_trials_are_read_from_a_bucket(backend, job):
    backend.submit(job("remote", trials=(("--workdir=memory://lockstep-sweep/trial-0",),)))
    with fsspec.open("memory://lockstep-sweep/trial-0/summary.json", "w") as file:
        file.write('{"eval": {"accuracy": 0.75}}')
    assert finish(backend, "remote").phase == "succeeded"
    assert backend.report("remote").trials == ("  0    done accuracy=0.75",)


def test_a_cancelled_sweep_starts_no_further_trial(backend, job):
    trials = tuple((f"--workdir=runs/queue/{i}",) for i in range(6))
    backend.submit(job("queue", "*@*:sleep", trials=trials, parallel_trials=2))
    deadline = time.monotonic() + 15
    while len(list(Path("runs/queue").glob("*/started-*"))) < 2:
        assert time.monotonic() < deadline, backend.status("queue")
        time.sleep(0.05)
    backend.cancel("queue")
    assert finish(backend, "queue").phase == "cancelled"
    events = JobFolder(backend._root / "queue").events()
    begun = [event["worker"] for event in events if event["event"] == "start"]
    assert sorted(begun) == ["trial 0", "trial 1"]
    shown = [line.split(maxsplit=1)[1] for line in backend.report("queue").trials]
    assert ["state saved" in line for line in shown] == [True] * 2 + [False] * 4
    assert shown[2:] == ["no result"] * 4


def test_trials_that_run_together_never_share_cores(backend, job):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core is shared by all")
    # Trial 1 ends at once; trial 2 takes its place beside trial 0, which waits for trial 2's log.
    script = ("0@*:await=runs/grid/2", "*@*:cores")
    trials = tuple((f"--workdir=runs/grid/{i}",) for i in range(3))
    backend.submit(job("grid", *script, trials=trials, parallel_trials=2))
    assert finish(backend, "grid").phase == "succeeded"
    shown = [JobFolder(backend._root / "grid").log(f"trial-{i}", 0).read_text() for i in range(3)]
    assert shown[1] == shown[2] != shown[0]


def test_a_job_that_cannot_start_says_so(backend, job):
    backend.submit(dataclasses.replace(job("nothing"), command=("/no/such/program",)))
    status = finish(backend, "nothing")
    assert status.phase == "failed"
    assert "/no/such/program" in status.detail


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"accelerator": "h100", "devices_per_worker": 8}, "--backend=kubernetes"),
        ({"workers": 0}, "--workers=0 must be at least 1"),
        (
            {"workers": 3, "args": ("--config.virtual_replicas=4",)},
            "nearest: --workers=2",
        ),
    ],
)
def test_impossible_jobs_are_refused_before_anything_starts(backend, job, fields, message):
    with pytest.raises(RunError, match=message):
        backend.submit(dataclasses.replace(job("wrong"), **fields))
    assert backend.statuses() == []
