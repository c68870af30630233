"""What many workers would reach: a prediction from measured costs, checked on one and on two.

    python -m benchmarks.scale [--page=FILE] [--gbit=100] [--latency_us=20] [--mtbf_hours=50000]

A worker owns one microbatch, so that W workers train with W of them. Its step is its time,
plus the exchange of n bytes of partial sums over links of latency a and bandwidth b:

    slices    every worker adds one slice and gathers the others  2 (W - 1) (a + n / (W b))
    gathered  every worker gathers all partials and adds them       (W - 1) (a + n / b)

The exact reduction exchanges slices; what is small it gathers (`trainer/engine/reduction.py`). A
ring all-reduce costs the first row too, so `reduction="fast"` has no row of its own; the two are
measured side by side by `benchmarks.exchange`.

Source: Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH",
2005, sections 4.1, 4.5.
"""

import argparse
import dataclasses
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.processes import free_ports
from trainer.monitoring.goodput import young_interval

_RUN = ("--config=digits", "--config.virtual_replicas=2", "--config.train_steps=800")
_QUIET = ("--config.eval_every_steps=100000", "--profile=100:20")
_BYTES = 4 * 90_410  # the gradients of that model
_WORKERS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

Exchange = Callable[[int, float, float, float], float]


def slices(workers: int, num_bytes: float, latency: float, bandwidth: float) -> float:
    """Return the seconds of the exact exchange, and of a ring all-reduce."""
    return 2 * (workers - 1) * (latency + num_bytes / (workers * bandwidth))


def gathered(workers: int, num_bytes: float, latency: float, bandwidth: float) -> float:
    """Return the seconds of an all-gather of all partial sums."""
    return (workers - 1) * (latency + num_bytes / bandwidth)


EXCHANGES: dict[str, Exchange] = {"exact": slices, "if gathered": gathered}


def goodput(workers: int, mtbf: float, save: float, restart: float) -> float:
    """Return the share of time that stays productive with saves at Young's interval.

    Args:
        workers: any of which stops all.
        mtbf: seconds between failures of one worker.
        save: seconds of stall for each save.
        restart: seconds from a failure until steps are made again.
    """
    between = mtbf / workers
    interval = young_interval(save, between)
    return 1 / ((1 + save / interval) * (1 + (restart + interval / 2) / between))


