"""Pytest plugin: notes which test runs, so that it is known even of a process that died.

With `-x` the last test that began is the one that failed. Of tests that all passed nothing is left.
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


def pytest_sessionfinish(exitstatus: int) -> None:
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        _note("")


def _note(nodeid: str) -> None:
    pathlib.Path(os.environ[PATH]).write_text(nodeid)
