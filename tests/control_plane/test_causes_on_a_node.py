"""Every cause, planted on a real node: `describe` names the worker that began it, and why."""

import os
import signal
import time

import pytest

from launch.kubernetes.backend import KubernetesBackend
from launch.spec.causes import Cause
from launch.spec.labels import TF_PORT
from launch.spec.parts import read_egress
from launch.spec.status import JobStatus, describe
from tests.control_plane import daemons, node
from tests.control_plane.conftest import needs
from tests.control_plane.daemons import until
from tests.control_plane.standin import spec

pytestmark = pytest.mark.usefixtures("ready_node")


def until_named(backend: KubernetesBackend, name: str, cause: Cause, worker: str) -> JobStatus:
    """Waits until a failure of this cause and worker explains the newest attempt."""

    def named() -> JobStatus | None:
        failure = backend.status(name).first_failure
        return failure and (failure.cause, failure.worker) == (cause, worker)

    try:
        until(named, "", secs=120)
    except TimeoutError:
        pytest.fail(f"{cause} of {worker} is not named:\n{describe(backend.status(name))}")
    return backend.status(name)


CAUSES = {
    "exit=78": (Cause.CODE, "exit code 78: bad config"),
    "exit=1": (Cause.CODE, "exit code 1"),
    "exit=65": (Cause.DATA, "exit code 65: data corrupt"),
    "memory": (Cause.MEMORY, "OOMKilled: used more than its memory limit of 1Gi"),
    "scratch": (Cause.EVICTION, "taken away by the cluster, Evicted: "),
    "kill": (Cause.KILLED, "exit code 137"),
}


@pytest.mark.parametrize("action", CAUSES)
def test_the_worker_that_began_it_is_named_and_not_the_survivor(backend, namespace, action, jobset):
    name = f"cause-{action.replace('=', '-')}{'-set' if jobset else ''}"
    # Without a restart the survivor's end alone may end the Job, which then deletes the other pod.
    backend.submit(spec(namespace, name, action, workers=2, max_restarts=1, jobset=jobset))
    cause, said = CAUSES[action]
    status = until_named(backend, name, cause, "worker 1")
    assert said in str(status.first_failure)
    if cause is Cause.EVICTION:
        assert "--scratch_gib" in status.first_failure.advice
    backend.delete(name)


def test_an_image_that_does_not_exist_is_named(backend, namespace):
    backend.submit(spec(namespace, "imageless", "exit=0", image="lockstep:none-cpu"))
    until(lambda: "check --image" in backend.status("imageless").detail, "not named")
    assert "worker 0: " in backend.status("imageless").detail
    backend.delete("imageless")


def test_a_node_that_is_silent_is_named_with_its_time(backend, cluster, namespace, node_state):
    backend.submit(spec(namespace, "silent", "sleep=600"))
    until(lambda: backend.status("silent").phase == "running", "does not run")
    kubelet = daemons.number(node_state, "kubelet")
    os.kill(kubelet, signal.SIGSTOP)
    try:
        said = f"worker 0: node {node.NAME} not ready since "
        until(lambda: said in backend.status("silent").detail, "not named")
        assert "0 of 1 running" in backend.status("silent").detail
    finally:
        os.kill(kubelet, signal.SIGCONT)
    until(lambda: node.is_ready(cluster), "the node does not come back")
    backend.delete("silent")


def test_a_deleted_pod_is_replaced_and_not_counted(backend, cluster, namespace):
    backend.submit(spec(namespace, "deleted", "sleep=20", max_restarts=0))
    until(lambda: backend.status("deleted").phase == "running", "does not run")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    [pod] = cluster.items(pods, labelSelector="app.kubernetes.io/instance=deleted")
    cluster.delete(f"{pods}/{pod['metadata']['name']}")
    until(lambda: backend.status("deleted").phase == "succeeded", "does not succeed", secs=120)
    assert backend.status("deleted").restarts == 0


def test_a_jobset_keeps_the_cause_of_a_restart(backend, cluster, namespace):
    needs(cluster, "jobset.x-k8s.io")
    backend.submit(spec(namespace, "again", "exit=143", workers=2, max_restarts=0, jobset=True))
    until(lambda: backend.status("again").uncounted >= 2, "no two restarts", secs=120)
    assert "worker 1, attempt 0: exit code 143" in describe(backend.status("again"))
    backend.delete("again")


def test_another_job_cannot_reach_the_port_of_a_worker(backend, cluster, namespace):
    backend.submit(spec(namespace, "alone", f"listen={TF_PORT}"))
    until(lambda: backend.status("alone").phase == "running", "does not run")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    [pod] = cluster.items(pods, labelSelector="app.kubernetes.io/instance=alone")
    address = f"{pod['status']['podIP']}:{TF_PORT}"
    # A stranger may go out to this address: what stops it is the policy of the other job.
    out = (read_egress("egress", address),)

    def ended(name: str) -> str:
        backend.submit(spec(namespace, name, f"connect={address}", egress=out, max_restarts=0))
        until(lambda: backend.status(name).phase in ("succeeded", "failed"), f"{name} does not end")
        return backend.status(name).phase

    assert ended("stranger") == "failed"
    policies = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    cluster.delete(f"{policies}/alone")
    time.sleep(5)  # until the firewall has followed
    assert ended("neighbour") == "succeeded"
    backend.delete("alone")
