"""Real pods on real nodes: follow, fail, evict, retry, cancel. Skipped where no node is ready."""

import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from launch.kubernetes.backend import KubernetesBackend
from launch.kubernetes.cluster import Cluster
from launch.spec.job import JobSpec
from launch.spec.status import describe
from tests.control_plane import standin
from tests.control_plane.daemons import until

PROGRAM = """
import os, signal, sys, time
def stop(*_):
    print("saved", flush=True)
    sys.exit(143)

signal.signal(signal.SIGTERM, stop)
print("worker", os.environ["JOB_COMPLETION_INDEX"], os.environ.get("TF_CONFIG"), flush=True)
word = next(word for word in sys.argv[1:] if not word.startswith("--"))
action, value = word.split("=")
time.sleep(float(value)) if action == "sleep" else sys.exit(int(value))
"""


pytestmark = pytest.mark.usefixtures("ready_node")


spec = functools.partial(
    standin.spec, command=("python", "-c", PROGRAM), grace_secs=JobSpec.grace_secs
)


def test_all_workers_are_followed_to_the_end(backend, namespace):
    lines: list[str] = []
    backend.submit(spec(namespace, "pair", "sleep=3", workers=2))
    status = backend.follow("pair", lines.append, until=time.monotonic() + 300)
    assert status.phase == "succeeded", describe(status)
    for index in range(2):
        assert any(f'"index":{index}' in line for line in lines if f"[worker {index}]" in line)


def test_a_permanent_failure_is_explained(backend, namespace):
    backend.submit(spec(namespace, "broken", "exit=65"))
    status = backend.follow("broken", [].append, until=time.monotonic() + 300)
    assert "exit code 65: data corrupt" in describe(status)


def test_an_evicted_worker_comes_back_uncounted(
    backend: KubernetesBackend, cluster: Cluster, namespace: str
):
    backend.submit(spec(namespace, "evicted", "sleep=20", max_restarts=0))
    done: list = []
    follower = threading.Thread(
        target=lambda: done.append(
            backend.follow("evicted", [].append, until=time.monotonic() + 300)
        )
    )
    follower.start()
    while backend.status("evicted").phase != "running":
        time.sleep(0.5)
    pods = cluster.items(
        f"/api/v1/namespaces/{namespace}/pods", labelSelector="app.kubernetes.io/instance=evicted"
    )
    name = pods[0]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    cluster.post(f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", eviction)
    follower.join(300)
    assert done[0].phase == "succeeded", describe(done[0])
    assert done[0].restarts == 0


def test_cancel_gives_the_worker_its_grace(backend, namespace):
    lines: list[str] = []
    backend.submit(spec(namespace, "stop", "sleep=600"))
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(backend.follow, "stop", lines.append, -1, time.monotonic() + 300)
        until(lambda: any("[worker 0]" in line for line in lines), lines, secs=120)
        backend.cancel("stop")
        assert ended.result().phase == "cancelled"
    # The pod is deleted with its deadline; that it went by itself, only its log says.
    assert "[worker 0] saved" in lines
