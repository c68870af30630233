"""Files that appear whole: written under another name, then renamed."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replaced(path: Path, *, durable: bool = False, contended: bool = False) -> Iterator[Path]:
    """Give a path to write to; it takes the place of `path` when the block ends.

    A reader, and whoever comes after a kill, finds the old file or the new one, never a part. Where
    the block fails, the old file stays and nothing else is left.

    Args:
        path: the file; its folder exists.
        durable: the file outlives a loss of power too. Without it a rename may reach the disk
            before the bytes do, which leaves an empty file.
        contended: several processes may write `path` at a time, so that each needs a name of its
            own. One writer uses one name again: what a kill left is overwritten, not collected.

    Raises:
        OSError: of the disk.
    """
    unique = f".{secrets.token_hex(4)}" if contended else ""
    partial = path.with_name(f".{path.name}{unique}.part")
    try:
        yield partial
        if durable:
            _sync(partial)
        partial.replace(path)
    except BaseException:
        # The disk may be the reason: its first error is the one to report.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a file that appears whole; see `replaced`."""
    with replaced(path, durable=durable) as partial:
        partial.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
