"""A run as an object, before it has said anything."""

from pathlib import Path

import pytest

from trainer.run.opened import Run


def test_a_run_without_lines_has_no_rows(tmp_path: Path) -> None:
    assert len(Run(str(tmp_path), {}).metrics()) == 0


def test_a_frame_without_lines_has_steps_as_its_index(tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="NOT SHOWN: pandas is not installed here")
    assert Run(str(tmp_path), {}).metrics().index.name == "step"
