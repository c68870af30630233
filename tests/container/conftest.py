"""Images that are really built, once a session; loud where that is not possible."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container import engine

ROOT = Path(__file__).parents[2]
_skipped: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at the end, where nobody overlooks it, that the images were not built."""
    if _skipped:
        terminalreporter.section("IMAGES NOT SHOWN", sep="!", bold=True)
        terminalreporter.line(f"No image was built or run: {_skipped[0]}.")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed files only: what an image is built from and what it is compared with."""
    folder = tmp_path_factory.mktemp("source")
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    return folder


@pytest.fixture(scope="session")
def revision() -> str:
    asked = ["git", "rev-parse", "HEAD"]
    return subprocess.run(
        asked, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engine.Engine]:
    """An engine whose storage holds the stand-in for the base.

    LOCKSTEP_IMAGE_STORE names a folder that is kept, so that a second run builds on it.
    """
    reason = engine.missing()
    if reason:
        _skipped.append(reason)
        pytest.skip(reason)
    kept = os.environ.get("LOCKSTEP_IMAGE_STORE")
    made = engine.Engine(Path(kept) if kept else tmp_path_factory.mktemp("images"))
    yield made
    if not kept:
        made.buildah("rmi", "--all", "--force")


@pytest.fixture(scope="session")
def base_digest(images: engine.Engine) -> str:
    return images.base_digest()


@pytest.fixture(scope="session")
def cpu(images: engine.Engine, base_digest: str, source: Path, revision: str) -> str:
    return images.build("cpu", base_digest, source, revision)


@pytest.fixture(scope="session")
def test_image(images: engine.Engine, base_digest: str, source: Path, revision: str) -> str:
    return images.build("test", base_digest, source, revision)


@pytest.fixture
def accelerator(
    request: pytest.FixtureRequest,
    images: engine.Engine,
    base_digest: str,
    source: Path,
    revision: str,
) -> str:
    """The image of the target that the test names."""
    return images.build(request.param, base_digest, source, revision)
