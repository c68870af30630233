"""The checkpoints of a run: which one to go on from, and which ones to keep."""

import itertools
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from trainer import failpoints, storage
from trainer.checkpoint import folder as one
from trainer.checkpoint.state import Meta, State
from trainer.storage.failures import local_io


class Store:
    """All replicas hold the same state, so the chief writes alone and every worker reads.

    Args:
        folder: of the checkpoints, on this machine.
        url: where they are mirrored to; empty: `folder` is the only place.
        keep: newest checkpoints that are kept.
    """

    def __init__(self, folder: Path, url: str = "", keep: int = 3) -> None:
        self.folder = folder
        self._url = url
        self._keep = keep
        self._damaged: list[Path] = []

    def newest_valid(
        self, usable: Callable[[int], bool] = lambda _: True
    ) -> tuple[Path | None, list[str]]:
        """Return the newest checkpoint that is whole, and why newer ones were passed over.

        Args:
            usable: which steps may be gone back to.

        Raises:
            RunError: BAD_DATA where checkpoints exist and none of them is whole.
        """
        skipped: list[str] = []
        for name in self._names():
            if not usable(one.step_of(name)):
                continue
            reason = self._bring(name) or one.damage(self.folder / name)
            if reason is None:
                return self.folder / name, skipped
            self._damaged.append(self.folder / name)
            skipped.append(f"{name}: {reason}")
        if skipped:
            raise RunError(
                ExitCode.BAD_DATA,
                f"{self._url or self.folder}: no checkpoint is whole ({'; '.join(skipped)}); "
                "restore one from a backup, or start again with another --workdir",
            )
        return None, []

    def steps(self) -> list[int]:
        """Return the steps of all checkpoints, newest first."""
        return [one.step_of(name) for name in self._names()]

    def sweep(self) -> None:
        """Remove what an interrupted save left, and set damaged checkpoints aside."""
        for path in self.folder.glob(f"{one.PARTIAL}*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self._damaged:
            if path.exists():
                with local_io(self.folder, "--workdir"):
                    path.rename(_free_name(path))
        self._damaged.clear()

    def save(
        self, state: State, meta: Meta, *, verified: bool, also_keep: Iterable[int] = ()
    ) -> None:
        """Write a checkpoint, mirror it, and remove old ones.

        Args:
            state: of the run.
            meta: of the state; its step names the checkpoint.
            verified: read it back before it counts.
            also_keep: steps whose checkpoints stay though they are old.

        Raises:
            RunError: TRANSIENT or BAD_CONFIG; earlier checkpoints are untouched then.
        """
        with local_io(self.folder, "--workdir"):
            path = one.write(self.folder, state, meta)
        if verified and (reason := one.damage(path)):
            raise RunError(
                ExitCode.TRANSIENT,
                f"{path} is not what was written: {reason}; check the disk under --workdir",
            )
        if self._url:
            storage.mirror_up(path, f"{self._url}/{path.name}")
        failpoints.reach("checkpoint.before_prune")
        self._prune({one.name_of(s) for s in (meta.step, *also_keep)})

    def _prune(self, also_keep: set[str]) -> None:
        for name in self._names()[self._keep :]:
            if name in also_keep:
                continue
            with local_io(self.folder, "--workdir"):
                one.remove(self.folder / name)
            if self._url:
                storage.mirror_delete(f"{self._url}/{name}")

    def _names(self) -> list[str]:
        """Return the names of all checkpoints, newest first."""
        if self._url:
            found = [url.rpartition("/")[2] for url in storage.list_mirrors(self._url)]
        else:
            found = [path.name for path in self.folder.glob(f"{one.PREFIX}*")]
        mine = [name for name in found if one.step_of(name) >= 0]
        return sorted(mine, key=one.step_of, reverse=True)

    def _bring(self, name: str) -> str | None:
        """Have the checkpoint here; returns why it cannot be."""
        if not self._url:
            return None
        one.remove(self.folder / name)  # a copy here may be of an interrupted save
        try:
            storage.mirror_down(f"{self._url}/{name}", self.folder / name)
        except RunError as error:
            if error.code is not ExitCode.BAD_DATA:
                raise
            return error.reason
        return None


def _free_name(path: Path) -> Path:
    """Return the name for a damaged checkpoint: a step may be damaged more than once."""
    suffixes = itertools.chain([""], (f"_{n}" for n in itertools.count(2)))
    places = (path.with_name(f"damaged_{path.name}{suffix}") for suffix in suffixes)
    return next(place for place in places if not place.exists())
