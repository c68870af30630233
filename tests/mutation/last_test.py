"""Pytest plugin: notes which test runs, so that it is known even of a process that died.

With `-x` the last test that began is the one that failed.
"""

import os
import pathlib

import pytest

PATH = "LAST_TEST"  # environment variable: the file that holds the id


def pytest_runtest_logstart(nodeid: str) -> None:
    _note(nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _note(report.nodeid)


def _note(nodeid: str) -> None:
    pathlib.Path(os.environ[PATH]).write_text(nodeid)
