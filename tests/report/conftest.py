"""A run with its page, and a browser to open it."""

import pytest

from tests.processes import SHORT, summary
from tests.report import browser


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    return folder, summary(folder, "--config=digits", *SHORT, "--config.seed=3")


@pytest.fixture(scope="session")
def chromium() -> str:
    if (found := browser.find()) is None:
        pytest.skip("NOT SHOWN: no browser is installed here")
    return found
