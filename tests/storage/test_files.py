import errno
import os
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.storage import filesystems, transfer


@pytest.fixture(params=["gs", "memory", "file"])
def base(request, tmp_path):
    if request.param == "gs":
        return request.getfixturevalue("bucket") + "/base"
    return f"memory://{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "base")


def test_bytes_written_are_bytes_read(base):
    storage.write_bytes(f"{base}/a", b"one")
    storage.write_bytes(f"{base}/a", b"two")
    assert storage.read_bytes(f"{base}/a") == b"two"
    assert storage.stat(f"{base}/a").size == 3
    with pytest.raises(storage.MissingError):
        storage.stat(f"{base}/b")


def test_globs_stay_in_their_folder(base):
    for name in ("train-0.x", "train-1.x", "test-0.x", "deep/train-2.x"):
        storage.write_bytes(f"{base}/{name}", name.encode())
    names = lambda pattern: [  # noqa: E731
        file.url.removeprefix(f"{base}/") for file in storage.list_files(pattern)
    ]
    assert names(f"{base}/train-*.x") == ["train-0.x", "train-1.x"]
    assert names(f"{base}/t*-0.x") == ["test-0.x", "train-0.x"]
    assert names(f"{base}/**/train-*.x") == ["deep/train-2.x", "train-0.x", "train-1.x"]
    assert len(names(base)) == 4
    assert names(f"{base}/none") == names(f"{base}/none-*") == []


def test_transfers_return_the_same_bytes(base, tmp_path, monkeypatch):
    monkeypatch.setattr(filesystems, "CHUNK_BYTES", 1 << 18)
    monkeypatch.setattr(transfer, "READ_BYTES", 1 << 18)
    for size in (0, 1, 1 << 18, (1 << 20) + 7):
        (tmp_path / "up").write_bytes(os.urandom(size))
        storage.upload(tmp_path / "up", f"{base}/{size}")
        storage.download(f"{base}/{size}", tmp_path / "down")
        assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()
    assert not list(tmp_path.glob(".*.part"))


def test_delete_tree_leaves_the_neighbours(base):
    for name in ("tree/a", "tree/deep/b", "tree2/c"):
        storage.write_bytes(f"{base}/{name}", b"x")
    storage.delete_tree(f"{base}/tree")
    storage.delete_tree(f"{base}/tree")
    assert [file.url for file in storage.list_files(base, refresh=True)] == [f"{base}/tree2/c"]


def test_a_whole_bucket_is_never_deleted():
    with pytest.raises(ValueError, match="whole bucket"):
        storage.delete_tree("gs://bucket/")


def test_listings_and_metadata_are_asked_once(emulator, bucket):
    storage.write_bytes(f"{bucket}/d/a", b"x")
    before = len(emulator.proxy.requests)
    storage.list_files(f"{bucket}/d/*")
    asked = len(emulator.proxy.requests)
    for _ in range(3):
        storage.list_files(f"{bucket}/d/*")
        storage.stat(f"{bucket}/d/a")
    assert before < asked == len(emulator.proxy.requests)
    storage.write_bytes(f"{bucket}/d/b", b"y")
    assert len(storage.list_files(f"{bucket}/d/*")) == 2


def test_a_checkpoint_does_not_make_the_data_unknown(emulator, bucket, tmp_path):
    storage.write_bytes(f"{bucket}/data/a", b"x")
    (tmp_path / "file").write_bytes(b"y")
    storage.list_files(f"{bucket}/data/*")
    storage.upload(tmp_path / "file", f"{bucket}/runs/1/weights")
    storage.write_bytes(f"{bucket}/runs/1/marker", b"z")
    storage.delete_tree(f"{bucket}/runs/1")
    asked = len(emulator.proxy.requests)
    storage.stat(f"{bucket}/data/a")
    storage.list_files(f"{bucket}/data/*")
    assert len(emulator.proxy.requests) == asked


