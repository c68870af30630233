"""What the launch tests share: a stand-in worker and the jobs of one temporary machine."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_api_server import FakeApiServer
from fake_cluster import NAMESPACE

from launch.code import remote_files
from launch.kubernetes.backend import KubernetesBackend
from launch.kubernetes.cluster import Cluster, connect
from launch.local.backend import LocalBackend
from launch.spec.job import JobSpec
from tests.control_plane import definitions

_undefined: list[str] = []
STANDIN = Path(__file__).with_name("standin_worker.py")
# A shell that starts the tests in the background lets them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalBackend:
    monkeypatch.chdir(tmp_path)
    return LocalBackend(tmp_path / "state")


@pytest.fixture
def job():
    """Builds a job whose workers are stand-ins that follow a script of actions."""

    def build(name: str, *script: str, **fields: object) -> JobSpec:
        return JobSpec(name=name, command=(sys.executable, str(STANDIN)), args=script, **fields)

    return build


@pytest.fixture(autouse=True)
def no_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a bucket that is out of reach, as all are here."""
    monkeypatch.setattr(remote_files, "LONGEST_SECS", 2.0)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture(scope="session")
def defined() -> dict[str, dict[str, Any]]:
    """Kind -> the published definition of a kind of JobSet, Kueue or Kubeflow Trainer."""
    try:
        return definitions.load()
    except definitions.UnavailableError as error:
        _undefined.append(str(error))
        pytest.skip(f"no definitions: {error}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at the end, where nobody overlooks it, that a check was left out."""
    if _undefined:
        terminalreporter.section("DEFINITIONS NOT CHECKED", sep="!", bold=True)
        terminalreporter.line(f"Kinds of others were checked by our own schemas: {_undefined[0]}.")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApiServer]:
    server = FakeApiServer()
    config = tmp_path / "kubeconfig"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "fake",
                "clusters": [{"name": "fake", "cluster": {"server": server.url}}],
                "users": [{"name": "me", "user": {"token": "canary-token"}}],
                "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    yield server
    server.stop()


@pytest.fixture
def cluster(api: FakeApiServer) -> Iterator[Cluster]:
    found = connect("")
    yield found
    found.close()


@pytest.fixture
def cluster_backend(cluster: Cluster) -> KubernetesBackend:
    return KubernetesBackend(cluster, NAMESPACE, poll_secs=0.05)
