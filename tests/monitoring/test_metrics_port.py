"""/metrics: what Prometheus is told of a run, by whom, and at which port."""

import re
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError
from tests.chaos.harness import ENDLESS, Worker, ended
from tests.processes import free_ports
from trainer.monitoring.metrics_port import MetricsPort, port_of


def scraped(port: int) -> dict[str, float]:
    """Return series -> value."""
    text = urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=5).read().decode()
    return {n: float(v) for n, v in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}


def test_the_numbers_of_a_step_are_served_in_base_units() -> None:
    (port,) = free_ports(1)
    served = MetricsPort(port, lambda: {"saves": 2.0, "restarts": 1.0, "seconds/step": 30.0})
    try:
        served.write(40, {"train/loss": 0.5, "train/skipped_steps": 3.0, "time/step_ms_p50": 2.5,
                          "time/data_ms": 0.5, "examples_per_second": 800.0})  # fmt: skip
        served.write(40, {"eval/accuracy": 0.75})
        served.progress(44, 0.25)
        found = scraped(port)
    finally:
        served.close()
    wanted = {
        "lockstep_step": 44, "lockstep_loss": 0.25, "lockstep_examples_per_second": 800,
        'lockstep_metric{name="train/loss"}': 0.5, 'lockstep_metric{name="eval/accuracy"}': 0.75,
        'lockstep_step_time_seconds{part="p50"}': 0.0025,
        'lockstep_step_time_seconds{part="data"}': 0.0005,
        'lockstep_seconds{bucket="step"}': 30, "lockstep_saves": 2, "lockstep_restarts": 1,
        "lockstep_skipped_updates": 3,
    }  # fmt: skip
    assert {name: found.get(name) for name in wanted} == wanted
    assert found["process_resident_memory_bytes"] > 1e6
    with pytest.raises(urllib.error.URLError):
        scraped(port)  # closed


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=f"--metrics_port={port}") as raised:
            MetricsPort(port, dict)
    assert raised.value.code is ExitCode.BAD_FLAG


def test_workers_of_one_host_take_ports_one_after_another() -> None:
    workers = ("a:1", "b:1", "a:2", "a:3", "b:2")
    assert [port_of(9100, Cluster(workers, i)) for i in range(5)] == [9100, 9100, 9101, 9102, 9101]
    assert port_of(9100, Cluster()) == 9100
    assert port_of(0, Cluster(workers, 3)) == 0


def test_a_run_is_scraped_while_it_trains(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with ended(Worker(tmp_path / "run", f"--metrics_port={port}", *ENDLESS)) as worker:
        worker.wait_for("step 5/")
        deadline = time.monotonic() + 60
        while scraped(port)["lockstep_step"] < 10:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        found = scraped(port)
        worker.send(signal.SIGTERM)
        assert worker.wait() == 143, worker.output
    assert found["lockstep_loss"] > 0
    assert found['lockstep_seconds{bucket="compile"}'] > 0
