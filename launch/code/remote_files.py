"""Files behind a URL or a path: the launcher's one way to buckets; fsspec is imported when used.

Storage libraries raise types of their own, and try again for a minute where there is no network;
here every fault is an OSError, and a question has an answer in seconds.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

LONGEST_SECS = 15.0
T = TypeVar("T")


def exists(url: str) -> bool:
    """Whether there is a file or folder.

    Raises:
        OSError: the store refuses or is out of reach.
    """
    return _ask(url, lambda filesystem: bool(filesystem.exists(url)))


def read_text(url: str) -> str:
    """The text of a file.

    Raises:
        OSError: there is none, or the store refuses.
    """
    return _ask(url, lambda filesystem: bytes(filesystem.cat_file(url)).decode())


def modified(url: str) -> float:
    """When a file was written, Unix seconds.

    Raises:
        OSError: there is none, or the store refuses.
    """
    return _ask(url, lambda filesystem: float(filesystem.modified(url).timestamp()))


def copy(url: str, folder: Path) -> None:
    """Copies the files below a URL that are not in `folder` yet, or have another size there.

    Raises:
        OSError: the store refuses.
    """
    with _fsspec() as fsspec:
        filesystem, root = fsspec.core.url_to_fs(url)
        filesystem.invalidate_cache()
        for path, found in filesystem.find(root, detail=True).items():
            target = folder / path[len(root) :].lstrip("/")
            if not target.exists() or target.stat().st_size != found["size"]:
                target.parent.mkdir(parents=True, exist_ok=True)
                filesystem.get_file(path, str(target))


def write(url: str, content: bytes) -> None:
    """Writes a file.

    Raises:
        OSError: the store refuses.
    """
    with _fsspec() as fsspec, fsspec.open(url, "wb") as file:
        file.write(content)


def _ask(url: str, question: Callable[[Any], T]) -> T:
    """The answer of the store, in a thread that nobody waits for when it takes too long."""
    answers: list[T] = []
    faults: list[OSError] = []

    def ask() -> None:
        try:
            with _fsspec() as fsspec:
                answers.append(question(fsspec.filesystem(fsspec.utils.get_protocol(url))))
        except OSError as error:
            faults.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(LONGEST_SECS)
    if answers:
        return answers[0]
    raise faults[0] if faults else TimeoutError(f"no answer within {LONGEST_SECS:.0f} s")


@contextlib.contextmanager
def _fsspec() -> Iterator[Any]:
    # Read when gcsfs is imported: else it asks over gRPC what kind of bucket it has, and says so.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it prints stacks; the fault is raised
    try:
        import fsspec

        yield fsspec
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
