"""How much of a disk the copies of remote shards may take, and what is said if it is too little."""

import collections
import shutil

import pytest

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.data.records import files
from trainer.data.records.staging import Stager

SIZE = 10_000


@pytest.fixture
def shards():
    urls = [f"memory://budget/train-{i}.tfrecord" for i in range(3)]
    for url in urls:
        storage.write_bytes(url, bytes(SIZE))
    return urls


def test_copies_that_are_there_do_not_shrink_the_budget_of_a_restart(shards, tmp_path, monkeypatch):
    """Else a disk that once had room for the data has none after the first start."""
    disk = 4 * SIZE
    usage = collections.namedtuple("usage", "free")

    def disk_usage(_):
        return usage(disk - sum(path.stat().st_size for path in tmp_path.glob("*.tfrecord*")))

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    stage = files.Stage(str(tmp_path))
    for _ in range(2):
        assert stage.budget() == int(0.8 * disk)
        with files.open_shards(shards, range(3), stage) as open_shard:
            for visit in range(3):
                with open_shard(visit) as path:
                    assert path.stat().st_size == SIZE
    assert len(list(tmp_path.glob("*.tfrecord"))) == 3


def test_what_does_not_fit_is_refused_with_the_number_that_would(shards, tmp_path):
    def open_two(budget):
        with (
            Stager(shards, tmp_path, budget, num_sharers=2) as stager,
            stager.open(0),
            stager.open(1) as path,
        ):
            return path.stat().st_size

    reason = rf"2 shards open at once have {2 * SIZE} bytes.*--stage_bytes to at least {4 * SIZE}$"
    with pytest.raises(RunError, match=reason) as caught:
        open_two(4 * SIZE - 1)
    assert caught.value.code is ExitCode.BAD_CONFIG
    assert open_two(4 * SIZE) == SIZE
