"""SIGTERM in the first moments of a process that is the first of its container.

The kernel spares process 1 every signal for which it has no handler, and a program takes a while to
install its own: until then it would be deaf, and be killed after the whole grace period. Importing
this module is all; import it first. It imports nothing of ours itself: the signal may come in the
middle of any import.
"""

import os
import signal

_STOPPED = 143
_LINE = b"stopped (143): SIGTERM; nothing was begun to save\n"


def _stop(_number: int, _frame: object) -> None:
    os.write(2, _LINE)
    os._exit(_STOPPED)


if os.getpid() == 1:
    signal.signal(signal.SIGTERM, _stop)
