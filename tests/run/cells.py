"""Runs Python blocks as a notebook runs its cells: in `__main__`, which has no file.

A process of its own: `python -c "from tests.run.cells import main; main(PAGE, MORE)"`.
"""

import linecache
import pathlib
import re
import sys


def main(page: str, more: str) -> None:
    """Run the blocks of a page, and then one more."""
    blocks = re.findall(r"```python\n(.*?)```", pathlib.Path(page).read_text(), re.DOTALL)
    for number, text in enumerate([*blocks, more]):
        run(text, f"<cell {number}>")


def run(text: str, name: str) -> None:
    # As a notebook does, so that functions have a source.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), vars(sys.modules["__main__"]))  # noqa: S102