@pytest.mark.parametrize("above", ["", "/runs", "/runs/*", "/**/weights", "/ru*/1/w[e]ights"])
def test_what_this_process_changes_is_asked_anew(base, above):
    url = f"{base}/runs/1/weights"
    sizes = lambda: [file.size for file in storage.list_files(f"{base}{above}")]  # noqa: E731
    before = sizes()
    storage.write_bytes(url, b"one")
    written = sizes()
    storage.write_bytes(url, b"three")
    assert storage.stat(url).size == 5
    again = sizes()
    storage.delete_tree(f"{base}/runs")
    with pytest.raises(storage.MissingError):
        storage.stat(url)
    # Only `**` and whole folders reach below the next folder.
    expected = [[], [3], [5], []] if above != "/runs/*" else [[]] * 4
    assert [before, written, again, sizes()] == expected


@pytest.mark.parametrize("code", [401, 403, 404])
@pytest.mark.parametrize(
    "call",
    [
        lambda url, _, retry: storage.read_bytes(url, retry=retry),
        lambda url, _, retry: storage.write_bytes(url, b"x", retry=retry),
        lambda url, _, retry: storage.list_files(url, retry=retry),
        lambda url, path, retry: storage.download(url, path, retry=retry),
        lambda url, _, retry: storage.stat(url, retry=retry),
    ],
    ids=["read", "write", "list", "download", "stat"],
)
def test_permanent_errors_end_at_once(emulator, bucket, tmp_path, retry, waits, code, call):  # noqa: PLR0917
    with emulator.proxy.faults(lambda *_: code):
        with pytest.raises(RunError) as caught:
            call(f"{bucket}/folder/name", tmp_path / "f", retry)
        # Looking at one object may ask in two ways, object and folder; neither is repeated.
        asked = [request[:2] for request in emulator.proxy.requests]
    assert caught.value.code is ExitCode.BAD_CONFIG
    for word in (bucket.removeprefix("gs://"), "folder/name", str(code)):
        assert word in caught.value.reason
    assert waits == []
    assert len(asked) <= 4


@pytest.mark.parametrize("fault", [429, 500, 502, 503, 504])
def test_attempts_are_ours_alone(emulator, bucket, retry, waits, fault):
    storage.write_bytes(f"{bucket}/a", b"x")
    with emulator.proxy.faults(lambda *_: fault):
        with pytest.raises(RunError, match=f"{fault}.*after 10 attempts") as caught:
            storage.read_bytes(f"{bucket}/a", retry=retry)
        assert len(emulator.proxy.requests) == 10
    assert caught.value.code is ExitCode.TRANSIENT
    assert len(waits) == 9


@pytest.mark.parametrize("fault", ["reset", "lost", "cut", "hang"])
def test_broken_connections_are_bounded(emulator, bucket, retry, waits, monkeypatch, fault):  # noqa: PLR0917
    storage.write_bytes(f"{bucket}/a", b"x" * 99)
    monkeypatch.setattr(filesystems, "READ_TIMEOUT_SECS", 0.05)
    monkeypatch.setattr(emulator.proxy, "hang_secs", 0.2)
    storage.close()
    with emulator.proxy.faults(lambda *_: fault):
        with pytest.raises(RunError, match="after 10 attempts") as caught:
            storage.read_bytes(f"{bucket}/a", retry=retry)
        # aiohttp itself sends a request again, once, when a kept connection turns out dead.
        assert 10 <= len(emulator.proxy.requests) <= 20
    assert caught.value.code is ExitCode.TRANSIENT
    assert len(waits) == 9


@pytest.mark.parametrize("fault", [429, 503, "reset", "lost", "cut"])
def test_a_fault_costs_one_chunk(emulator, bucket, retry, tmp_path, monkeypatch, fault):  # noqa: PLR0917
    monkeypatch.setattr(transfer, "READ_BYTES", 1 << 18)
    (tmp_path / "up").write_bytes(os.urandom(1 << 20))
    remote = storage.upload(tmp_path / "up", f"{bucket}/a")
    plan = iter([None, fault, fault])
    with emulator.proxy.faults(lambda *_: next(plan, None)):
        storage.download(remote.url, tmp_path / "down", expected=remote, retry=retry)
        assert len(emulator.proxy.requests) == 6
    assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()


