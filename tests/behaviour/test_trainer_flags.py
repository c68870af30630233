"""What a flag of the trainer asks for happens; most flags have their test where the feature is."""

import json

from tests.processes import free_ports, trainer


def test_a_worker_waits_for_its_peers_as_long_as_was_asked(tmp_path):
    workers = [f"localhost:{port}" for port in free_ports(2)]
    task = {"type": "worker", "index": 0}
    cluster = {"TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": task})}
    args = [f"--workdir={tmp_path / 'run'}", "--startup_deadline_secs=2"]
    ended = trainer(*args, environment=cluster, timeout=120)
    assert ended.code == 202
    assert "worker 1 of 2" in ended.last_line
