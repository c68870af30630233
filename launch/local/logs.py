"""Reads the logs of all workers while they grow, line by line, with a prefix."""

from collections.abc import Iterator
from pathlib import Path


class LogFollower:
    """Remembers how far each log file was read.

    Args:
        folder: where the logs are; files may appear later.
        only: the unit to read, for example "worker-1", or "" for all.
    """

    def __init__(self, folder: Path, only: str = "") -> None:
        self._folder = folder
        self._pattern = f"{only}.attempt-*.log" if only else "*.log"
        self._offsets: dict[Path, int] = {}

    def read(self, flush: bool = False) -> Iterator[str]:
        """The lines written since the last call, each as `[worker 0] text`.

        Args:
            flush: whether a last line without its end is given too.
        """
        for path in sorted(self._folder.glob(self._pattern), key=_attempt):
            with path.open("rb") as log:
                log.seek(self._offsets.get(path, 0))
                data = log.read()
            end = len(data) if flush else data.rfind(b"\n") + 1
            self._offsets[path] = self._offsets.get(path, 0) + end
            prefix = path.name.partition(".")[0].replace("-", " ")
            for line in data[:end].decode(errors="replace").splitlines():
                yield f"[{prefix}] {line}"


def last_lines(path: Path, count: int = 5) -> tuple[str, ...]:
    """The last lines of a log that are not empty; reads at most 16 KiB."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - 16_384))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ()
    return tuple([line for line in lines if line.strip()][-count:])


def _attempt(path: Path) -> tuple[int, str]:
    return int(path.name.split("-")[-1].removesuffix(".log")), path.name
