"""The real controllers of Kubeflow Trainer and JobSet; the kubelet is played by the tests."""

import json

import pytest

from common.exit_codes import RunError
from launch.kubernetes.cluster import Cluster, of_kind
from launch.render import manifest
from tests.control_plane.daemons import until
from tests.control_plane.kubelet import Kubelet, spec, until_phase

HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
GROUP = "trainer.kubeflow.org/v1alpha1"


@pytest.fixture(autouse=True)
def controller(cluster: Cluster) -> None:
    """Skips where nothing would make a JobSet of a TrainJob."""
    if not any('"trainjobs"' in json.dumps(one) for one in cluster.items(HOOKS)):
        pytest.skip("no controller of Kubeflow Trainer runs in this cluster")


@pytest.fixture
def kubelet(cluster: Cluster, namespace: str) -> Kubelet:
    return Kubelet(cluster, namespace)


def test_a_trainjob_runs_to_its_end(backend, cluster, namespace, kubelet):
    backend.submit(spec(namespace, "train", workers=2, trainjob=True))
    pods = kubelet.wait("train", 2)
    hosts = [f"train-worker-0-{index}.train:2222" for index in range(2)]
    for pod in pods:
        [container] = pod["spec"]["containers"]
        env = {one["name"]: one.get("value") for one in container["env"]}
        names = list(env)
        assert json.loads(env["TF_CONFIG"].replace("$(JOB_COMPLETION_INDEX)", "0"))["cluster"] == {
            "worker": hosts
        }
        assert names.index("JOB_COMPLETION_INDEX") < names.index("TF_CONFIG")
        assert f"{pod['spec']['hostname']}.{pod['spec']['subdomain']}:2222" in hosts
        kubelet.run(pod)
    until(lambda: backend.status("train").detail == "2 of 2 running", "not running")
    for pod in pods:
        kubelet.end(pod, 0)
    until_phase(backend, "train", "succeeded")
    trainjob = f"{of_kind(GROUP, 'TrainJob', namespace)}/train"
    until(lambda: "Complete" in json.dumps(cluster.get(trainjob)), "the TrainJob is not complete")
    assert [one.name for one in backend.statuses()].count("train") == 1


def test_a_stop_restarts_all_workers_and_a_permanent_code_fails_the_job(
    backend, namespace, kubelet
):
    backend.submit(spec(namespace, "again", workers=2, trainjob=True, max_restarts=0))
    first, second = kubelet.wait("again", 2)
    kubelet.end(first, 143)
    kubelet.end(second, 143)
    old = {first["metadata"]["name"], second["metadata"]["name"]}

    def restarted():
        found = kubelet.pods("again")
        return len(found) == 2 and not old & {one["metadata"]["name"] for one in found}

    until(restarted, "no second attempt")
    last = max(kubelet.wait("again", 2), key=lambda pod: pod["spec"]["hostname"])
    kubelet.end(last, 78, "virtual_replicas=3 does not divide 64")
    found = until_phase(backend, "again", "failed")
    assert (found.first_failure.worker, found.first_failure.exit_code) == ("worker 1", 78)
    assert found.restarts == 0


def test_cancel_removes_all_that_was_made(backend, cluster, namespace, kubelet):
    backend.submit(spec(namespace, "gone", workers=2, trainjob=True))
    kubelet.wait("gone", 2)
    backend.cancel("gone")

    def left():
        kinds = (
            (GROUP, "TrainJob"),
            (GROUP, "TrainingRuntime"),
            ("jobset.x-k8s.io/v1alpha2", "JobSet"),
        )
        return [
            one["metadata"]["name"]
            for version, kind in kinds
            for one in cluster.items(of_kind(version, kind, namespace))
        ]

    until(lambda: "gone" not in left(), "something outlives the TrainJob")


def test_kueue_holds_a_trainjob_until_there_is_room(backend, namespace, kubelet, queue):
    small = {"cpus": 1, "memory_gib": 1, "scratch_gib": 1}
    form = {"workers": 2, "trainjob": True, "queue": queue, **small}
    backend.submit(spec(namespace, "fits", **form))
    kubelet.wait("fits", 2)
    backend.submit(spec(namespace, "waits", **form))
    found = until_phase(backend, "waits", "queued")
    assert found.detail.startswith(f"waits in queue {queue}")
    backend.delete("fits")
    kubelet.wait("waits", 2)
    backend.delete("waits")


def test_a_trainjob_without_its_runtime_is_refused_even_in_a_dry_run(cluster, namespace):
    trainjob = manifest.render(spec(namespace, "alone", trainjob=True))[-1]
    with pytest.raises(RunError, match="must be created before the TrainJob"):
        cluster.create(trainjob, dry_run=True)
