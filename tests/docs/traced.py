"""Runs the trainer, and prints which of its files ran, and which inside the first call of the loop.

python -m tests.docs.traced --config=digits --workdir=...
"""

import json
import os
import sys
from types import FrameType
from typing import Any

from tests.processes import ROOT

FOLDER = f"{ROOT}{os.sep}trainer{os.sep}"


def main(argv: list[str]) -> int:
    """Return the exit code of the run."""
    from trainer import __main__ as command
    from trainer.engine.inner_loop import InnerLoop
    from trainer.run import loop

    assert loop  # what imports do is over before anything is noted
    everywhere: set[str] = set()
    inside: set[str] = set()
    noted = [everywhere]
    real = InnerLoop.__call__

    def first_call(self: InnerLoop, first_step: int, num_steps: int) -> Any:
        InnerLoop.__call__ = real
        noted.append(inside)
        try:
            return real(self, first_step, num_steps)
        finally:
            noted.pop()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(FOLDER) and code.co_name != "<module>":
            for files in noted:
                files.add(code.co_filename.removeprefix(f"{ROOT}{os.sep}"))

    InnerLoop.__call__ = first_call
    sys.setprofile(note)
    code = command.main(["trainer", "--config.eval_before_training=false", *argv])
    sys.setprofile(None)
    print(json.dumps({"all": sorted(everywhere), "inside": sorted(inside)}))
    return code


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
