"""Runs side by side."""

import json
import pathlib
import re

import pytest

from common.exit_codes import RunError
from tests.report.page_text import Page
from trainer.commands import compare
from trainer.report.run_files import read_run


def write_run(folder: pathlib.Path, rate: float, losses: list[float]) -> pathlib.Path:
    folder.mkdir()
    config = {"seed": 0, "optimizer": {"name": "adam", "learning_rate": rate}}
    (folder / "config.json").write_text(json.dumps(config))
    lines = [json.dumps({"step": i, "eval/loss": loss}) for i, loss in enumerate(losses)]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    return folder


def test_compare_says_what_differs_and_draws_every_run(tmp_path: pathlib.Path, capsys) -> None:
    one = write_run(tmp_path / "one", 0.1, [3.0, 2.0])
    two = write_run(tmp_path / "two", 0.2, [3.0, 1.5])
    compare.main([str(one), str(two), f"--html={tmp_path / 'both.html'}"])
    shown = capsys.readouterr().out
    assert re.search(r"optimizer.learning_rate +0.1 +0.2", shown)
    assert re.search(r"eval/loss +2 +1.5", shown)
    assert "seed" not in shown
    text = (tmp_path / "both.html").read_text()
    assert text.count("<polyline") == 2
    assert "two: held out" in Page(text).text


def test_what_only_the_third_run_changes_is_shown(tmp_path: pathlib.Path) -> None:
    rates = [("one", 0.1), ("two", 0.1), ("three", 0.3)]
    runs = [read_run(write_run(tmp_path / name, rate, [3.0])) for name, rate in rates]
    assert compare.differences(runs) == [("optimizer.learning_rate", "0.1", "0.1", "0.3")]


def test_runs_in_folders_of_one_name_are_told_apart(tmp_path: pathlib.Path, capsys) -> None:
    for name, losses in (("a", [3.0, 2.0]), ("b", [3.0, 1.5])):
        (tmp_path / name).mkdir()
        write_run(tmp_path / name / "run", 0.1, losses)
    runs = [str(tmp_path / name / "run") for name in "ab"]
    drawn = tmp_path / "new" / "both.html"
    compare.main([*runs, f"--html={drawn}"])
    assert drawn.read_text().count("<polyline") == 2
    assert all(f"{run}: held out" in Page(drawn.read_text()).text for run in runs)


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: pathlib.Path) -> None:
    one = write_run(tmp_path / "one", 0.1, [3.0])
    with pytest.raises(RunError, match="--html") as caught:
        compare.main([str(one), f"--html={one / 'config.json' / 'x.html'}"])
    assert caught.value.code == 78


def test_a_run_that_goes_on_is_shown_as_running(tmp_path: pathlib.Path) -> None:
    rows = compare.results([read_run(write_run(tmp_path / "one", 0.1, [3.0]))])
    assert ("status", "running") in rows
    assert ("eval/loss", "3") in rows


def test_a_folder_without_a_run_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match=r"config.json is missing"):
        read_run(tmp_path)
