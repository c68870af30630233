import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.storage.emulator import Emulator
from trainer import storage
from trainer.storage import filesystems, mirror

FAULTS = [429, 500, 502, 503, 504, "reset", "lost", "cut", "hang"]
ROOT = Path(__file__).parents[2]


def make_dir(path: Path, seed: int) -> Path:
    rng = random.Random(seed)
    for name in ("variables.index", "variables.data", "state/step.json"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(rng.randbytes(rng.randrange(1, 5000)))
    return path


def content(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def uncommitted(emulator: Emulator, bucket: str) -> list[str]:
    """List the visible mirrors of which a file is missing or differs, without our client."""

    def read(name: str) -> bytes:
        quoted = urllib.parse.quote(name, safe="")
        url = f"{emulator.url}/download/storage/v1/b/{bucket}/o/{quoted}?alt=media"
        with urllib.request.urlopen(url) as answer:
            return answer.read()

    from google_crc32c import value

    bad = []
    for marker in [name for name in emulator.names(bucket) if name.endswith(storage.mirror.MARKER)]:
        for name, entry in json.loads(read(marker))["files"].items():
            try:
                data = read(f"{marker.rpartition('/')[0]}/{name}")
            except OSError:
                data = b""
            if (len(data), value(data)) != (entry["size"], entry["crc32c"]):
                bad.append(marker)
    return bad


def name_lookups_fail(emulator, monkeypatch, rng):
    """Reach the store by a name whose look-up fails now and then; returns the look-ups that did."""
    port, real, failed = emulator.proxy.server_address[1], socket.getaddrinfo, []
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://store.example:{port}")

    def getaddrinfo(host, *args, **options):
        if host != "store.example":
            return real(host, *args, **options)
        if rng.random() < 0.3:
            failed.append(host)
            raise socket.gaierror(socket.EAI_AGAIN, "planned")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return failed


def save_many(emulator, bucket, tmp_path, monkeypatch, num_saves, num_attempts=10):  # noqa: PLR0917
    """Save to a faulty store; return how many saves failed, the waits and the bad mirrors seen."""
    monkeypatch.setattr(filesystems, "READ_TIMEOUT_SECS", 0.5)
    monkeypatch.setattr(emulator.proxy, "hang_secs", 0.7)
    rng, waits, bad, failed = random.Random(0), [], [], 0
    lost_lookups = name_lookups_fail(emulator, monkeypatch, random.Random(1))
    retry = storage.Retry(num_attempts, sleep=waits.append)
    lock = threading.Lock()

    def plan(*_):
        with lock:
            return rng.choice(FAULTS) if rng.random() < 0.3 else None

    name = bucket.removeprefix("gs://")
    with emulator.proxy.faults(plan):
        for save in range(num_saves):
            source = make_dir(tmp_path / f"ckpt-{save % 5}", save)
            storage.close()  # a new connection, hence a new look-up
            try:
                storage.mirror_up(source, f"{bucket}/ckpt-{save % 5}", retry=retry)
            except RunError as error:
                assert error.code is ExitCode.TRANSIENT
                failed += 1
            bad += uncommitted(emulator, name)
    assert lost_lookups
    return failed, waits, bad


def check_saves(emulator, bucket, tmp_path, monkeypatch, num_saves):
    failed, waits, bad = save_many(emulator, bucket, tmp_path, monkeypatch, num_saves)
    assert (failed, bad) == (0, [])
    assert 0 < max(waits) <= 30
    retry = storage.Retry(sleep=lambda _: None)
    for url in storage.list_mirrors(bucket, retry=retry):
        name = url.rpartition("/")[2]
        storage.mirror_down(url, tmp_path / "back" / name, retry=retry)
        assert content(tmp_path / "back" / name) == content(tmp_path / name)


def test_saves_to_a_faulty_store_are_whole(emulator, bucket, tmp_path, monkeypatch):
    check_saves(emulator, bucket, tmp_path, monkeypatch, 20)


@pytest.mark.slow
def test_200_saves_to_a_faulty_store_are_whole(emulator, bucket, tmp_path, monkeypatch):
    check_saves(emulator, bucket, tmp_path, monkeypatch, 200)


def test_failed_saves_are_not_visible(emulator, bucket, tmp_path, monkeypatch):
    failed, _, bad = save_many(emulator, bucket, tmp_path, monkeypatch, 20, num_attempts=2)
    assert failed > 0
    assert bad == []


def uploads_fail_after(num_uploads):
    count = itertools.count(1)
    lock = threading.Lock()

    def plan(_, path):
        with lock:
            return 503 if "/upload/" in path and next(count) > num_uploads else None

    return plan


@pytest.mark.parametrize("planted", ["marker first", "old marker kept"])
def test_the_audit_sees_planted_bugs(emulator, bucket, tmp_path, monkeypatch, planted):
    url = f"{bucket}/a"
    storage.mirror_up(make_dir(tmp_path / "a", 1), url)
    make_dir(tmp_path / "a", 2)
    if planted == "marker first":
        marker = mirror._encode(mirror._sums(tmp_path / "a"))
        storage.write_bytes(f"{url}/{mirror.MARKER}", marker)
    monkeypatch.setattr(mirror.transfer, "delete_file", lambda *_, **__: None)
    plan = uploads_fail_after(1)
    with emulator.proxy.faults(plan), pytest.raises(RunError):
        storage.mirror_up(tmp_path / "a", url, retry=storage.Retry(1))
    assert uncommitted(emulator, bucket.removeprefix("gs://"))


def test_an_interrupted_mirror_goes_on(emulator, bucket, tmp_path):
    source = make_dir(tmp_path / "a", 1)
    with emulator.proxy.faults(uploads_fail_after(3)), pytest.raises(RunError):
        storage.mirror_up(source, f"{bucket}/a", retry=storage.Retry(1))
    assert storage.read_marker(f"{bucket}/a") is None
    emulator.proxy.requests = []
    storage.mirror_up(source, f"{bucket}/a")
    assert sum("/upload/" in path for _, path, _ in emulator.proxy.requests) == 1
    emulator.proxy.requests = []
    storage.mirror_up(source, f"{bucket}/a")
    assert {method for method, _, _ in emulator.proxy.requests} == {"GET"}


@pytest.mark.parametrize("damage", ["marker missing", "marker cut", "file missing", "file changed"])
def test_damaged_mirrors_are_refused(bucket, tmp_path, damage):
    url = f"{bucket}/a"
    storage.mirror_up(make_dir(tmp_path / "a", 1), url)
    data = storage.read_bytes(f"{url}/variables.data")
    if damage == "marker missing":
        storage.delete_file(f"{url}/{mirror.MARKER}")
    elif damage == "marker cut":
        storage.write_bytes(f"{url}/{mirror.MARKER}", b'{"files": {"varia')
    elif damage == "file missing":
        storage.delete_file(f"{url}/variables.data")
    else:
        storage.write_bytes(f"{url}/variables.data", data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(RunError) as caught:
        storage.mirror_down(url, tmp_path / "down")
    assert caught.value.code is ExitCode.BAD_DATA
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", ""])
def test_a_marker_never_leads_outside(bucket, tmp_path, name):
    entry = {"size": 1, "crc32c": 1}
    storage.write_bytes(
        f"{bucket}/a/{mirror.MARKER}", json.dumps({"files": {name: entry}}).encode()
    )
    with pytest.raises(RunError, match="not a committed mirror"):
        storage.mirror_down(f"{bucket}/a", tmp_path / "deep" / "down")


def test_a_directory_that_is_there_is_kept_or_refused(bucket, tmp_path):
    source = make_dir(tmp_path / "a", 1)
    storage.mirror_up(source, f"{bucket}/a")
    storage.mirror_down(f"{bucket}/a", source)
    (source / "variables.data").write_bytes(b"other")
    with pytest.raises(RunError, match="differs from its mirror"):
        storage.mirror_down(f"{bucket}/a", source)
    assert (source / "variables.data").read_bytes() == b"other"


def test_deleting_takes_the_marker_first(emulator, bucket, tmp_path):
    storage.mirror_up(make_dir(tmp_path / "a", 1), f"{bucket}/a")
    emulator.proxy.requests = []
    storage.mirror_delete(f"{bucket}/a")
    deleted = [path for method, path, _ in emulator.proxy.requests if method == "DELETE"]
    assert mirror.MARKER in deleted[0]
    assert emulator.names(bucket.removeprefix("gs://")) == []


def test_while_the_marker_is_there_so_is_every_file(emulator, bucket, tmp_path):
    storage.mirror_up(make_dir(tmp_path / "a", 1), f"{bucket}/a")
    whole = emulator.names(bucket.removeprefix("gs://"))

    def refused(method, path):
        return 403 if method == "DELETE" and mirror.MARKER in path else None

    with emulator.proxy.faults(refused), pytest.raises(RunError):
        storage.mirror_delete(f"{bucket}/a")
    assert emulator.names(bucket.removeprefix("gs://")) == whole
    assert uncommitted(emulator, bucket.removeprefix("gs://")) == []


def test_mirrors_work_on_any_store(tmp_path):
    url = f"memory://{tmp_path.name}/runs"
    storage.mirror_up(make_dir(tmp_path / "a", 1), f"{url}/a")
    storage.mirror_up(make_dir(tmp_path / "b", 2), f"{url}/b")
    storage.delete_file(f"{url}/b/{mirror.MARKER}")
    assert storage.list_mirrors(url) == [f"{url}/a"]
    storage.mirror_down(f"{url}/a", tmp_path / "down")
    assert content(tmp_path / "down") == content(tmp_path / "a")


def test_a_store_without_checksums_is_sent_every_file_again(tmp_path):
    """What an interrupted call left there may be as long as it should be, and something else."""
    url, made = f"memory://{tmp_path.name}/a", make_dir(tmp_path / "a", 1)
    storage.mirror_up(made, url)
    for name, data in content(made).items():
        storage.write_bytes(f"{url}/{name}", bytes(len(data)))
    storage.delete_file(f"{url}/{mirror.MARKER}")
    storage.mirror_up(made, url)
    storage.mirror_down(url, tmp_path / "down")
    assert content(tmp_path / "down") == content(made)


def test_a_store_without_checksums_cannot_hide_other_bytes_of_a_mirror(tmp_path):
    url, made = f"memory://{tmp_path.name}/a", make_dir(tmp_path / "a", 1)
    storage.mirror_up(made, url)
    name, data = next(iter(content(made).items()))
    storage.write_bytes(f"{url}/{name}", bytes(len(data)))
    with pytest.raises(RunError, match=name) as caught:
        storage.mirror_down(url, tmp_path / "down")
    assert caught.value.code is ExitCode.BAD_DATA
    assert not (tmp_path / "down").exists()


def test_a_killed_restore_is_done_again(emulator, bucket, tmp_path):
    storage.mirror_up(make_dir(tmp_path / "a", 1), f"{bucket}/a")
    code = (
        "import pathlib; from trainer import storage; "
        f"storage.mirror_down('{bucket}/a', pathlib.Path('{tmp_path}/down'))"
    )
    plan = lambda _, path: "hang" if "data" in path else None  # noqa: E731
    command = [sys.executable, "-c", code]
    with emulator.proxy.faults(plan), subprocess.Popen(command, cwd=ROOT) as child:
        while not any("data" in path for _, path, _ in list(emulator.proxy.requests)):
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    assert (tmp_path / ".down.part").exists()
    storage.mirror_down(f"{bucket}/a", tmp_path / "down")
    assert content(tmp_path / "down") == content(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "down"]
