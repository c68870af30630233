"""S3 through fsspec, against a real server on this machine; needs `make .venv/s3`."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, SHORT, free_ports, summary

PYTHON = Path(os.environ.get("LOCKSTEP_S3_PYTHON", ROOT / ".venv" / "s3" / "bin" / "python"))
DIGITS = ROOT / "trainer" / "data" / "embedded" / "digits" / "1.0.0"
KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tested"}
BUCKET = """
import sys, boto3
boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="data")
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="make .venv/s3 installs s3fs and the server"),
]


def run(environment: dict[str, str], *command: str, secs: int = 300) -> subprocess.CompletedProcess:
    hidden = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FSSPEC_"))}
    return subprocess.run(
        [PYTHON, *command],
        cwd=ROOT,
        env={**hidden, "AWS_EC2_METADATA_DISABLED": "true", **environment},
        capture_output=True,
        text=True,
        timeout=secs,
        check=False,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """The environment that leads to a server with the digits in the bucket `data`."""
    (port,) = free_ports(1)
    command = [PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    there = {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    try:
        for _ in range(200):
            if run(there, "-c", BUCKET).returncode == 0:
                break
            time.sleep(0.1)
        put = "import sys; from trainer import storage; storage.upload({}, {!r})"
        for path in DIGITS.iterdir():
            code = put.format(f"__import__('pathlib').Path({str(path)!r})", _url(path))
            assert (ended := run(there, "-c", code)).returncode == 0, ended.stderr
        yield there
    finally:
        process.kill()
        process.wait()


def _url(path: Path) -> str:
    return f"s3://data/tfds/digits/1.0.0/{path.name}"


def train(environment, tmp_path, *args):
    flags = [
        "--config.dataset.name=tfds:s3://data/tfds/digits",
        f"--stage_dir={tmp_path / 'stage'}",
    ]
    return run(environment, "-m", "trainer", *flags, *SHORT, *args)


def test_data_and_workdir_in_s3_give_the_digest_of_local_ones(server, tmp_path):
    ended = train(server, tmp_path, "--workdir=s3://data/run", "--config.dataset.serve=stream")
    assert ended.returncode == 0, ended.stderr
    read = "from trainer import storage; print(storage.read_bytes('s3://data/run/summary.json').decode())"
    told = json.loads(run(server, "-c", read).stdout)
    assert told["state_digest"] == summary(tmp_path / "local", *SHORT)["state_digest"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials"),
        ({"AWS_PROFILE": "nobody"}, "no credentials"),
    ],
)
def test_no_credentials_are_named_within_ten_seconds(server, tmp_path, change, said):
    code = (
        "import time; start = time.monotonic()\n"
        "from trainer import storage\n"
        "try: storage.list_files('s3://data/*')\n"
        "except Exception as error: print(time.monotonic() - start, error)"
    )
    environment = {k: v for k, v in {**server, "HOME": str(tmp_path), **change}.items() if v}
    secs, _, reason = run(environment, "-c", code).stdout.partition(" ")
    assert said in reason
    assert float(secs) < 10


def test_public_data_need_no_credentials(server, tmp_path):
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": "arn:aws:s3:::data/*",
            }
        ],
    }
    code = (
        "import boto3, sys\nboto3.client('s3').put_bucket_policy(Bucket='data', Policy=sys.argv[1])"
    )
    run({**server, "AWS_DEFAULT_REGION": "us-east-1"}, "-c", code, json.dumps(policy))
    anonymous = {"AWS_ENDPOINT_URL": server["AWS_ENDPOINT_URL"], "FSSPEC_S3_ANON": "true"}
    ended = train(anonymous, tmp_path, "--dry_run")
    assert ended.returncode == 0, ended.stderr


def test_a_bucket_that_is_not_there_is_named(server, tmp_path):
    ended = train(server, tmp_path, "--dry_run", "--config.dataset.name=tfds:s3://nobodys/x")
    assert ended.returncode == 78
    assert "s3://nobodys/x" in ended.stderr or "s3 bucket 'nobodys'" in ended.stderr


def test_a_server_that_is_gone_is_transient(server, tmp_path):
    (port,) = free_ports(1)
    code = (
        "from trainer import storage\n"
        "retry = storage.Retry(num_attempts=2, base_secs=0.1)\n"
        "try: storage.list_files('s3://data/*', retry=retry)\n"
        "except Exception as error: print(error.code.name, error)"
    )
    gone = {**server, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    assert run(gone, "-c", code).stdout.startswith("TRANSIENT")
