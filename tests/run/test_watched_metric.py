"""A metric that no evaluation gives is refused at the start, and costs no workdir."""

from pathlib import Path

import pytest

from tests.processes import summary, trainer

STEPS = ("--config.train_steps=2", "--config.epochs=0")


@pytest.mark.parametrize("field", ["plateau.metric", "keep_best_metric"])
def test_a_wrong_name_is_refused_before_a_step_and_can_be_corrected(
    field: str, tmp_path: Path
) -> None:
    wrong = trainer(f"--workdir={tmp_path}", *STEPS, f"--config.{field}=acuracy")
    assert wrong.code == 78
    assert f"config.{field}='acuracy' is not evaluated; allowed: loss, accuracy" in wrong.last_line
    assert not (tmp_path / "metrics.jsonl").exists()
    assert summary(tmp_path, *STEPS, f"--config.{field}=accuracy")["step"] == 2


def test_a_metric_to_watch_needs_an_evaluation(tmp_path: Path) -> None:
    flags = ("--config.plateau.metric=loss", "--config.dataset.eval_split=")
    ended = trainer(f"--workdir={tmp_path}", *STEPS, *flags)
    assert ended.code == 78
    assert "config.plateau.metric='loss' is not evaluated; there is no eval" in ended.last_line
