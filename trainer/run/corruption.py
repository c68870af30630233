"""The comparison of replicas: one whose state differs is named, and the run ends with 203."""

import collections
import dataclasses
import hashlib

import numpy as np

from common.exit_codes import ExitCode, RunError
from common.listing import listed
from trainer.cluster.consensus import Consensus
from trainer.data.serving.input_pipeline import MAX_STEPS_PER_CALL
from trainer.engine import replica_hashes
from trainer.run import boundaries
from trainer.run.checkpoints import Checkpoints
from trainer.run.session import Session
from trainer.run.state import RunState

_SHOWN = 3


@dataclasses.dataclass
class Comparison:
    """Compares the replicas of a run.

    Attributes:
        session: of the run.
        checkpoints: to go back to.
        consensus: of the workers; all of them compare at the same steps.
        equal_step: at which all replicas were last seen to be equal.
    """

    session: Session
    checkpoints: Checkpoints
    consensus: Consensus
    equal_step: int

    def is_due(self, state: RunState) -> bool:
        """Whether this step is to be compared and was not; also after a restart."""
        request = self.session.request
        due = boundaries.digest_is_due(request.config, request.plan, state.step)
        return due and state.digested_step != state.step

    def digests(self, state: RunState) -> dict[str, str]:
        """Compare; return what `metrics.jsonl` says of it.

        Raises:
            RunError: CORRUPTED with the replica and the variable.
        """
        hashes = self._compared(state.step)
        state.digested_step = state.step
        return digest_line(hashes)

    def confirm(self, state: RunState) -> None:
        """Compare before the last save of a process, which a later start would restore."""
        if self.session.request.config.digest_every_steps and self.equal_step != state.step:
            self._compared(state.step)

    def confirm_save(self, state: RunState, *, by_time: bool) -> None:
        """Compare before a save that the clock asks for, and before that of the best step."""
        if by_time or state.best_step == state.step:
            self.confirm(state)

    def _compared(self, step: int) -> np.ndarray:
        with self.checkpoints.phases.phase("compare", book="other"):
            hashes = self.session.hashes()
        if (hashes != hashes[0]).any():
            raise self._corrupted(hashes, step)
        self.equal_step = step
        return hashes[0]

    def _corrupted(self, hashes: np.ndarray, step: int) -> RunError:
        """Name the replica, and set aside the checkpoints that may hold its fault."""
        names = [
            name
            for name, column in zip(self.session.task.state(), hashes.T, strict=True)
            if (column != column[0]).any()
        ]
        self.checkpoints.saver.wait()  # no worker may read while the chief still writes
        self.consensus.wait_for_all()
        if self.session.request.is_chief:
            self.checkpoints.saver.store.distrust(self.equal_step)
        self.consensus.wait_for_all()
        wrong = minority(hashes) or self._by_replay(names[0], step)
        return RunError(
            ExitCode.CORRUPTED,
            f"{self._named(wrong)} at step {step} and not at step {self.equal_step}, in "
            f"{listed(names, _SHOWN)}: "
            "memory or a card went wrong; the same command goes on from a checkpoint of before; "
            "have the hardware looked at",
        )

    def _by_replay(self, name: str, step: int) -> list[int]:
        """Make the steps again from a checkpoint; return the replica that is furthest from them.

        All replicas have spoiled each other by now, through the sums of their gradients, but only
        one of them holds what was flipped as well.
        """
        session = self.session
        variable = session.task.state()[name]
        copies = replica_hashes.gathered(session.strategy, variable)
        restored = self.checkpoints.restore(session)
        if restored is None:
            return []
        for first in range(restored.step, step, MAX_STEPS_PER_CALL):
            with self.checkpoints.phases.phase("restore"):
                session.train(first, min(MAX_STEPS_PER_CALL, step - first))
        return furthest(copies, np.asarray(variable.numpy()))

    def _named(self, wrong: list[int]) -> str:
        cluster, total = self.consensus.cluster, self.session.strategy.num_replicas_in_sync
        if not wrong:
            return f"the {total} replicas differ, and it cannot be told which of them is wrong,"
        each = total // cluster.num_workers  # gathered worker by worker
        of = {r: f" (worker {r // each}, {cluster.workers[r // each]})" for r in wrong
              if cluster.num_workers > 1}  # fmt: skip
        named = ", ".join(f"replica {r} of {total}{of.get(r, '')}" for r in wrong)
        return f"{named} differs from the rest"


def digest_line(hashes: np.ndarray) -> dict[str, str]:
    """Return "digest" of int64[variables], and "digest_of_variables", 4 digits for each."""
    rows = np.ascontiguousarray(hashes, "<i8")
    # Not the low digits of the sums: a high bit that flips changes none of them.
    each = (hashlib.sha256(row.tobytes()).hexdigest()[:4] for row in rows)
    whole = hashlib.sha256(rows.tobytes()).hexdigest()[:16]
    return {"digest": whole, "digest_of_variables": "".join(each)}


def minority(hashes: np.ndarray) -> list[int]:
    """Return the replicas that differ from the majority; [] if there is no majority."""
    rows = [row.tobytes() for row in hashes]
    ((most, count),) = collections.Counter(rows).most_common(1)
    return [i for i, row in enumerate(rows) if row != most] if 2 * count > len(rows) else []


def furthest(copies: np.ndarray, truth: np.ndarray) -> list[int]:
    """Return the replica whose copy [R, ...] is furthest from the truth; [] where two are alike."""
    axes = tuple(range(1, copies.ndim))
    with np.errstate(all="ignore"):
        apart = np.abs(copies.astype(np.float64) - truth.astype(np.float64)).sum(axis=axes)
    apart = np.nan_to_num(apart, nan=np.inf)
    most = int(apart.argmax())
    return [most] if (np.delete(apart, most) < apart[most]).all() else []
