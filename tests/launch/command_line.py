"""The launcher's command line as the tests call it."""

import pytest

from launch.cli.main import main
from launch.spec import documents, trainer_args
from launch.spec.job import JobSpec
from trainer.configs import digits

RENDER = ["render", "--image=lockstep:0.1.0-cpu", "--name=run"]


TRAINER = ["--", "--config=digits", "--workdir=gs://BUCKET/run"]


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = main(argv)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1, shown.err
    assert "Traceback" not in shown.err
    return code, shown.err


def rendered(capsys: pytest.CaptureFixture[str], *argv: str) -> list[dict]:
    assert main(argv) == 0, capsys.readouterr().err
    return documents.load(capsys.readouterr().out)


def container(parsed: list[dict]) -> dict:
    return parsed[-1]["spec"]["template"]["spec"]["containers"][0]


def microbatches(spec: JobSpec) -> int:
    """The microbatches of a job that trains digits; the launcher sees only its command line."""
    given = trainer_args.whole_number(spec.args, "config.virtual_replicas")
    return given or digits.get_config().virtual_replicas