@pytest.mark.parametrize("fault", [503, "reset", "lost", "cut"])
def test_uploads_survive_a_fault_in_each_request(  # noqa: PLR0917
    emulator, bucket, retry, tmp_path, monkeypatch, fault
):
    monkeypatch.setattr(filesystems, "CHUNK_BYTES", 1 << 18)
    (tmp_path / "up").write_bytes(os.urandom((1 << 19) + 5))
    for at in range(5):
        plan = iter([None] * at + [fault])
        with emulator.proxy.faults(lambda *_, plan=plan: next(plan, None)):
            storage.upload(tmp_path / "up", f"{bucket}/{at}", retry=retry)
        assert storage.read_bytes(f"{bucket}/{at}") == (tmp_path / "up").read_bytes()


@pytest.fixture
def arriving(bucket, retry, tmp_path, monkeypatch):
    """Send b"good" so that b"gold" arrives the first times; returns how often it was sent."""
    (tmp_path / "whole").write_bytes(b"good")
    (tmp_path / "damaged").write_bytes(b"gold")
    real = filesystems.put_file

    def send(num_damaged):
        damaged = iter([tmp_path / "damaged"] * num_damaged)
        sent = []

        def put_file(filesystem, path, *args):
            sent.append(path)
            real(filesystem, next(damaged, path), *args)

        monkeypatch.setattr(filesystems, "put_file", put_file)
        storage.upload(tmp_path / "whole", f"{bucket}/a", retry=retry)
        return len(sent)

    return send


@pytest.mark.parametrize("num_damaged", [1, 2])
def test_a_file_that_arrived_damaged_is_sent_again(arriving, bucket, num_damaged):
    assert arriving(num_damaged) == num_damaged + 1
    assert storage.read_bytes(f"{bucket}/a") == b"good"


def test_a_file_that_arrives_damaged_each_time_is_not_taken_for_stored(arriving):
    with pytest.raises(RunError, match=r"not what was sent .* 3 times") as caught:
        arriving(3)
    assert caught.value.code is ExitCode.TRANSIENT


def test_a_changed_object_is_bad_data(bucket, retry, tmp_path):
    storage.write_bytes(f"{bucket}/a", b"old")
    expected = storage.stat(f"{bucket}/a")
    storage.write_bytes(f"{bucket}/a", b"new")
    with pytest.raises(RunError, match="crc32c") as caught:
        storage.download(expected.url, tmp_path / "a", expected=expected, retry=retry)
    assert caught.value.code is ExitCode.BAD_DATA
    assert list(tmp_path.iterdir()) == []


def test_failed_name_lookups_are_repeated(emulator, bucket, retry, waits, monkeypatch):
    storage.write_bytes(f"{bucket}/a", b"x")
    port = emulator.proxy.server_address[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://store.example:{port}")
    lookups, real = [], socket.getaddrinfo

    def getaddrinfo(host, *args, **options):
        if host != "store.example":
            return real(host, *args, **options)
        lookups.append(host)
        if len(lookups) < 4:
            raise socket.gaierror(socket.EAI_AGAIN, "planned")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    storage.close()
    assert storage.read_bytes(f"{bucket}/a", retry=retry) == b"x"
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (errno.ENOSPC, ExitCode.BAD_CONFIG),
        (errno.EROFS, ExitCode.BAD_CONFIG),
        (errno.EACCES, ExitCode.BAD_CONFIG),
        (errno.ENAMETOOLONG, ExitCode.BAD_CONFIG),
        (errno.ELOOP, ExitCode.BAD_CONFIG),
        (errno.ENOENT, ExitCode.TRANSIENT),  # a folder that was swept meanwhile is made again
        (errno.EIO, ExitCode.TRANSIENT),
    ],
)
def test_local_disk_faults_leave_nothing(bucket, tmp_path, monkeypatch, code, exit_code):
    storage.write_bytes(f"{bucket}/a", b"x")

    def fsync(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RunError, match="--workdir") as caught:
        storage.download(f"{bucket}/a", tmp_path / "a")
    assert caught.value.code is exit_code
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_used_storage_leaves_quietly(emulator, bucket):
    code = f"from trainer import storage; storage.write_bytes('{bucket}/a', b'x' * (2 << 20))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert emulator.names(bucket.removeprefix("gs://")) == ["a"]


def test_importing_storage_is_light():
    code = "import sys; from trainer import storage; print({'gcsfs', 'fsspec', 'tensorflow', 'aiohttp'} & set(sys.modules))"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
