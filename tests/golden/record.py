"""Records golden curves: `python -m tests.golden.record` adds the processor that it runs on.

A recording of a kind that is there already is replaced: that is a reviewed diff.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from tests.processes import ROOT
from trainer.version import kind_of_cpu

CURVES = pathlib.Path(__file__).parent / "curves.json"
EXPERIMENTS = {
    "digits": ["--config=digits", "--config.train_steps=100", "--config.log_every_steps=10"],
    "smooth": ["--config=tests/golden/smooth.py"],
}
KIND_OF_PAGES = "AuthenticAMD 26 2 avx2 avx512f avx512_vnni avx512_bf16"
"""The processor whose digests stand on the pages."""
_NAMES = ("train/loss", "train/gradient_norm", "eval/loss", "learning_rate")


def measure(experiment: str) -> dict[str, object]:
    """Train 100 steps; return "STEP NAME" -> exact hexadecimal number, and the digest."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "trainer", f"--workdir={folder}", *EXPERIMENTS[experiment]],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        workdir = pathlib.Path(folder)
        lines = [json.loads(s) for s in (workdir / "metrics.jsonl").read_text().splitlines()]
        digest = json.loads((workdir / "summary.json").read_text())["state_digest"]
    values = {f"{x['step']} {name}": x[name].hex() for x in lines for name in _NAMES if name in x}
    return {"values": values, "state_digest": digest}


if __name__ == "__main__":
    recorded = json.loads(CURVES.read_text())
    recorded[kind_of_cpu()] = {name: measure(name) for name in EXPERIMENTS}
    CURVES.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
