"""A trial without a trainer: it learns at its rate, a step at a time, and can be killed anywhere.

Like the trainer it resumes in its workdir, drops the summary when it goes on, and refuses a length
below the step that it has reached.
"""

import json
import sys
import time
from pathlib import Path


def value(flag: str) -> str:
    return [arg.partition("=")[2] for arg in sys.argv if arg.startswith(f"--{flag}=")][-1]


def main() -> int:
    workdir, steps = Path(value("workdir")), int(value("config.train_steps"))
    rate = float(value("config.rate"))
    workdir.mkdir(parents=True, exist_ok=True)
    step_file, summary = workdir / "step", workdir / "summary.json"
    step = int(step_file.read_text()) if step_file.exists() else 0
    if step > steps or rate > 0.9:
        return 78
    if step < steps:
        summary.unlink(missing_ok=True)
    while step < steps:
        time.sleep(0.005)
        step += 1
        partial = workdir / "part"
        partial.write_text(str(step))
        partial.replace(step_file)
    accuracy = rate * step / (1 + rate * rate * step)  # who is fast at first is not so at the end
    summary.write_text(json.dumps({"step": step, "eval": {"accuracy": accuracy}}))
    return 0


sys.exit(main())
