"""The page of errors shows the lines that users meet, to the letter."""

import pathlib
import re
import shlex

import pytest
from absl.testing import flagsaver

from common.exit_codes import RunError
from tests.processes import ROOT, trainer
from trainer import __main__ as entry

PAGE = (ROOT / "docs" / "faq.md").read_text()
SHOWN = re.findall(r"```sh\npython -m trainer (.*?)\n```\n\n```text\n(.*?)\n```", PAGE)
ROWS = dict(re.findall(r"^\| (.+?) \| `((?:bad_|bug).+)` \|$", PAGE, flags=re.MULTILINE))
TEMPLATE = (ROOT / "trainer" / "template" / "experiment.py").read_text()
SMOOTHED = "return -(1 - self.smoothing) * right - self.smoothing * tf.reduce_mean(log_p, axis=-1)"
MISTAKES = {
    "`import tensorflow as tf` is missing": ("import tensorflow as tf\n", ""),
    "`epoch=10` in the config": ("        epochs=10,", "        epoch=10,"),
    "the config names `bulid_model`": ("{__name__}:build_model", "{__name__}:bulid_model"),
    "the config's `args` say `filter`": ('{"filters": 32', '{"filter": 32'),
    "`build_model` does not return": ("return keras.Model(", "keras.Model("),
    "the loss returns a mean": (SMOOTHED, "return tf.reduce_mean(-right)"),
    "the loss does not return": (SMOOTHED, SMOOTHED.removeprefix("return ")),
    "the augmentation crops": ('batch["image"] * factor', 'batch["image"][:, :, 1:] * factor'),
    "`.numpy()` in the loss": ("log_softmax(y_pred)", "log_softmax(y_pred.numpy())"),
    "`tf.math.log` of logits, which may be negative": (
        "tf.nn.log_softmax(y_pred)",
        "tf.math.log(y_pred)",
    ),
}
BEFORE_TENSORFLOW = list(MISTAKES)[:2]


def last_line(command: str) -> str:
    with flagsaver.flagsaver(), pytest.raises(RunError) as caught:
        entry.prepare(["trainer", *shlex.split(command)], {})
    return caught.value.code.last_line(caught.value.reason)


@pytest.mark.parametrize(("command", "line"), SHOWN)
def test_a_refused_command_prints_its_line(command: str, line: str, tmp_path: pathlib.Path) -> None:
    command = command.replace("runs/x", str(tmp_path / "x"))  # no line names it
    shown = trainer(*shlex.split(command)).last_line if "mirrored" in command else None
    assert (shown or last_line(command)) == line


def test_every_mistake_of_the_page_is_made_here() -> None:
    assert len(SHOWN) >= 9
    assert set(ROWS) == set(MISTAKES)


@pytest.mark.parametrize(
    "mistake",
    [
        name if name in BEFORE_TENSORFLOW else pytest.param(name, marks=pytest.mark.slow)
        for name in MISTAKES
    ],
)
def test_a_mistake_in_user_code_prints_its_line(mistake: str, tmp_path: pathlib.Path) -> None:
    right, wrong = MISTAKES[mistake]
    assert right in TEMPLATE
    file = tmp_path / "experiment.py"
    file.write_text(TEMPLATE.replace(right, wrong, 1))
    ended = trainer(f"--config={file}", "--fast_dev_run")
    assert ended.last_line.replace(str(file), "experiment.py") == ROWS[mistake]
    assert ("Traceback" in ended.stderr) == ("the stack is above" in ROWS[mistake])