def main() -> None:
    """Measure one and two workers, predict two and many, print the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gbit", type=float, default=100.0, help="of a link, per second")
    parser.add_argument("--latency_us", type=float, default=20.0)
    parser.add_argument("--mtbf_hours", type=float, default=50_000.0, help="of one worker")
    parser.add_argument("--save_secs", type=float, default=1.0)
    parser.add_argument("--restart_secs", type=float, default=120.0)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    checked, overhead = _check()
    lines = [*checked, "", *_predict(options, overhead)]
    print("\n".join(lines))
    if options.page:
        options.page.write_text("\n".join(lines) + "\n")


@dataclasses.dataclass(frozen=True)
class Measured:
    """Seconds of a run in its settled state.

    Attributes:
        step: median of a step.
        exchange: of the sums of one step between the workers, measured apart from the steps.
    """

    step: float
    exchange: float


def _check() -> tuple[list[str], float]:
    """Find what an exchange costs beyond the wire, and predict a run with a larger batch by it.

    Returns:
        Lines, and that cost in seconds.
    """
    latency, bandwidth = _loopback()
    wire = slices(2, _BYTES, latency, bandwidth)
    one, two = _measure(1, 64), _measure(2, 64)
    overhead = max(0.0, two.step - one.step / 2 - wire)
    large, both = _measure(1, 512), _measure(2, 512)
    predicted = large.step / 2 + wire + overhead
    lines = [
        "# Scale: predicted, and checked on one and two workers",
        "",
        f"`digits`, two microbatches, batch 64: {one.step * 1e3:.2f} ms a step on one worker, "
        f"{two.step * 1e3:.2f} ms on two, a core each. Half of one, and {wire * 1e3:.2f} ms for "
        f"{_BYTES / 1024:.0f} KiB on the wire ({latency * 1e6:.0f} us and {bandwidth / 1e9:.1f} "
        f"GB/s between two processes here), leave {overhead * 1e3:.2f} ms: what a collective of "
        "TensorFlow costs a CPU core, and what workers lose by waiting for each other. Measured "
        f"alone, without steps, the exchange takes {two.exchange * 1e3:.2f} ms.",
        "",
        f"Predicted with that for batch 512: {predicted * 1e3:.2f} ms; measured "
        f"{both.step * 1e3:.2f} ms ({large.step * 1e3:.2f} ms on one): {predicted / both.step:.2f} "
        "of it. The same cost is part of every prediction below. NCCL on GPUs costs less; it was "
        "not measured.",
    ]
    return lines, overhead


def _predict(options: argparse.Namespace, overhead: float) -> list[str]:
    """Lay out throughput and goodput for two sizes of model."""
    latency, bandwidth = options.latency_us * 1e-6, options.gbit * 1e9 / 8
    lines = [
        f"Links of {options.gbit:g} Gbit/s and {options.latency_us:g} us; a worker fails every "
        f"{options.mtbf_hours:g} h, a save stalls {options.save_secs:g} s, a restart takes "
        f"{options.restart_secs:g} s. Efficiency is the share of W times one worker."
    ]
    for name, microbatch, num_bytes in (
        ("25 million parameters, 100 ms a microbatch", 0.1, 1e8),
        ("1 billion parameters, 1 s a microbatch", 1.0, 4e9),
    ):
        lines += ["", f"## {name}", "", "| workers | " + " | ".join(EXCHANGES) + " | goodput |"]
        lines += ["|---:|" + "---:|" * (len(EXCHANGES) + 1)]
        for workers in _WORKERS:
            shares = [
                microbatch
                / (microbatch + overhead + exchange(workers, num_bytes, latency, bandwidth))
                for exchange in EXCHANGES.values()
            ]
            mtbf = options.mtbf_hours * 3600
            good = goodput(workers, mtbf, options.save_secs, options.restart_secs)
            cells = " | ".join(f"{share:.1%}" for share in (*shares, good))
            lines.append(f"| {workers:,} | {cells} |")
    return lines


def _measure(workers: int, batch: int) -> Measured:
    """Train on so many workers, each pinned to a core."""
    with tempfile.TemporaryDirectory() as folder:
        addresses = [f"localhost:{port}" for port in free_ports(workers)]
        processes = [_start(Path(folder), addresses, index, batch) for index in range(workers)]
        for process in processes:
            assert process.wait() == 0
        lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    values: dict[str, float] = {}
    for line in lines:
        values |= json.loads(line)
    return Measured(values["time/step_ms_p50"] / 1e3, values["profile/reduce_ms"] / 1e3)


def _start(workdir: Path, addresses: list[str], index: int, batch: int) -> subprocess.Popen[bytes]:
    command = ["taskset", "-c", str(index), sys.executable, "-m", "trainer", *_RUN, *_QUIET]
    command.append(f"--config.global_batch_size={batch}")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if len(addresses) > 1:
        task = {"type": "worker", "index": index}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
    return subprocess.Popen(
        [*command, f"--workdir={workdir}"], env=environment, stderr=subprocess.DEVNULL
    )


def _loopback() -> tuple[float, float]:
    """Return latency in seconds and bandwidth in bytes/s between two ends on this machine."""
    here, there = socket.socketpair(socket.AF_UNIX)
    threading.Thread(target=_echo, args=(there,), daemon=True).start()
    small = statistics.median(_round_trip(here, 8) for _ in range(200)) / 2
    large = statistics.median(_round_trip(here, 1 << 24) for _ in range(5)) / 2
    return small, (1 << 24) / (large - small)


def _round_trip(end: socket.socket, num_bytes: int) -> float:
    began = time.perf_counter()
    end.sendall(num_bytes.to_bytes(8, "big") + bytes(num_bytes))
    _receive(end, num_bytes)
    return time.perf_counter() - began


def _echo(end: socket.socket) -> None:
    while True:
        num_bytes = int.from_bytes(_receive(end, 8), "big")
        end.sendall(_receive(end, num_bytes))


def _receive(end: socket.socket, num_bytes: int) -> bytes:
    parts = bytearray()
    while len(parts) < num_bytes:
        parts += end.recv(num_bytes - len(parts))
    return bytes(parts)


if __name__ == "__main__":
    main()
