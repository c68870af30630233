"""Files behind a URL or a path: the launcher's one way to buckets; fsspec is imported when used.

Storage libraries raise types of their own; here every fault is an OSError.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any


def exists(url: str) -> bool:
    """Whether there is a file or folder.

    Raises:
        OSError: the store refuses or is out of reach.
    """
    with _fsspec() as fsspec:
        return bool(fsspec.filesystem(fsspec.utils.get_protocol(url)).exists(url))


def read_text(url: str) -> str:
    """The text of a file.

    Raises:
        OSError: there is none, or the store refuses.
    """
    with _fsspec() as fsspec, fsspec.open(url, "rt", encoding="utf-8") as file:
        return str(file.read())


def modified(url: str) -> float:
    """When a file was written, Unix seconds.

    Raises:
        OSError: there is none, or the store refuses.
    """
    with _fsspec() as fsspec:
        filesystem = fsspec.filesystem(fsspec.utils.get_protocol(url))
        return float(filesystem.modified(url).timestamp())


def write(url: str, content: bytes) -> None:
    """Writes a file.

    Raises:
        OSError: the store refuses.
    """
    with _fsspec() as fsspec, fsspec.open(url, "wb") as file:
        file.write(content)


@contextlib.contextmanager
def _fsspec() -> Iterator[Any]:
    # Read when gcsfs is imported: else it asks over gRPC what kind of bucket it has, and says so.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        import fsspec

        yield fsspec
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
