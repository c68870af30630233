"""Local paths of shards, wherever they are: remote ones are brought here ahead of reading."""

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.data.records.staging import Stager, stat_shard
from trainer.storage.failures import local_read
from trainer.storage.stage_dir import OURS

OpenShard = Callable[[int], contextlib.AbstractContextManager[Path]]
_SHARE_OF_FREE_DISK = 0.8
_KEPT_BYTES = 64 << 30  # a generator that never ends fills no disk


@dataclasses.dataclass(frozen=True)
class Stage:
    """Where copies of remote shards are kept; no part of this may change a result.

    Attributes:
        dir: on a local disk, shared by the processes of one host; empty: a folder for temporaries.
        num_bytes: of all copies together; 0: most of what is free but for them.
        num_sharers: readers that share the folder.
        apart: TensorFlow must not be used in this process before the workers are connected.
    """

    dir: str = ""
    num_bytes: int = 0
    num_sharers: int = 1
    apart: bool = False

    @property
    def path(self) -> Path:
        """The folder of the copies."""
        return Path(self.dir) if self.dir else Path(tempfile.gettempdir()) / "lockstep-stage"

    @property
    def index_path(self) -> Path:
        """The folder of kept indexes, 20 bytes a record; not counted in the budget."""
        return self.path / "index"

    @property
    def plain_path(self) -> Path:
        """The folder of what was compressed; not counted in the budget."""
        return self.path / "plain"

    @property
    def kept_path(self) -> Path:
        """The folder of what could only be read from first to last; see `kept_limit`."""
        return self.path / "kept"

    def kept_limit(self) -> int:
        """Return the bytes that the examples of one split may take there."""
        return self.num_bytes or min(self.budget(), _KEPT_BYTES)

    def budget(self) -> int:
        """Return the bytes that all copies may take together."""
        if self.num_bytes:
            return self.num_bytes
        existing = next(p for p in (self.path, *self.path.parents) if p.exists())
        usable = shutil.disk_usage(existing).free + staged_bytes(self.path)
        return int(usable * _SHARE_OF_FREE_DISK)


def staged_bytes(folder: Path) -> int:
    """Return the bytes of all copies in a folder; others may bring and evict some meanwhile."""
    total = 0
    for path in folder.glob("*"):
        if OURS.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
    return total


@contextlib.contextmanager
def open_shards(
    urls: Sequence[str], visits: Sequence[int], stage: Stage, *, expand: bool = True
) -> Iterator[OpenShard]:
    """Give a function that opens the shard of a visit: a context with its local path.

    Args:
        urls: of the shards.
        visits: number of the shard of each visit, in the order of reading; one may come again.
        stage: for remote ones.
        expand: give a plain copy of a file that is compressed with gzip or zlib.
    """

    def opened(
        path: contextlib.AbstractContextManager[Path], visit: int
    ) -> contextlib.AbstractContextManager[Path]:
        return _plain(path, urls[visits[visit]], stage) if expand else path

    if not any(storage.is_remote(url) for url in urls):
        yield lambda visit: opened(contextlib.nullcontext(Path(urls[visits[visit]])), visit)
        return
    with Stager(
        [urls[number] for number in visits],
        stage.path,
        stage.budget(),
        num_sharers=stage.num_sharers,
    ) as stager:
        yield lambda visit: opened(stager.open(visit), visit)


@contextlib.contextmanager
def _plain(
    opened: contextlib.AbstractContextManager[Path], url: str, stage: Stage
) -> Iterator[Path]:
    """Give the path of a shard that is not compressed: the file itself, or a copy of it."""
    from trainer.data.records import compressed  # NumPy starts threads, see `run.request`

    with opened as path:
        yield compressed.plain(path, url, stage.plain_path)


def file_bytes(url: str) -> int:
    """Return the size of a file, local or remote.

    Raises:
        RunError: BAD_DATA where it is not there, and see `local_read` and `stat_shard`.
    """
    with local_read(url):
        return stat_shard(url).size if storage.is_remote(url) else Path(url).stat().st_size


def read_text(url: str) -> str:
    """Return a small text file, local or remote.

    Raises:
        RunError: BAD_DATA where a local file cannot be read; for a remote one see `storage`.
    """
    try:
        return (
            storage.read_bytes(url) if storage.is_remote(url) else Path(url).read_bytes()
        ).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(ExitCode.BAD_DATA, f"{url}: cannot be read: {error}") from error
