"""R19: one enum, and everything that is made from it."""

from pathlib import Path

from common.exit_codes import ExitCode, RunError
from common.exit_codes_table import page
from launch.spec.exit_policy import IGNORED_CODES, PERMANENT_CODES, Verdict, judge_exit

DOCS = Path(__file__).parents[2] / "docs"


def test_the_docs_page_is_current() -> None:
    assert (DOCS / "exit_codes.md").read_text() == page()


def test_retriable_means_at_least_128() -> None:
    for code in ExitCode:
        assert code.retriable == (code >= 128)
        assert (judge_exit(code) in (Verdict.IGNORE, Verdict.COUNT)) == code.retriable
        assert (code in PERMANENT_CODES) == (code != 0 and not code.retriable)
    assert {int(code) for code in ExitCode if code.retriable} == {143, 200, 201, 202, 203}
    assert IGNORED_CODES == (ExitCode.STOPPED,)


def test_a_reason_is_one_line() -> None:
    error = RunError(ExitCode.BUG, "first\n   second")
    assert error.code.last_line(error.reason) == "bug (70): first second"
    assert str(error) == "first second"
