"""A real Prometheus scrapes a job of two workers, and the rules of the docs evaluate."""

import json
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.chaos.harness import ENDLESS, pair
from tests.processes import ROOT, free_ports

RULES = ROOT / "docs" / "reference" / "alerts.yaml"
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: lockstep
    static_configs: [{{targets: ["localhost:{one}", "localhost:{two}"]}}]
"""


@pytest.fixture
def prometheus() -> str:
    if (found := shutil.which("prometheus")) is None:
        pytest.skip("NOT SHOWN: no prometheus is installed here")
    return found


def ask(port: int, path: str) -> dict:
    with urllib.request.urlopen(f"http://localhost:{port}/api/v1/{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def values(port: int, query: str) -> dict[str, float]:
    """Return instance -> value."""
    found = ask(port, f"query?query={urllib.parse.quote(query)}")["result"]
    return {one["metric"]["instance"]: float(one["value"][1]) for one in found}


@pytest.mark.slow
def test_it_scrapes_both_workers_and_evaluates_the_rules(prometheus, tmp_path: Path) -> None:
    first, port = next(p for p in (free_ports(2) for _ in range(9)) if p[0] + 1 != p[1])
    config = CONFIG.format(rules=RULES, one=first, two=first + 1)
    (tmp_path / "prometheus.yml").write_text(config)
    command = [prometheus, f"--config.file={tmp_path / 'prometheus.yml'}",
               f"--storage.tsdb.path={tmp_path / 'tsdb'}",
               f"--web.listen-address=localhost:{port}"]  # fmt: skip
    with (tmp_path / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with pair(tmp_path / "run", f"--metrics_port={first}", *ENDLESS) as workers:
            workers[0].wait_for("step 20/")
            deadline = time.monotonic() + 120
            while len(seen := values(port, "lockstep:steps_per_second > 0")) < 2:
                assert time.monotonic() < deadline, seen
                time.sleep(1)
            steps = values(port, "lockstep_step")
            losses = values(port, "lockstep_loss")
            rules = ask(port, "rules")["groups"][0]["rules"]
            for worker in workers:
                worker.send(signal.SIGTERM)
            assert [worker.wait() for worker in workers] == [143, 143]
    finally:
        server.kill()
        server.wait()
    assert set(steps) == {f"localhost:{first}", f"localhost:{first + 1}"}
    assert min(steps.values()) > 0
    assert min(losses.values()) > 0
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == 4
