"""The first minutes: a custom experiment, tried out at once."""

import os
import pathlib
import subprocess
import sys

import pytest

from common.exit_codes import RunError
from tests.processes import ROOT, SHORT, Ended, summary, trainer
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig
from trainer.run import fast_dev_run as tried
from trainer.run import loop
from trainer.run.fast_dev_run import fast_dev_run
from trainer.run.request import make_request
from trainer.template import new


def python(*args: str) -> Ended:
    done = subprocess.run(
        [sys.executable, *args], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("kind", [(), ("--task",)], ids=["parts", "task"])
def test_what_new_writes_passes_its_own_tests(tmp_path: pathlib.Path, kind) -> None:
    ended = trainer("new", str(tmp_path / "mine"), *kind)
    assert ended.code == 0, ended.stderr
    assert f"--config={tmp_path / 'mine' / 'experiment.py'} --fast_dev_run" in ended.stdout
    tested = python("-m", "pytest", "-q", "-c", "/dev/null", str(tmp_path / "mine"))
    assert tested.code == 0, tested.stdout


def test_what_new_writes_gives_one_digest_on_two_replicas(tmp_path: pathlib.Path) -> None:
    new.write(tmp_path / "mine")
    config = f"--config={tmp_path / 'mine' / 'experiment.py'}"
    one = summary(tmp_path / "1", config, *SHORT)
    two = summary(tmp_path / "2", config, *SHORT, "--cpu_replicas=2")
    assert two["state_digest"] == one["state_digest"]
    assert set(one["eval"]) == {"loss", "accuracy", "Confidence"}


def test_new_copies_a_config_that_ships(tmp_path: pathlib.Path) -> None:
    new.main([str(tmp_path / "mine"), "--from=digits_gan"])
    written = {path.name: path.read_text() for path in (tmp_path / "mine").iterdir()}
    assert written == {"experiment.py": (ROOT / "trainer/configs/digits_gan.py").read_text()}
    with pytest.raises(RunError, match="did you mean 'digits_gan'"):
        new.main([str(tmp_path / "other"), "--from=digits_gna"])


def test_new_copies_an_example_and_the_files_that_it_imports(tmp_path: pathlib.Path) -> None:
    ended = trainer("new", str(tmp_path / "mine"), "--like=fine_tuning")
    assert ended.code == 0, ended.stderr
    written = {path.name: path.read_text() for path in (tmp_path / "mine").iterdir()}
    examples = ROOT / "examples"
    assert written == {
        "experiment.py": (examples / "fine_tuning.py").read_text(),
        "fine_tuning_base.py": (examples / "fine_tuning_base.py").read_text(),
    }
    base = f"--config={tmp_path / 'mine' / 'fine_tuning_base.py'}"
    assert f"python -m trainer {base} --workdir=runs/fine_tuning_base\n" in ended.stdout
    assert trainer(base, "--dry_run").code == 0


def test_new_says_how_an_example_makes_its_data(tmp_path: pathlib.Path) -> None:
    ended = trainer("new", str(tmp_path / "mine"), "--like=tabular")
    (command,) = [line for line in ended.stdout.splitlines() if line.startswith("make its data:")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, command.split()[-1]], cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0
    assert {path.suffix for path in tmp_path.rglob("*.parquet")} == {".parquet"}


def test_new_takes_no_helper_for_a_parent(tmp_path: pathlib.Path, capsys) -> None:
    (tmp_path / "mine.py").write_text("import helper\ndef get_config(): return helper.made()\n")
    (tmp_path / "helper.py").write_text("from . import other\ndef made(): ...\n")
    new.main([str(tmp_path / "copy"), f"--from={tmp_path / 'mine.py'}"])
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"experiment.py", "helper.py"}
    assert "parent" not in capsys.readouterr().out


def test_new_refuses_a_file_that_is_no_python(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\nclass :\n")
    with pytest.raises(RunError, match=r"broken\.py:2: no Python: invalid syntax"):
        new.main([str(tmp_path / "mine"), f"--from={tmp_path / 'broken.py'}"])


def test_new_never_overwrites(tmp_path: pathlib.Path) -> None:
    (tmp_path / "test_experiment.py").write_text("mine")
    with pytest.raises(RunError, match="exists already"):
        new.write(tmp_path)
    assert (tmp_path / "test_experiment.py").read_text() == "mine"
    assert not (tmp_path / "experiment.py").exists()


def test_unknown_command_names_the_known_ones() -> None:
    ended = trainer("nwe", "somewhere")
    assert ended.code == 64
    assert "'nwe' is neither a flag nor a command" in ended.last_line
    assert "new" in ended.last_line


def test_fast_dev_run_saves_restores_and_leaves_nothing(tmp_path: pathlib.Path) -> None:
    ended = trainer(
        "--config=digits_gan",
        "--fast_dev_run",
        "--config.keep_checkpoints=1",
        environment={"TMPDIR": str(tmp_path)},
    )
    assert ended.code == 0, ended.stderr
    assert "restored step_000000001" in ended.stderr
    assert ended.stdout.startswith("done: 2 steps, held-out")
    kept = [path for path in tmp_path.glob("lockstep-*/**/*") if path.is_file()]
    assert {path.parent.name for path in kept} == {"index"}, kept  # of the data, for the next start


def test_fast_dev_run_finds_state_that_no_checkpoint_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hidden = iter(["first", "second"])

    def run(request, workdir, **_):
        (pathlib.Path(workdir) / "checkpoints" / "step_000000002").mkdir(parents=True)
        assert (request.plan.total_steps, request.plan.eval_steps) == (2, 2)
        return {"state_digest": next(hidden), "train": {}}

    monkeypatch.setattr(loop, "run", run)
    monkeypatch.setattr(tried, "_refuse_frozen", lambda _: None)
    with pytest.raises(RunError, match="another state after a restore"):
        fast_dev_run(make_request(TrainConfig(epochs=1), Placement()), stop=None, phases=None)


def test_fast_dev_run_refuses_steps_that_were_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(request, workdir, **_):
        (pathlib.Path(workdir) / "checkpoints" / "step_000000002").mkdir(
            parents=True, exist_ok=True
        )
        return {"state_digest": "same", "train": {"skipped_steps": 2.0}}

    monkeypatch.setattr(loop, "run", run)
    with pytest.raises(RunError, match="were not finite"):
        fast_dev_run(make_request(TrainConfig(epochs=1), Placement()), stop=None, phases=None)


def test_overfit_trains_and_evaluates_on_the_same_few_batches() -> None:
    rows = trainer("--dry_run", "--overfit_batches=2").stdout.splitlines()
    values = {row[:30].strip(): row[30:] for row in rows}
    assert values["training examples"] == values["evaluation examples"] == "64"
    ended = trainer("--dry_run", "--overfit_batches=1000")
    assert ended.code == 64
    assert "--overfit_batches=1000: split 'train' holds" in ended.last_line


def test_error_in_custom_code_names_its_line(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "mine.py"
    new.write(tmp_path / "template")
    lines = (tmp_path / "template" / "experiment.py").read_text().splitlines(keepends=True)
    (wrong,) = [i for i, line in enumerate(lines) if "log_p = tf.nn" in line]
    lines[wrong] = "        log_p = tf.nn.log_softmax(y_pred) + tf.zeros([3, 7])\n"
    file.write_text("".join(lines))
    ended = trainer(f"--config={file}", "--fast_dev_run")
    assert ended.code == 78
    assert ended.last_line.startswith(f"bad_config (78): {file}:{wrong + 1}: ")
    assert "Traceback" not in ended.stderr
