"""Every experiment that ships loads, names parts that exist, and says where it comes from."""

import importlib

import pytest

from trainer import config_file, config_names
from trainer.config import TrainConfig
from trainer.config_values import from_plain, to_plain


@pytest.mark.parametrize("name", config_file.names())
def test_config_loads(name):
    config = config_file.load(name)
    config_names.check(config)
    assert from_plain(TrainConfig, to_plain(config)) == config


@pytest.mark.parametrize("name", config_file.names())
def test_config_says_source_command_time_and_result(name):
    words = importlib.import_module(f"trainer.configs.{name}").__doc__ or ""
    for part in ("Source:", "Command:", "Time:", "Result:"):
        assert part in words, f"{name} does not say its {part}"
