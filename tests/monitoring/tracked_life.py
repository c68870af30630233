"""One life of a process that is followed: `... WORKDIR TRACKER FINAL_STEP kill|flush|end`.

`kill` comes right after the last final step was sent, `flush` when W&B has written it to a file.
"""

import json
import os
import pathlib
import signal
import sys
import time

from trainer.config import PartConfig
from trainer.monitoring import trackers

workdir, part = pathlib.Path(sys.argv[1]), PartConfig(**json.loads(sys.argv[2]))
final, how = int(sys.argv[3]), sys.argv[4]
(follower,) = trackers.follow([part], workdir, lambda: final)
if how != "end":
    while f'"step": {final},' not in (workdir / trackers.NAME).read_text():
        time.sleep(0.01)
    time.sleep(3.0 if how == "flush" else 0.0)
    os.kill(os.getpid(), signal.SIGKILL)
(workdir / "summary.json").write_text(
    json.dumps({"status": "done", "certificate": {"state": "ab12", "versions": {"keras": "3"}}})
)
trackers._LAST_SECS = 100.0  # a machine under load imports for long
follower.close()
