"""A workdir belongs to one experiment."""

import dataclasses
import json
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config import PlateauConfig, TrainConfig
from trainer.run.workdir import Workdir, opened
from trainer.storage import filesystems, transfer

CONFIG = TrainConfig(train_steps=10)


def _claim(path: Path, first: TrainConfig, **changes: object) -> None:
    Workdir(path).claim(first, is_chief=True)
    Workdir(path).claim(dataclasses.replace(first, **changes), is_chief=True)


def test_what_matters_is_refused_with_a_diff(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="seed: 0 -> 1") as raised:
        _claim(tmp_path, CONFIG, seed=1)
    assert raised.value.code is ExitCode.BAD_CONFIG
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"log_every_steps": 7},
        {"checkpoint_every_steps": 7},
        {"keep_checkpoints": 9},
        {"eval_every_steps": 7},
        {"keep_best_metric": "loss"},
    ],
)
def test_what_does_not_matter_is_allowed(tmp_path: Path, change: dict[str, object]) -> None:
    _claim(tmp_path, CONFIG, **change)
    assert json.loads((tmp_path / "config.json").read_text()) | change


def test_a_run_of_an_older_version_goes_on_where_new_fields_are_as_by_default(
    tmp_path: Path,
) -> None:
    workdir = Workdir(tmp_path)
    workdir.claim(CONFIG, is_chief=True)
    plain = json.loads((tmp_path / "config.json").read_text())
    del plain["ema_decay"]
    (tmp_path / "config.json").write_text(json.dumps(plain))
    with pytest.raises(RunError, match=r"ema_decay: 0\.0 -> 0\.5"):
        workdir.claim(dataclasses.replace(CONFIG, ema_decay=0.5), is_chief=True)
    workdir.claim(CONFIG, is_chief=True)


def test_evaluations_matter_to_drop_on_plateau(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="eval_every_steps: 0 -> 7"):
        _claim(
            tmp_path,
            dataclasses.replace(CONFIG, plateau=PlateauConfig("loss")),
            eval_every_steps=7,
        )


def test_a_torn_config_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"seed": ')
    with pytest.raises(RunError, match=r"config\.json cannot be read"):
        Workdir(tmp_path).claim(CONFIG, is_chief=True)
    assert (tmp_path / "config.json").read_text() == '{"seed": '


def test_lines_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 5}\n{"step": 5, "goodput": 0.5}\n{"step": 6}\n{"st')
    Workdir(tmp_path).rewind(5)
    assert path.read_text() == '{"step": 1}\n{"step": 5}\n'


@pytest.mark.parametrize("name", ["checkpoints", "metrics.jsonl", "skipped.jsonl", "tensorboard"])
def test_the_files_of_something_else_are_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not ours")
    with pytest.raises(RunError, match=f"holds {name} and no config.json") as raised:
        Workdir(tmp_path).claim(CONFIG, is_chief=True)
    assert raised.value.code is ExitCode.BAD_CONFIG
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_folder_with_other_files_in_it_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("what this run is for")
    Workdir(tmp_path).claim(CONFIG, is_chief=True)
    assert (tmp_path / "config.json").exists()


def test_every_file_of_a_run_arrives_in_its_mirror(tmp_path: Path) -> None:
    names = {"metrics.jsonl", "goodput.json", "skipped.jsonl", "summary.json", "report.html"}
    names |= {"config.json", "trackers.json"}
    folders = {"tensorboard/events.out", "pictures/confusion.png"}
    for name in names | folders:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"this is {name}")
    url = f"memory://{tmp_path.name}-all"
    Workdir(tmp_path, url).publish()
    for name in names | folders:
        assert storage.read_bytes(f"{url}/{name}") == f"this is {name}".encode()
    with opened(url) as back:  # what a restart finds here
        found = {path.name for path in back.path.iterdir()}
    assert found == names


@pytest.mark.parametrize("num_bytes", [100, 1000], ids=["in one piece", "in chunks"])
def test_a_file_that_grows_while_it_is_mirrored_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_bytes: int
) -> None:
    path, url = tmp_path / "metrics.jsonl", f"memory://{tmp_path.name}-{num_bytes}"
    path.write_text("x" * num_bytes)
    summed = transfer.checksum.file_sum

    def append_a_line(of: Path) -> storage.FileSum:
        sums = summed(of)
        with path.open("a") as file:
            file.write('{"step": 1}\n')
        return sums

    monkeypatch.setattr(transfer.checksum, "file_sum", append_a_line)
    monkeypatch.setattr(filesystems, "CHUNK_BYTES", 500)
    Workdir(tmp_path, url).publish()
    assert storage.read_bytes(f"{url}/metrics.jsonl") == b"x" * num_bytes
