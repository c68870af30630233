"""A run that does nothing but hold a workdir, and say so at each of its writes.

python lock_holder.py WORKDIR LOG NAME SPACE JOB: writes lines `NAME` to LOG until it is killed or
refused; freezes itself, between two writes, where LOG.freeze-NAME exists; ends at LOG.end-NAME.
"""

import os
import signal
import sys
import time
from pathlib import Path

from common import processes
from common.exit_codes import RunError
from trainer.run import workdir_lock

BEAT_SECS, STALE_SECS = 0.3, 3.0


def main(where: str, log: Path, name: str, space: str, job: str) -> None:
    here = processes.space()
    processes.space = lambda: f"{space}{here}"  # as if on another machine
    environment = {"LOCKSTEP_JOB": job} if job else {}
    times = {"beat_secs": BEAT_SECS, "stale_secs": STALE_SECS}
    with workdir_lock.held(where, environment=environment, **times) as check:
        while not Path(f"{log}.end-{name}").exists():
            check()
            with log.open("a") as out:
                out.write(f"{name}\n")
            if Path(f"{log}.freeze-{name}").exists():
                Path(f"{log}.freeze-{name}").unlink()
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.02)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
    except RunError as error:
        print(error.code.last_line(error.reason))
        sys.exit(error.code)
