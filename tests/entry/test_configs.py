"""Every experiment that ships loads, names parts that exist, and says where it comes from."""

import importlib
import sys

import pytest

from common.exit_codes import ExitCode, RunError
from trainer.config import TrainConfig, experiment_file, parts
from trainer.config.conversion import from_plain, to_plain


@pytest.mark.parametrize("name", experiment_file.names())
def test_config_loads(name):
    config = experiment_file.load(name)
    parts.check_names(config)
    assert from_plain(TrainConfig, to_plain(config)) == config


@pytest.mark.parametrize("name", experiment_file.names())
def test_config_says_source_command_time_and_result(name):
    words = importlib.import_module(f"trainer.configs.{name}").__doc__ or ""
    for part in ("Source:", "Command:", "Time:", "Result:"):
        assert part in words, f"{name} does not say its {part}"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("a_set", "{3}", r"\{3\}, a set"),
        ("a_pair", "{(1, 2): 3}", "keys must be"),
        ("a_lock", "__import__('threading').Lock()", "cannot pickle"),
    ],
)
def test_a_value_that_no_config_can_hold_is_named(name, value, says, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    mine = tmp_path / f"config_with_{name}.py"
    mine.write_text(
        "from trainer.config import PartConfig, TrainConfig\n"
        "def get_config():\n"
        f"    return TrainConfig(epochs=1, model=PartConfig('mlp', {{'a': {value}}}))\n"
    )
    with pytest.raises(RunError, match=says) as caught:
        experiment_file.load(str(mine))
    assert caught.value.code is ExitCode.BAD_CONFIG
