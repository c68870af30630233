"""Whose account reads a bucket is said by the environment; what is missing is named."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.processes import ROOT

LIST = (
    "import time; start = time.monotonic()\n"
    "from trainer import storage\n"
    "try: print(0, len(storage.list_files('gs://payer/train-*')))\n"
    "except Exception as error: print(time.monotonic() - start, error)"
)
PAYS = "Bucket is a requester pays bucket but no user project provided."


class Store(http.server.BaseHTTPRequestHandler):
    """Answers as Cloud Storage does for a bucket that lets the requester pay."""

    def do_GET(self) -> None:
        is_paid = "userProject=mine" in self.path
        error = {"error": {"code": 400, "message": PAYS, "errors": [{"message": PAYS}]}}
        body = json.dumps({"items": []} if is_paid else error).encode()
        self.send_response(200 if is_paid else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def listed(home, **environment: str) -> tuple[float, str]:
    """Return the seconds to a refusal, and the refusal; 0 where the store has answered."""
    hidden = ("GOOGLE_", "GCE_", "FSSPEC_", "STORAGE_EMULATOR_HOST", "CLOUDSDK_")
    plain = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    said = subprocess.run(
        [sys.executable, "-c", LIST],
        cwd=ROOT,
        env={**plain, "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    secs, _, reason = said.partition(" ")
    return float(secs), reason


def test_a_bucket_that_lets_the_requester_pay_takes_the_project(store, tmp_path):
    _, reason = listed(tmp_path, STORAGE_EMULATOR_HOST=store)
    assert "requester pay" in reason
    assert "FSSPEC_GS_REQUESTER_PAYS" in reason
    secs, _ = listed(tmp_path, STORAGE_EMULATOR_HOST=store, FSSPEC_GS_REQUESTER_PAYS="mine")
    assert secs == 0


def test_no_credentials_are_named_and_anonymous_access_needs_none(store, tmp_path):
    # The address of Google's metadata, where nothing answers.
    nowhere = {"GCE_METADATA_HOST": "127.0.0.1:9", "GCE_METADATA_IP": "127.0.0.1:9"}
    secs, reason = listed(tmp_path, **nowhere)
    assert "no credentials" in reason
    assert "FSSPEC_GS_TOKEN=anon" in reason
    assert secs < 10
    missing = str(tmp_path / "key.json")
    _, reason = listed(tmp_path, **nowhere, GOOGLE_APPLICATION_CREDENTIALS=missing)
    assert missing in reason
    there = {"FSSPEC_GS_ENDPOINT_URL": store, "FSSPEC_GS_REQUESTER_PAYS": "mine"}
    assert listed(tmp_path, **nowhere, **there, FSSPEC_GS_TOKEN="anon")[0] == 0  # noqa: S106


def test_s3_without_its_extra_is_one_line(tmp_path):
    code = "from trainer import storage; storage.list_files('s3://x/y')"
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['s3fs'] = None; {code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr.strip().endswith("s3:// needs the extra `s3`: pip install 'lockstep[s3]'")
