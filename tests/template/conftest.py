"""Says at the end of the tests what could not be shown here."""

import pytest

from tests.report import browser


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at the end, where nobody overlooks it, that no browser opened the report."""
    if browser.find() is None:
        terminalreporter.section("REPORT NOT SHOWN", sep="!", bold=True)
        terminalreporter.line(f"No browser is here (one of {', '.join(browser.NAMES)}).")
