"""Objects as a cluster would report them."""

from fake_api_server import FakeApiServer

from launch.kubernetes import root_cause
from launch.render.examples import EXAMPLES
from launch.spec.causes import Failure, newest_root
from launch.spec.job import JobSpec

NAMESPACE = "lockstep"


JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"


PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def spec(name: str = "cpu-smoke") -> JobSpec:
    return EXAMPLES[name]


def pod(index: int, phase: str, attempt: int = 0, **state: dict) -> dict:
    # The server lists by name, and names end at random: here the newest pod comes first.
    name = f"cpu-smoke-{index}-{'edcba'[attempt] * 5}"
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "creationTimestamp": f"2026-01-01T00:00:{attempt:02}Z",
            "labels": {
                "app.kubernetes.io/instance": "cpu-smoke",
                "app.kubernetes.io/managed-by": "lockstep",
                "batch.kubernetes.io/job-completion-index": str(index),
            },
        },
        "spec": {"containers": [{"name": "trainer", "resources": {"limits": {"memory": "16Gi"}}}]},
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": "trainer", "state": state}] if state else [],
        },
    }


def ended(code: int, second: int = 1, reason: str = "Error", message: str = "") -> dict:
    return {
        "exitCode": code,
        "reason": reason,
        "finishedAt": f"2026-01-01T00:00:{second:02}Z",
        "message": message,
    }


def running(index: int) -> dict:
    return pod(index, "Running", running={"startedAt": "2026-01-01T00:00:00Z"})


def put(api: FakeApiServer, document: dict) -> None:
    api.put(f"{PODS}/{document['metadata']['name']}", document)


def finish(api: FakeApiServer, kind: str, reason: str = "", message: str = "") -> None:
    condition = {"type": kind, "status": "True", "reason": reason, "message": message}
    api.objects[f"{JOBS}/cpu-smoke"].setdefault("status", {})["conditions"] = [condition]


def first_failure(pods: list[dict]) -> Failure | None:
    return newest_root(root_cause.of_pods(pods, is_sweep=False))[0]
