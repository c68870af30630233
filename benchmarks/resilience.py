"""What dying costs: stall of saves, restore, resume far into a run, goodput with ten kills.

    python -m benchmarks.resilience [--kills=10] [--page=FILE]

Each part runs in a process of its own; medians are shown. The run that is killed trains the default
model on the digits: its steps take milliseconds, so most of each process is its start. What a
failure costs there is put into a simulation of a run that fails every three hours.
"""

import argparse
import datetime
import functools
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.monitoring.goodput import young_interval

_RUN = ("--config=digits", "--config.log_every_steps=100000")
_MTBF = 3 * 3600.0


def main() -> None:
    """Measure all parts, or the one that is named; write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", nargs="?", choices=list(PARTS))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part]()))
        return
    found: dict[str, Any] = {"load": os.getloadavg()[0]}
    found.update((part, _measure(part)) for part in PARTS)
    with tempfile.TemporaryDirectory() as folder:
        found["killed"] = _killed_run(Path(folder) / "run", options.kills, options.steps)
    found["simulated"] = _simulate(found["killed"], found["saves"])
    print(json.dumps(found, indent=1))
    if options.page:
        options.page.parent.mkdir(exist_ok=True)
        options.page.write_text(_page(found, options.kills))


def _measure(part: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.resilience", part]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _saves() -> dict[str, float]:
    """Stall of the loop by a save in the background, and the times of save and restore."""
    from benchmarks.sessions import open_digits
    from trainer import checkpoint
    from trainer.monitoring.watchdog import Watchdog

    live = open_digits()
    with tempfile.TemporaryDirectory() as folder:
        store = checkpoint.Store(Path(folder))
        saver = checkpoint.Saver(store, Watchdog(600, 600))
        live.train(0, 64)
        plain = _median_secs(lambda n: live.train(64 * n, 64)) / 64
        stalls, slowed, writes = [], [], []
        for n in range(20):
            started = time.perf_counter()
            saver.start(live.read_state(), checkpoint.Meta(n), ())
            saved = time.perf_counter()
            live.train(64 * n, 64)
            slowed.append((time.perf_counter() - saved) / 64)
            stalls.append(saved - started)
            saver.wait()
            writes.append(saver.save_secs)
        restore = _median_secs(lambda _: _restore(live, store, checkpoint))
        saver.close()
        size = sum(p.stat().st_size for p in next(Path(folder).glob("step_*")).iterdir())
    stall = statistics.median(stalls)
    slowed_by = max(0.0, statistics.median(slowed) - plain) * 64
    return {
        "step_secs": plain,
        "stall_secs": stall,
        "slowed_secs": slowed_by,
        "save_secs": statistics.median(writes),
        "restore_secs": restore,
        "checkpoint_bytes": size,
        "share_every_1000_steps": (stall + slowed_by) / (1000 * plain),
    }


def _restore(live: Any, store: Any, checkpoint: Any) -> None:
    path, _ = store.newest_valid()
    live.write_state(checkpoint.read(path)[0])


def _resume(serve: str) -> dict[str, float]:
    """Seconds of the first call at step 0 and far into a run; the data state is the step itself."""
    from benchmarks.sessions import FAR, open_digits

    live = open_digits(serve)
    live.train(0, 1)
    times: dict[int, list[float]] = {0: [], FAR: []}
    for _ in range(20):
        for step, found in times.items():
            started = time.perf_counter()
            live.train(step, 1)
            found.append(time.perf_counter() - started)
    near, far = (statistics.median(found) for found in times.values())
    return {"at_0_secs": near, "at_1e9_secs": far, "ratio": far / near}


PARTS: dict[str, Callable[[], dict[str, float]]] = {
    "saves": _saves,
    "resident": functools.partial(_resume, "resident"),
    "stream": functools.partial(_resume, "stream"),
}


def _killed_run(workdir: Path, kills: int, steps: int) -> dict[str, Any]:
    """Kill one run at random times until it has been killed often enough, then let it end."""
    rng = random.Random(0)  # noqa: S311 - reproducible, not secret
    command = [sys.executable, "-m", "trainer", f"--workdir={workdir}", *_RUN]
    command += [f"--config.train_steps={steps}", f"--config.eval_every_steps={steps}"]
    command += ["--config.checkpoint_every_steps=500"]
    for kill in range(kills):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while _attempts(workdir) <= kill:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 6))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True)
    return json.loads((workdir / "summary.json").read_text())["goodput"]


def _attempts(workdir: Path) -> int:
    """Return how many processes have come as far as training."""
    path = workdir / "goodput.json"
    return len(json.loads(path.read_text())) if path.exists() else 0


def _simulate(killed: dict[str, Any], saves: dict[str, float]) -> dict[str, float]:
    """Die at random every three hours; a failure costs what it cost in the killed run."""
    rng, starting = random.Random(0), ("start", "restore", "compile")  # noqa: S311
    restart = sum(killed["seconds"][name] for name in starting) / killed["attempts"]
    cost = saves["stall_secs"] + saves["slowed_secs"]
    every = max(10.0, young_interval(saves["save_secs"], _MTBF))
    lived = productive = 0.0
    for _ in range(10_000):
        life = rng.expovariate(1 / _MTBF)
        intervals = max(0.0, life - restart) // (every + cost)
        productive += intervals * every
        lived += life
    return {"restart_secs": restart, "every_secs": every, "goodput": productive / lived}


def _median_secs(call: Callable[[int], object]) -> float:
    times = []
    for n in range(20):
        started = time.perf_counter()
        call(n)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _page(found: dict[str, Any], kills: int) -> str:
    saves, killed, simulated = found["saves"], found["killed"], found["simulated"]
    total, booked = killed["total_seconds"], sum(killed["seconds"].values())
    rows = [
        ("one step", _ms(saves["step_secs"])),
        ("the loop stops for a save in the background", _ms(saves["stall_secs"])),
        ("the next 64 steps are slower by, in all", _ms(saves["slowed_secs"])),
        ("writing the checkpoint, in the background", _ms(saves["save_secs"])),
        ("share of both, saved every 1,000 steps", f"{saves['share_every_1000_steps']:.3%}"),
        ("finding, checking and restoring a checkpoint", _ms(saves["restore_secs"])),
        *[_row_of_resume(serve, found[serve]) for serve in ("resident", "stream")],
        (
            f"goodput with a failure every three hours, simulated with a restart of "
            f"{simulated['restart_secs']:.1f} s and a save every {simulated['every_secs']:.0f} s",
            f"{simulated['goodput']:.2%}",
        ),
    ]
    buckets = [(name, secs) for name, secs in killed["seconds"].items() if secs >= 0.05]
    return f"""# What dying costs, {datetime.date.today()}

    python {" ".join(sys.orig_argv[1:])}

on {os.cpu_count()} cores of {_processor()}, load average {found["load"]:.1f} at the start.
The default model on the digits, a checkpoint of {saves["checkpoint_bytes"] / 1024:.0f} KiB;
medians of 20.

{_table(("what", "figure"), rows)}

A real run of {total:.0f} s, killed {kills} times, each at most six seconds after training had begun
again: goodput {killed["goodput"]:.1%}. The buckets add up to {booked / total:.2%}:

{_table(("bucket", "seconds"), [(name, f"{secs:.1f}") for name, secs in buckets])}
"""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _row_of_resume(serve: str, part: dict[str, float]) -> tuple[str, str]:
    what = f"first call at step 10^9, at step 0, and their ratio ({serve} data)"
    return what, f"{_ms(part['at_1e9_secs'])}, {_ms(part['at_0_secs'])}, {part['ratio']:.2f}"


def _ms(secs: float) -> str:
    return f"{1e3 * secs:.2f} ms"


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"| {a} | {b} |" for a, b in [head, ("---", "---"), *rows])


if __name__ == "__main__":
    main()
