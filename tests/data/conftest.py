"""What tests of sources share: load a dataset of this folder, or see it refused."""

import pytest

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config import DatasetConfig, PartConfig, TrainConfig
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.serving import reading
from trainer.data.sources import roles


@pytest.fixture
def load(tmp_path):
    """Give the function from a file and fields of the dataset to (info, features in memory)."""

    def load(name, loss="sparse_categorical_crossentropy", **fields):
        storage.forget()
        prefix, _, path = name.rpartition(":")
        name = f"{prefix}:{tmp_path / path}" if prefix else str(tmp_path / path)
        dataset = DatasetConfig(name, **{"eval_split": "", **fields})
        config = TrainConfig(epochs=1, dataset=dataset, loss=PartConfig(loss))
        stage = Stage(str(tmp_path / "stage"))
        info = sources.describe(roles.of_task(config), stage)
        return info, reading.load(info, info.train, stage)

    return load


@pytest.fixture
def refused(load):
    def refused(name, *parts, **fields):
        with pytest.raises(RunError) as caught:
            load(name, **fields)
        assert caught.value.code in (ExitCode.BAD_DATA, ExitCode.BAD_CONFIG)
        for part in parts:
            assert part in caught.value.reason
        assert "\n" not in caught.value.reason

    return refused
