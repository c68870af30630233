"""Secrets are passed by reference and never written down."""

import dataclasses

import pytest

from common.exit_codes import RunError
from launch.local.job_folder import JobFolder
from launch.spec.feasibility import check
from launch.spec.job import JobSpec, SecretVariable


def test_a_secret_is_never_written_down(backend, job, tmp_path, monkeypatch, lines):
    monkeypatch.setenv("HUB", "canary-value")
    spec = dataclasses.replace(
        job("quiet", "*@*:print=started"), secret_env=(SecretVariable("HUB", "hub", "key"),)
    )
    backend.submit(spec)
    backend.follow("quiet", lines.append)
    kept = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert kept
    assert not [data for data in kept if b"canary" in data]
    assert JobFolder(tmp_path / "state" / "quiet").spec().secret_env == spec.secret_env


SECRETS = [
    ("--token=canary",),
    ("-token=canary",),
    ("--my_password=canary",),
    ("--token", "canary"),
    ("--config.hub.api_key", "canary"),
    ("--config.api_key=canary",),
    ('--config.model.args={"layers": [{"api_key": "canary"}]}',),
    ("gs://u:canary@host/x",),
    ("--data", "s3://me:canary@host/x"),
    ("--config.dataset.data_dir=https://host/x?X-Amz-Signature=canary",),
]
HARMLESS = [
    ("--config.optimizer.name=adam", "--tokenizer=bpe", "--tokenizer", "bpe"),
    ("--config.max_token=512", "--config.max_token", "512"),
    ("--token", "--config=digits"),
    ("--token",),
    ("--workdir=gs://BUCKET/run", "--tpu=grpc://host:8470"),
]


@pytest.mark.parametrize("args", SECRETS, ids=lambda args: args[0])
@pytest.mark.parametrize("place", ["args", "trials", "second trial"])
def test_a_secret_is_taken_by_reference_only_in_every_place(args, place):
    given = {"args": {"args": args}, "trials": {"trials": (args,)}}
    spec = JobSpec("bad", **given.get(place, {"trials": (("--workdir=x",), ("--a=b", *args))}))
    with pytest.raises(RunError, match="by reference: --secret_env=NAME=SECRET/KEY") as refused:
        check(spec)
    assert "canary" not in refused.value.reason


@pytest.mark.parametrize(
    "variable", [("HUB_TOKEN", "canary"), ("api_key", "canary"), ("URL", "s3://me:canary@host/x")]
)
def test_a_secret_variable_is_taken_by_reference_only(variable):
    with pytest.raises(RunError, match=f"use --secret_env={variable[0]}=SECRET/KEY") as refused:
        check(JobSpec(name="bad", env=(("A", "1"), variable)))
    assert "canary" not in refused.value.reason


@pytest.mark.parametrize("args", HARMLESS, ids=lambda args: args[0])
def test_what_only_sounds_like_a_secret_is_taken(args):
    check(JobSpec(name="ok", args=args, env=(("TOKENIZER", "bpe"),)))
