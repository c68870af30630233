"""A worker without a trainer: each argument `INDEX@ATTEMPT:ACTION` says what one of them does.

Actions: exit=N, kill (by SIGKILL), sleep (until SIGTERM, then 143), onterm=N (the code
at SIGTERM), env=NAME, cores, print=TEXT, await=PATH (until it exists),
stacks (offer them).
`*` stands for every index or attempt. Attempts are counted by files in the workdir.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    script = [arg for arg in sys.argv[1:] if not arg.startswith("--")]
    workdir = Path([arg for arg in sys.argv if arg.startswith("--workdir=")][-1][10:])
    workdir.mkdir(parents=True, exist_ok=True)
    index = os.environ["JOB_COMPLETION_INDEX"]
    attempt = len(list(workdir.glob(f"started-{index}-*")))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    (workdir / f"started-{index}-{attempt}").touch()
    for step in script:
        who, _, action = step.partition(":")
        wanted_index, _, wanted_attempt = who.partition("@")
        if wanted_index in ("*", index) and wanted_attempt in ("*", str(attempt)):
            act(action)
    (workdir / "summary.json").write_text(json.dumps({"eval": {"accuracy": 0.5}}))


def act(action: str) -> None:
    name, _, value = action.partition("=")
    match name:
        case "exit":
            sys.exit(int(value))
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stacks":
            from common import stacks

            stacks.offer()
        case "sleep":
            time.sleep(60)
        case "env":
            print(f"{value}={os.environ.get(value)}", flush=True)
        case "onterm":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(value)))
        case "cores":
            print(f"cores={sorted(os.sched_getaffinity(0))}", flush=True)
        case "await":
            while not Path(value).exists():
                time.sleep(0.02)
        case "print":
            print(value, flush=True)


main()
