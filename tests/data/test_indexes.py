import os
import time

import pytest

from tests.data.shards import FEATURES, record_offset, write_shards
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records import indexes, tfrecord
from trainer.data.records.files import Stage


@pytest.fixture
def shard(tmp_path):
    write_shards(tmp_path / "data", [6])
    return settled(tmp_path / "data" / "train-0.tfrecord")


@pytest.fixture
def scans(monkeypatch):
    """Names of the files that were scanned."""
    names, real = [], tfrecord.scan

    def counted(path, name, *, skip_bad=False):
        names.append(name)
        return real(path, name, skip_bad=skip_bad)

    monkeypatch.setattr(tfrecord, "scan", counted)
    return names


def settled(path, secs=10):
    os.utime(path, (time.time() - secs,) * 2)
    return path


def read(path, folder, **options):
    return indexes.read_index(path, str(path), folder, **{"skip_bad": False, **options})


def test_a_second_start_does_not_scan(shard, tmp_path, scans):
    first, second = (read(shard, tmp_path / "index") for _ in range(2))
    assert first == second
    assert scans == [str(shard)]


def test_a_changed_file_is_scanned_again(shard, tmp_path, scans):
    read(shard, tmp_path / "index")
    shard.write_bytes(shard.read_bytes()[: record_offset(shard, 4)])
    assert len(read(settled(shard, 5), tmp_path / "index").offsets) == 4
    assert len(scans) == 2


def test_a_file_just_written_is_not_trusted(shard, tmp_path, scans):
    settled(shard, 0)
    for _ in range(2):
        read(shard, tmp_path / "index")
    assert len(scans) == 2


def test_skipping_keeps_an_index_of_its_own(shard, tmp_path, scans):
    data = bytearray(shard.read_bytes())
    data[record_offset(shard, 2) + 30] ^= 1
    shard.write_bytes(data)
    settled(shard)
    assert len(read(shard, tmp_path / "index").offsets) == 6
    for _ in range(2):
        index = read(shard, tmp_path / "index", skip_bad=True)
        assert len(index.offsets) == 5
        assert "does not match its checksum" in index.damaged[0]
    assert len(scans) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b'{"content": 1}\n', None])
def test_a_damaged_index_is_made_anew(shard, tmp_path, scans, damage):
    whole = read(shard, tmp_path / "index")
    (kept,) = (tmp_path / "index").iterdir()
    data = kept.read_bytes()
    kept.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if damage is None else damage)
    assert read(shard, tmp_path / "index") == whole
    assert len(scans) == 2


def test_without_a_place_nothing_is_kept(shard, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert len(read(shard, tmp_path / "file").offsets) == 6


def test_a_bucket_is_counted_once(tmp_path, scans):
    from tests.storage.emulator import running_emulator

    write_shards(tmp_path / "data", [3, 4])
    config = DatasetConfig(
        "gs://shards/{split}-*.tfrecord", eval_split="", args={"features": FEATURES}
    )
    with running_emulator("shards") as emulator:
        for path in (tmp_path / "data").iterdir():
            storage.write_bytes(f"gs://shards/{path.name}", path.read_bytes())
        first = sources.describe(config, Stage(str(tmp_path / "stage")))
        for copy in (tmp_path / "stage").glob("*.tfrecord"):
            copy.unlink()
        storage.forget()
        emulator.proxy.requests = []
        assert sources.describe(config, Stage(str(tmp_path / "stage"))) == first
        assert not [path for _, path, _ in emulator.proxy.requests if "alt=media" in path]
    assert len(scans) == 2
