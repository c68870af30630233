"""Before a job is sent, the trainer judges its config, without TensorFlow and without data."""

import dataclasses
import sys
from pathlib import Path

import pytest

from common.exit_codes import RunError
from launch.cli.main import main
from launch.code import preflight, upload
from launch.spec.job import JobSpec

HEAD = "from trainer import TrainConfig\ndef get_config():\n    return TrainConfig("
WRONG = {
    "a value": (("--config=digits", "--config.epochs=-1"), 78, "config.epochs=-1.0 must not be"),
    "a name": (("--config=digits", "--config.model.name=cn"), 78, "did you mean 'cnn'"),
    "a field": (("--config=digits", "--config.sed=1"), 78, "did you mean 'seed'"),
    "a flag": (("--config=digits", "--nonsense=1"), 64, "nonsense"),
    "a config": (("--config=digist",), 78, "did you mean 'digits'"),
}


def job(*args: str, **fields: object) -> JobSpec:
    return JobSpec("run", (*args, "--workdir=w"), **fields)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "number.py").write_text("N = -3\n")
    (folder / "wrong.py").write_text(f"import number\n{HEAD}epochs=number.N)\n")
    (folder / "ends.py").write_text("import sys\nsys.exit(0)\n")
    (folder / "heavy.py").write_text(f"import tensorflow\n{HEAD}epochs=-1)\n")
    (folder / "elsewhere.py").write_text(f"import of_the_image\n{HEAD}epochs=-1)\n")
    return folder


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_trainer_would_refuse_is_refused_in_its_words(kind):
    args, code, said = WRONG[kind]
    with pytest.raises(RunError, match="nothing was sent") as refused:
        preflight.check(job(*args))
    assert refused.value.code == code
    assert said in refused.value.reason


def test_the_files_of_code_are_judged_as_they_are_sent(files):
    for name, said in (("wrong", "config.epochs=-3 must not be"), ("ends", "ends.py:2: exit(0)")):
        code, args = upload.collect("mine", (f"--config=mine/{name}.py",))
        with pytest.raises(RunError) as refused:
            preflight.check(job(*args, code=code))
        assert said in refused.value.reason


def test_what_cannot_be_imported_here_is_judged_in_the_pod(files):
    for name in ("heavy", "elsewhere"):
        code, args = upload.collect("mine", (f"--config=mine/{name}.py",))
        preflight.check(job(*args, code=code))


def test_every_trial_is_judged(files):
    trials = (("--config.seed=1",), ("--config.seed=-7",))
    with pytest.raises(RunError, match="seed=-7"):
        preflight.check(job("--config=digits", trials=trials))


def test_other_programs_and_verbs_are_not_judged():
    preflight.check(job("--config=digist", command=("python", "mine.py")))
    preflight.check(dataclasses.replace(job(), args=("export", "--workdir=w")))


@pytest.mark.parametrize("verb", ["local", "submit"])
def test_a_bad_config_leaves_no_job_behind(verb, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = [verb, "--name=bad", f"--state_dir={tmp_path}/state"]
    trainer = ["--", "--config=digits", "--config.epochs=-1", "--workdir=w"]
    assert main([*argv, *trainer]) == 78
    assert "config.epochs=-1.0" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
    if verb == "submit":
        assert main([*argv, "--dry_run=client", "--nocheck", *trainer]) == 0


def test_a_workdir_is_given_by_this_machine_and_by_no_cluster():
    here = (sys.executable, "-m", "trainer")
    preflight.check(JobSpec("run", ("--config=digits",), command=here))
    with pytest.raises(RunError, match="--workdir is missing"):
        preflight.check(JobSpec("run", ("--config=digits",)))
