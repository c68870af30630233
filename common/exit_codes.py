"""Why a run ended: the one enum from which docs, manifests and retry policies are generated."""

import enum

from common.redaction import redact


class ExitCode(enum.IntEnum):
    """Exit code of a trainer process. Every code that may be retried is >= 128."""

    meaning: str
    advice: str

    def __new__(cls, value: int, meaning: str, advice: str) -> "ExitCode":
        """Attach the meaning and the advice to the number."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        code.advice = advice
        return code

    DONE = 0, "done", "nothing to do"
    BAD_FLAG = 64, "bad flag", "correct the command line"
    BAD_DATA = 65, "data corrupt, or every checkpoint corrupt", "repair or replace the named file"
    PARTED = 66, "`verify`: a replay came out otherwise", "look at what the last line says differs"
    BUG = 70, "bug, or divergence after the rollback budget", "read the log above the last line"
    BAD_CONFIG = (
        78,
        "bad config, cluster description, or checkpoint that does not match the model",
        "correct the named field",
    )
    STOPPED = 143, "stopped by SIGTERM, state saved", "start the same command to go on"
    TRANSIENT = (
        200,
        "storage or network transient, retry budget spent",
        "start the same command to go on; check the storage if it repeats",
    )
    PEER_LOST = 201, "peer lost", "restart all workers; look at the worker that left first"
    HANG = 202, "hang, or start-up deadline", "read the stacks in the log of the worker named"
    CORRUPTED = (
        203,
        "silent data corruption: a replica holds another state",
        "start the same command to go on; have the memory or the card of that replica looked at",
    )

    @property
    def retriable(self) -> bool:
        """Whether the same command may succeed when it is started again."""
        return self >= 128

    def last_line(self, reason: str) -> str:
        """Return the line by which a process says why it ends."""
        return f"{self.name.lower()} ({int(self)}): {redact(reason)}"


class RunError(Exception):
    """An end that the user can act on: becomes one last line and an exit code, never a traceback.

    Args:
        code: the exit code of the process.
        reason: one line: what was wrong, where, the value, what to change.
    """

    def __init__(self, code: ExitCode, reason: str) -> None:
        line = redact(" ".join(reason.split()))
        super().__init__(line)
        self.code = code
        self.reason = line
