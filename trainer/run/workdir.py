"""The folder of a run: whose it is, and where it really lies."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common import files
from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config import TrainConfig, essential_difference
from trainer.config.conversion import to_plain
from trainer.lineage import Parent
from trainer.storage.failures import local_io

_SMALL_FILES = (
    "config.json",
    "metrics.jsonl",
    "goodput.json",
    "trackers.json",
    "skipped.jsonl",
    "summary.json",
    "report.html",
)
_FOLDERS = ("tensorboard", "evaluations", "pictures")
_PARENT = "parent"
"""In `config.json`, beside the fields of the config."""


class Workdir:
    """A folder here, and for a remote run its mirror.

    Attributes:
        path: where files are read and written.
        url: of the mirror; empty for a local run.
    """

    def __init__(self, path: Path, url: str = "") -> None:
        self.path = path
        self.url = url

    @property
    def shown(self) -> str:
        """As the user wrote it."""
        return self.url or str(self.path)

    @property
    def checkpoints_url(self) -> str:
        """Mirror of the checkpoints; empty for a local run."""
        return f"{self.url}/checkpoints" if self.url else ""

    def claim(self, config: TrainConfig, *, is_chief: bool) -> bool:
        """Create the workdir, or refuse one that belongs to another experiment.

        Returns:
            whether it belonged to none.

        Raises:
            RunError: BAD_CONFIG with what differs.
        """
        plain, old = to_plain(config), self.config()
        if old is not None and (changed := essential_difference(old, plain)):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"--workdir={self.shown} holds a run of another config ({'; '.join(changed)}); "
                "use that config, or another --workdir",
            )
        # A config.json says whose the files are; without one they may be anybody's.
        if is_chief and old is None and (foreign := self._foreign()):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"--workdir={self.shown} holds {', '.join(foreign)} and no config.json: these are "
                "of something else and would be overwritten; use an empty folder",
            )
        if is_chief and old != plain:
            self._write_config(plain, self.parent())
        return old is None

    def config(self) -> dict[str, Any] | None:
        """Return the config of the run that the workdir holds, plain; None: it holds none."""
        found = self._read_config()
        return found and {name: value for name, value in found.items() if name != _PARENT}

    def parent(self) -> dict[str, Any] | None:
        """Return what the run was started from (`lineage.Parent`), plain; None: from its seed."""
        return (self._read_config() or {}).get(_PARENT)

    def note_parent(self, parent: Parent) -> None:
        """Write into `config.json` what the run was started from."""
        self._write_config(self.config() or {}, parent.to_plain())

    def _read_config(self) -> dict[str, Any] | None:
        path = self.path / "config.json"
        return _read_config(path, self.shown) if path.is_file() else None

    def _write_config(self, plain: Mapping[str, Any], parent: Mapping[str, Any] | None) -> None:
        whole = {**plain, **({_PARENT: parent} if parent else {})}
        with local_io(self.path, "--workdir"):
            self.path.mkdir(parents=True, exist_ok=True)
            text = json.dumps(whole, indent=2) + "\n"
            files.write_text(self.path / "config.json", text, durable=True)

    @contextlib.contextmanager
    def claimed(self, config: TrainConfig, *, is_chief: bool) -> Iterator[None]:
        """Claim the workdir, and take a first claim back where the block refuses the config.

        A config that fits nothing leaves the folder free for the corrected one.
        """
        is_first = self.claim(config, is_chief=is_chief)
        with self.given_back_if_refused(is_chief=is_chief and is_first):
            yield

    @contextlib.contextmanager
    def given_back_if_refused(self, *, is_chief: bool) -> Iterator[None]:
        """Leave the folder, in which nothing was trained, to another config than a refused one."""
        try:
            yield
        except RunError as error:
            if is_chief and error.code is ExitCode.BAD_CONFIG:
                with local_io(self.path, "--workdir"):
                    (self.path / "config.json").unlink(missing_ok=True)
            raise

    def _foreign(self) -> list[str]:
        """Name what is there under a name that a run writes to."""
        written = {*_SMALL_FILES, *_FOLDERS, "checkpoints"}
        written.remove("goodput.json")  # which a start that was refused leaves alone
        return [name for name in sorted(written) if (self.path / name).exists()]

    def publish(self) -> None:
        """Mirror everything but the checkpoints; does nothing for a local run."""
        if not self.url:
            return
        boards = [p for name in _FOLDERS for p in self.path.glob(f"{name}/**/*") if p.is_file()]
        files = [self.path / name for name in _SMALL_FILES]
        for path in [p for p in files if p.is_file()] + boards:
            with _as_it_is(path) as copy:
                storage.upload(copy, f"{self.url}/{path.relative_to(self.path).as_posix()}")

    def drop_summary(self) -> None:
        """Take away the summary of an earlier end: the run goes on."""
        path = self.path / "summary.json"
        if path.is_file():
            with local_io(path, "--workdir"):
                path.unlink()
            if self.url:
                storage.delete_file(f"{self.url}/{path.name}")

    def rewind(self, step: int) -> None:
        """Drop the lines of `metrics.jsonl` that come again: those after `step`, and goodput."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and _stays(json.loads(line), step)]
        if kept != lines:
            with local_io(path, "--workdir"):
                files.write_text(path, "".join(kept), durable=True)


def _stays(line: Mapping[str, Any], step: int) -> bool:
    # Goodput is told at every end of a run, and an end may come more than once.
    return line["step"] <= step and "goodput" not in line


@contextlib.contextmanager
def opened(where: str) -> Iterator[Workdir]:
    """Give the workdir `where`: a path, or a URL whose small files are brought here."""
    if not storage.is_remote(where):
        yield Workdir(Path(where))
        return
    path = Path(tempfile.mkdtemp(prefix="lockstep-"))
    workdir = Workdir(path, where.rstrip("/"))
    try:
        for name in _SMALL_FILES:
            with contextlib.suppress(storage.MissingError):
                storage.download(f"{workdir.url}/{name}", path / name)
        yield workdir
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _as_it_is(path: Path) -> Iterator[Path]:
    """Give a copy of a file that the run goes on writing to: an upload is compared with one sum."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        copy = Path(folder) / path.name
        with local_io(copy, "TMPDIR"):
            shutil.copyfile(path, copy)
        yield copy


def _read_config(path: Path, where: str) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            ExitCode.BAD_DATA,
            f"--workdir={where}: config.json cannot be read ({type(error).__name__}); restore it, "
            "or use another --workdir",
        ) from error
