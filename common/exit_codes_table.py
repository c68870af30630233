"""The page `docs/exit_codes.md`, generated from the enum: python -m common.exit_codes_table."""

from common.exit_codes import ExitCode

_HEAD = """\
# Exit codes

Generated from `common/exit_codes.py`. To write it again, run
`python -m common.exit_codes_table > docs/exit_codes.md`.

Every code that may be retried is 128 or more. A process that exits with another code than 0 prints
one last line: `name (code): what, where, the value, what to change`. A process that was killed by
signal N ends with 128 + N.

| code | name | meaning | retry | what to do |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(_row(code) for code in ExitCode)


def _row(code: ExitCode) -> str:
    retry = "yes" if code.retriable else "no"
    if code is ExitCode.STOPPED:
        retry = "yes, not counted"
    name = code.name.lower()
    return f"| {int(code)} | `{name}` | {code.meaning} | {retry} | {code.advice} |\n"


if __name__ == "__main__":
    print(page(), end="")
