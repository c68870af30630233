"""Files as they come: linked, compressed, rewritten."""

import gzip
import zlib

import google_crc32c
import numpy as np
import pytest

from common.exit_codes import ExitCode, RunError
from tests.data.foreign import (
    IMAGE,
    MODES,
    config_of,
    load,
    refused,
    serve,
)
from tests.data.shards import example, png, write_file
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records import tfrecord


@pytest.mark.parametrize("linked", ["files", "folder", "some"])
def test_links_are_followed(tmp_path, linked):
    config = config_of(tmp_path / "real", IMAGE, [example(image=png(i)) for i in range(12)])
    expected = load(config)["image"]
    data = tmp_path / "data"
    if linked == "folder":
        data.mkdir()
        (data / "inner").symlink_to(tmp_path / "real")
        name = str(data / "*" / "{split}-*.tfrecord")
    else:
        data.mkdir()
        for path in sorted((tmp_path / "real").iterdir()):
            place = data / path.name
            if linked == "files" or "004" in path.name:
                place.symlink_to(path)
            else:
                place.hardlink_to(path)
        name = str(data / "{split}-*.tfrecord")
    found = load(DatasetConfig(name, eval_split="", args={"features": IMAGE}))["image"]
    assert np.array_equal(found, expected)


def test_a_link_to_nothing_is_named(tmp_path):
    """As git-annex leaves it where a file was not fetched."""
    config = config_of(tmp_path, IMAGE, [example(image=png(0))])
    (tmp_path / "train-9.tfrecord").symlink_to(tmp_path / "gone")
    with pytest.raises(RunError, match=r"train-9\.tfrecord: is a link to .*gone") as caught:
        sources.describe(config)
    assert caught.value.code is ExitCode.BAD_DATA


def test_links_that_lead_back_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [f.url for f in storage.list_files(f"{tmp_path}/**")] == [f"{tmp_path}/a/x"]


@pytest.mark.parametrize("sizes", [[], [0], [1, 0, 3], [5] * 70, [3, 70_000, 12, 1]])
def test_the_checksum_of_a_file_follows_from_its_index(tmp_path, sizes):
    """So that the same files have one fingerprint in a bucket, which tells it, and on a disk."""
    random = np.random.default_rng(0)
    path = tmp_path / "x.tfrecord"
    write_file(path, [random.bytes(size) for size in sizes])
    assert tfrecord.scan(path, "x").crc32c == google_crc32c.value(path.read_bytes())


def test_files_rewritten_with_equal_sizes_are_other_data(tmp_path):
    def info_of(label):
        records = [example(image=png(i), label=label if i == 9 else 0) for i in range(12)]
        return sources.describe(config_of(tmp_path, IMAGE, records))

    before, after = info_of(0), info_of(1)
    assert [s.num_bytes for s in before.train.shards] == [s.num_bytes for s in after.train.shards]
    assert before.fingerprint() != after.fingerprint()
    changed = [
        name for name, content in after.contents().items() if before.contents()[name] != content
    ]
    assert changed == ["train-008.tfrecord (train)"]


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, lambda d: zlib.compress(d, 9)])
@pytest.mark.parametrize("mode", MODES)
def test_compressed_files_are_read_as_plain_ones(tmp_path, compress, mode):
    config = config_of(tmp_path, IMAGE, [example(image=png(i)) for i in range(12)], serve=mode)
    before, expected = sources.describe(config), load(config)["image"]
    for path in tmp_path.glob("train-*"):
        path.write_bytes(compress(path.read_bytes()))
    storage.forget()
    serve(config)
    assert np.array_equal(load(config)["image"], expected)
    after = sources.describe(config)
    assert [s.crc32c for s in after.train.shards] == [s.crc32c for s in before.train.shards]


@pytest.mark.parametrize("damage", [lambda d: d[:-9], lambda d: d[:30] + b"xxxx" + d[34:]])
def test_a_damaged_compressed_file_is_named(tmp_path, damage):
    config = config_of(tmp_path, IMAGE, [example(image=png(i)) for i in range(4)])
    path = tmp_path / "train-000.tfrecord"
    path.write_bytes(damage(gzip.compress(path.read_bytes())))
    refused(config, f"{path}: is compressed and")


def test_a_record_as_long_as_the_mark_of_a_compressed_file_is_plain(tmp_path):
    records = [example(image=bytes(0x9C78 - 27)) for _ in range(4)]
    assert len(records[0]) == 0x9C78
    spec = {"image": {"dtype": "uint8", "shape": [0x9C78 - 27], "encoding": "raw"}}
    assert load(config_of(tmp_path, spec, records))["image"].shape[0] == 4
