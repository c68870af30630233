"""Secrets are passed by reference and never written down."""

import dataclasses

import pytest

from launch.backends.job_folder import JobFolder
from launch.feasibility import check
from launch.spec import JobSpec, SecretVariable
from trainer.exit_codes import RunError


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


def test_a_secret_is_taken_by_reference_only():
    check(JobSpec(name="ok", args=("--config.optimizer.name=adam", "--tokenizer=bpe")))
    for arg in ("--token=x", "--my_password=x", "--config.api_key=x", "gs://u:p@host/x"):
        with pytest.raises(RunError, match="by reference"):
            check(JobSpec(name="bad", args=(arg,)))
