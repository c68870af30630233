"""Jobs that no node takes, and the kubelet's part in them, played by the tests."""

import dataclasses

from launch.kubernetes.backend import KubernetesBackend
from launch.kubernetes.cluster import Cluster
from launch.spec.job import JobSpec
from launch.spec.status import JobStatus
from tests.control_plane.daemons import until

_NOW = "2026-01-01T00:00:00Z"


def spec(namespace: str, name: str, **fields: object) -> JobSpec:
    nowhere = (("lockstep/no-such-node", "true"),)
    base = JobSpec(
        name=name,
        namespace=namespace,
        args=("--config=digits", "--workdir=gs://BUCKET/x"),
        image="lockstep:0.1.0-cpu",
        node_selector=nowhere,
    )
    return dataclasses.replace(base, **fields)


def until_phase(backend: KubernetesBackend, name: str, *phases: str) -> JobStatus:
    def ended() -> JobStatus | None:
        status = backend.status(name)
        return status if status.phase in phases else None

    return until(ended, f"{name} is {backend.status(name)}")


class Kubelet:
    """Writes what a kubelet would report."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    def pods(self, job: str) -> list[dict]:
        selector = f"app.kubernetes.io/instance={job}"
        found = self._cluster.items(self._pods, labelSelector=selector)
        return [pod for pod in found if pod["status"].get("phase") == "Pending"]

    def wait(self, job: str, count: int) -> list[dict]:
        return until(
            lambda: found if len(found := self.pods(job)) == count else None,
            f"{job} has no {count} pending pods",
        )

    def run(self, pod: dict) -> None:
        self._report(pod, "Running", running={"startedAt": _NOW})

    def evict(self, pod: dict) -> None:
        head = {"name": pod["metadata"]["name"]}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": head}
        self._cluster.post(f"{self._pods}/{head['name']}/eviction", eviction)

    def end(self, pod: dict, code: int, message: str = "") -> None:
        ended = {"exitCode": code, "message": message, "startedAt": _NOW, "finishedAt": _NOW}
        self._report(pod, "Failed" if code else "Succeeded", terminated=ended)

    def _report(self, pod: dict, phase: str, **state: dict) -> None:
        container = {"name": "trainer", "image": "x", "imageID": "x", "restartCount": 0}
        container |= {"ready": phase == "Running", "state": state}
        path = f"{self._pods}/{pod['metadata']['name']}/status"
        self._cluster.patch(path, {"status": {"phase": phase, "containerStatuses": [container]}})
