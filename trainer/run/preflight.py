"""`python -m trainer.run.preflight`: command lines judged without TensorFlow and without data.

The launcher asks before it sends a job: a mistake in a config then costs a moment here, and no wait
for machines. Reads a JSON list of argument lists from standard input, and ends as the trainer would
for the first that is wrong. An experiment that imports what is not here is judged in the pod.
"""

import importlib.machinery
import json
import sys
from collections.abc import Sequence
from types import ModuleType

from common import redaction
from common.exit_codes import ExitCode, RunError
from trainer import user_code
from trainer.run import command_line

_HEAVY = ("tensorflow", "keras")


class _LeaveOut:
    """Makes the import of TensorFlow an error: it takes seconds, and is not on every machine."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        del path, target
        if name in _HEAVY:
            raise ImportError(f"{name} is left out of this check")
        return None


def main() -> ExitCode:
    """Judge the command lines of standard input."""
    sys.meta_path.insert(0, _LeaveOut())
    for args in json.load(sys.stdin):
        try:
            with user_code.refusing_exit():
                command_line.check(["trainer", *args])
        except RunError as error:
            if not isinstance(error.__cause__, ImportError):
                redaction.complain(error.code.last_line(error.reason))
                return error.code
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
