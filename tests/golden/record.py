"""Records the golden loss curve: `python -m tests.golden.record`; a new one is a reviewed diff."""

import json
import pathlib
import subprocess
import sys
import tempfile

from tests.processes import ROOT

CURVE = pathlib.Path(__file__).parent / "digits_100_steps.json"
COMMAND = ["--config=digits", "--config.train_steps=100", "--config.log_every_steps=10"]


def kind_of_cpu(file: pathlib.Path = pathlib.Path("/proc/cpuinfo")) -> str:
    """Return what decides which kernels run and how they cut their work: make and model."""
    lines = file.read_text().splitlines() if file.is_file() else []
    values = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    known = [values.get(key, "?") for key in ("vendor_id", "cpu family", "model")]
    able = values.get("flags", values.get("Features", "")).split()  # ARM has "Features"
    widest = next((f for f in ("avx512_bf16", "avx512f", "avx2") if f in able), "other")
    return " ".join([*known, widest])


def measure() -> dict[str, object]:
    """Train 100 steps; return losses as exact hexadecimal numbers, and the digest."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "trainer", f"--workdir={folder}", *COMMAND],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        workdir = pathlib.Path(folder)
        lines = [json.loads(s) for s in (workdir / "metrics.jsonl").read_text().splitlines()]
        losses = {str(x["step"]): x["train/loss"].hex() for x in lines if "train/loss" in x}
        digest = json.loads((workdir / "summary.json").read_text())["state_digest"]
    return {"cpu": kind_of_cpu(), "losses": losses, "state_digest": digest}


if __name__ == "__main__":
    CURVE.write_text(json.dumps(measure(), indent=1) + "\n")
