"""The files of a run are read by programs; the runs of tests/behaviour are held to this as well."""

import json
import pathlib

import pytest

from tests.run import schemas
from trainer.checkpoint.state import Meta
from trainer.monitoring.metric_writer import JsonlWriter

LINE = {"step": 3, "train/loss": 0.5, "time/step_ms_p50": 1.0}


def write(folder: pathlib.Path, *lines: dict[str, object]) -> pathlib.Path:
    (folder / "config.json").write_text("{}")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.parametrize(
    "line",
    [{"train/loss": 0.5}, LINE | {"time/step": 1.0}, LINE | {"rate": 1.0}, LINE | {"step": 3.5},
     LINE | {"eval/loss": "0.5"}, LINE | {"examples_per_second": None}],
    ids=lambda line: next(reversed(line)),
)  # fmt: skip
def test_a_line_of_another_form_is_seen(line, tmp_path: pathlib.Path) -> None:
    assert schemas.faults(write(tmp_path, LINE)) == []
    assert len(schemas.faults(write(tmp_path, line))) == 1


def test_what_json_has_no_word_for_is_seen(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="NaN is no JSON"):
        schemas.faults(write(tmp_path, LINE | {"train/loss": float("nan")}))


def test_a_number_that_is_not_finite_is_null(tmp_path: pathlib.Path) -> None:
    writer = JsonlWriter(tmp_path / "metrics.jsonl")
    writer.write(3, {"train/loss": float("nan"), "eval/loss": float("-inf"), "eval/x": 1e308})
    writer.close()
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert schemas.strict(line) == {
        "step": 3, "train/loss": None, "eval/loss": None, "eval/x": 1e308,
    }  # fmt: skip


def test_a_checkpoint_keeps_what_is_not_finite() -> None:
    progress = {"best": float("inf"), "train": {"loss": float("nan")}, "totals": [float("-inf")]}
    text = Meta(3, progress=progress).to_json()
    schemas.strict(text)
    assert repr(Meta.from_json(text).progress) == repr(progress)
