"""Secrets that lie in the environment of a run appear in nothing that the run leaves."""

from pathlib import Path

import pytest
from absl.testing import flagsaver

from common.exit_codes import ExitCode, RunError
from common.redaction import find_secret, holds_secret
from launch.cli.main import main as launch
from tests.processes import SHORT, trainer
from trainer import __main__ as entry
from trainer import user_code
from trainer.__main__ import prepare

_CANARY = "canary-7f3a9c51"


def _environment(folder: Path) -> dict[str, str]:
    """Where people keep secrets: variables, a key file that a variable names, a URL."""
    key = folder / "key.json"
    key.write_text(f'{{"private_key": "{_CANARY}"}}')
    return {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": _CANARY,
        "AWS_SESSION_TOKEN": _CANARY,
        "HUB_TOKEN": _CANARY,
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
        "HTTPS_PROXY": f"http://user:{_CANARY}@localhost:1",
    }


def _holders(folder: Path) -> list[Path]:
    """The files that hold the canary."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and _CANARY.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--config=nothing",),
        ("--config=digits", "--config.no_such_field=1"),
        ("--config=digits", "--config.train_steps=-1"),
        ("--no_such_flag",),
    ],
)
def test_a_run_that_is_refused_or_planned_tells_no_secret(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    ended = trainer(*arguments, f"--workdir={workdir}", environment=_environment(tmp_path))
    assert _CANARY not in ended.stdout + ended.stderr
    assert _holders(workdir) == []


def test_a_rendered_job_tells_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in _environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    job = ["--image=lockstep:0.1.0-cpu", "--secret_env=HUB_TOKEN=hub/token"]
    assert launch(["render", *job, "--", "--config=digits", "--workdir=gs://BUCKET/run"]) == 0
    shown = capsys.readouterr().out
    assert "secretKeyRef" in shown
    assert _CANARY not in shown


_ADDRESSES = {
    "user and password": f"https://me:{_CANARY}@host/data",
    "key pair of a bucket": f"s3://AKIAIOSFODNN7EXAMPLE:ab/{_CANARY}+x@bucket/data",
    "signed for S3": f"https://bucket.host/data?X-Amz-Credential=A&X-Amz-Signature={_CANARY}",
    "signed for GCS": f"https://host/data?a=1&X-Goog-Signature={_CANARY}",
    "signed for Azure": f"https://host/data?sv=1&sig={_CANARY}",
}
_PLACES = [
    "--workdir={}",
    "--stage_dir={}",
    "--config.dataset.name={}",
    "--config.dataset.name=tfds:{}",
    "--config.dataset.data_dir={}",
    '--config.dataset.args={{"mirrors": ["{}"]}}',
]


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("kind", _ADDRESSES)
def test_a_secret_in_an_address_is_refused_and_not_repeated(
    place: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argument = place.format(_ADDRESSES[kind])
    with flagsaver.flagsaver(), pytest.raises(RunError) as refused:
        prepare(["trainer", f"--workdir={tmp_path}", argument], {})
    assert refused.value.code == ExitCode.BAD_FLAG
    assert refused.value.reason.startswith(argument.partition("=")[0])
    assert "carries a password, a token or a signature" in refused.value.reason
    render = ["render", "--image=lockstep:0.1.0-cpu", "--", "--workdir=gs://BUCKET/run", argument]
    assert launch(render) == 64
    shown = capsys.readouterr()
    assert _CANARY not in refused.value.reason + shown.out + shown.err


def test_a_secret_in_the_config_file_is_refused(tmp_path: Path) -> None:
    config, workdir = tmp_path / "own.py", tmp_path / "run"
    config.write_text(
        "from trainer.config import DatasetConfig, TrainConfig\n"
        f"DATA = 's3://me:{_CANARY}@bucket/train-*.tfrecord'\n"
        "def get_config():\n"
        "    return TrainConfig(epochs=1, dataset=DatasetConfig(DATA))\n"
    )
    ended = trainer(f"--config={config}", f"--workdir={workdir}")
    assert ended.code == 78
    assert "config.dataset.name carries a password" in ended.last_line
    assert _CANARY not in ended.stdout + ended.stderr
    assert _holders(workdir) == []


@pytest.mark.parametrize(
    ("argument", "field"),
    [
        (f"--config.dataset.args.token={_CANARY}", "config.dataset.args.token"),
        (f'--config.model.args={{"hub": [{{"api_key": "{_CANARY}"}}]}}', "hub[0].api_key"),
    ],
)
def test_a_secret_by_the_name_of_its_field_is_refused(
    argument: str, field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with flagsaver.flagsaver(), pytest.raises(RunError) as refused:
        prepare(["trainer", "--config=digits", f"--workdir={tmp_path}", argument], {})
    assert refused.value.code == ExitCode.BAD_CONFIG
    assert f"{field} carries a password" in refused.value.reason
    render = ["render", "--image=lockstep:0.1.0-cpu", "--", "--workdir=gs://BUCKET/run", argument]
    assert launch(render) == 64
    shown = capsys.readouterr()
    assert f"{field} carries a secret" in shown.err
    assert _CANARY not in refused.value.reason + shown.out + shown.err


@pytest.mark.parametrize(
    "value", [{"token": 512}, {"token": ""}, {"token": "512"}, {"tokens": "x"}]
)
def test_a_size_or_a_feature_is_no_secret(value: dict[str, object]) -> None:
    assert find_secret("config.task.args", value) == ""


@pytest.mark.parametrize(
    "harmless",
    [
        "gs://bucket/train-*.tfrecord",
        "grpc://host:8470,grpc://other:8470",
        "http://localhost:8080/a@b",
        "abfs://container@account.dfs.core.windows.net/run",
        "https://host/data?alt=media&generation=7",
        "europe-docker.pkg.dev/p/f/lockstep@sha256:0123",
    ],
)
def test_an_ordinary_address_is_no_secret(harmless: str) -> None:
    assert not holds_secret(harmless)


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_ACCOUNT_KEY"]
)
def test_a_secret_variable_by_value_is_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    render = ["render", "--image=lockstep:0.1.0-cpu", f"--env={name}={_CANARY}"]
    assert launch([*render, "--", "--workdir=gs://BUCKET/run"]) == 64
    shown = capsys.readouterr()
    assert f"--secret_env={name}=SECRET/KEY" in shown.err
    assert _CANARY not in shown.out + shown.err


def test_a_local_job_leaves_no_secret_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in _environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    state, workdir = tmp_path / "state", tmp_path / "run"
    asked = [f"--state_dir={state}", "--name=bad", "--secret_env=HUB_TOKEN=hub/token"]
    run = ["--", "--config=nothing", f"--workdir={workdir}"]
    assert launch(["local", *asked, *run]) == 78
    assert launch(["local", *asked, "--nocheck", *run]) == 1
    assert launch(["describe", f"--state_dir={state}", "bad"]) == 0
    shown = capfd.readouterr()
    assert "neither a file nor a known config" in shown.out
    assert _CANARY not in shown.out + shown.err
    assert list(state.rglob("*.log"))
    assert _holders(state) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError(f"401 for Bearer {_CANARY}"), ExitCode.BUG),
        (RunError(ExitCode.TRANSIENT, f"no access with {_CANARY}"), ExitCode.TRANSIENT),
    ],
)
def test_an_error_that_quotes_a_variable_is_told_without_it(
    error: Exception,
    code: ExitCode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setenv("HUB_TOKEN", _CANARY)
    monkeypatch.setattr(entry, "prepare", fail)
    monkeypatch.setattr(user_code, "is_users", lambda _: False)  # the fault is the trainer's
    assert entry.main(["trainer"]) == code
    shown = capsys.readouterr()
    assert shown.err.count("$HUB_TOKEN") == (2 if code == ExitCode.BUG else 1)
    assert _CANARY not in shown.out + shown.err


_ENDS = {
    "done": (0, ""),
    "refused by a server": (70, f"GET https://me:{_CANARY}@host/x?sig={_CANARY}: 403"),
    "quoting a variable": (70, "401 for Bearer {HUB_TOKEN} and {AWS_SECRET_ACCESS_KEY}"),
    "in the code of the user": (78, "{HUB_TOKEN}: RuntimeError"),
    "refused as a config": (78, "config: no access with {HUB_TOKEN}"),
    "hung": (202, ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("end", _ENDS)
def test_a_run_leaves_no_secret_in_logs_metrics_events_or_checkpoints(
    end: str, tmp_path: Path
) -> None:
    code, message = _ENDS[end]
    refused = message.startswith("config:")
    raised = "RunError(ExitCode(78), message)" if refused else "RuntimeError(message)"
    config = tmp_path / "own.py"
    config.write_text(
        "import dataclasses, os, trainer\n"
        "from trainer.configs import digits\n"
        "from common.exit_codes import ExitCode, RunError\n"
        "def build(*_, **__):\n"
        f"    message = {message!r}.format_map(os.environ)\n"
        f"    if {code == 70}:\n"  # as if it were a line of the trainer: with its stack
        "        exec(compile('raise RuntimeError(message)', trainer.__file__, 'exec'))\n"
        f"    raise {raised}\n"
        "def get_config():\n"
        "    config = digits.get_config()\n"
        "    raises = dataclasses.replace(config.model, name='own:build')\n"
        f"    return dataclasses.replace(config, model=raises) if {message!r} else config\n"
    )
    workdir = tmp_path / "run"
    asked = [f"--config={config}", f"--workdir={workdir}", *SHORT]
    environment = _environment(tmp_path)
    if end == "hung":
        asked.append("--hang_deadline_secs=60")
        environment["LOCKSTEP_FAILPOINT"] = "evaluate.boundary:hang"
    ended = trainer(*asked, environment=environment)
    assert ended.code == code, ended.stderr
    assert ("Traceback" in ended.stderr) == (code == 70)
    assert ("most recent call first" in ended.stderr) == (end == "hung")
    assert _CANARY not in ended.stdout + ended.stderr
    assert _holders(workdir) == []
    assert list(workdir.rglob("*state.npz")) or code


def test_the_search_finds_a_planted_secret(tmp_path: Path) -> None:
    _environment(tmp_path)
    assert _holders(tmp_path) == [tmp_path / "key.json"]
