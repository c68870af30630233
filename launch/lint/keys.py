"""Keys that others have fixed: a label, annotation or resource with a slip has no effect."""

from collections.abc import Collection, Iterable, Iterator

from launch.lint.finding import Finding, error
from launch.lint.objects import Objects
from launch.lint.pods import Pods
from launch.lint.slips import distance
from launch.spec.documents import Document, mapping, mappings, title

_DOMAINS = {
    "kueue.x-k8s.io": "queue-name priority-class pod-group-name pod-group-total-count "
    "pod-group-fast-admission pod-group-serving podset podset-group-name retriable-in-group "
    "podset-required-topology podset-preferred-topology podset-unconstrained-topology "
    "podset-slice-size podset-slice-required-topology max-exec-time-seconds elastic-job managed "
    "multikueue-origin job-min-parallelism job-completions-equal-parallelism "
    "prebuilt-workload-name",
    "alpha.jobset.sigs.k8s.io": "exclusive-topology node-selector",
    "jobset.sigs.k8s.io": "jobset-name replicatedjob-name job-index job-key",
    "batch.kubernetes.io": "job-completion-index job-name controller-uid",
    "cloud.google.com": "gke-accelerator gke-tpu-accelerator gke-tpu-topology gke-spot "
    "gke-nodepool gke-provisioning gke-gpu-driver-version gke-accelerator-count "
    "gke-gpu-partition-size gke-gpu-sharing-strategy gke-max-shared-clients-per-gpu "
    "gke-os-distribution gke-preemptible gke-ephemeral-storage-local-ssd compute-class "
    "reservation-name reservation-affinity gke-placement-group machine-family gke-boot-disk "
    "gke-local-nvme-ssd gke-flex-start gke-queued",
    "gke-gcsfuse": "volumes cpu-limit memory-limit ephemeral-storage-limit cpu-request "
    "memory-request ephemeral-storage-request",
    "app.kubernetes.io": "name instance version component part-of managed-by",
    "pod-security.kubernetes.io": "enforce warn audit enforce-version warn-version audit-version",
    "cluster-autoscaler.kubernetes.io": "safe-to-evict",
    "iam.gke.io": "gcp-service-account",
    "kubernetes.io": "metadata.name arch os hostname",
    "topology.kubernetes.io": "zone region",
    "node.kubernetes.io": "instance-type",
    "lockstep": "not-restricted-because code-digest cancelled",
}
_KNOWN = sorted(f"{domain}/{name}" for domain, names in _DOMAINS.items() for name in names.split())
_RESOURCES = (
    "cpu",
    "memory",
    "ephemeral-storage",
    "nvidia.com/gpu",
    "google.com/tpu",
    "amd.com/gpu",
    "habana.ai/gaudi",
    "aws.amazon.com/neuron",
    "gpu.intel.com/i915",
)


def check_keys(objects: Objects) -> Iterator[Finding]:
    """Every key that is a slip of a known one."""
    for document in objects.documents:
        for field in ("labels", "annotations"):
            found = mapping(document, "metadata", field)
            yield from _check(f"{title(document)} metadata.{field}", found, _KNOWN)
        if document.get("kind") in ("CronJob", "ResourceFlavor"):
            found = mapping(document, "spec", "jobTemplate", "metadata", "labels")
            yield from _check(f"{title(document)} spec.jobTemplate.metadata.labels", found, _KNOWN)
            found = mapping(document, "spec", "nodeLabels")
            yield from _check(f"{title(document)} spec.nodeLabels", found, _KNOWN)
    for pods in objects.pods:
        yield from _check_pods(pods)


def _check_pods(pods: Pods) -> Iterator[Finding]:
    metadata = mapping(pods.template, "metadata")
    if pods.path:
        for field in ("labels", "annotations"):
            where = pods.of_template(f"metadata.{field}")
            yield from _check(where, mapping(metadata, field), _KNOWN)
    yield from _check(pods.at("nodeSelector"), mapping(pods.spec, "nodeSelector"), _KNOWN)
    for index, entry in enumerate(mappings(pods.spec, "tolerations")):
        key = [str(entry["key"])] if entry.get("key") else []
        yield from _check(pods.at(f"tolerations[{index}]"), key, (*_KNOWN, *_RESOURCES))
    for path, container in pods.containers():
        for kind in ("requests", "limits"):
            found: Document = mapping(container, "resources", kind)
            yield from _check(pods.at(f"{path}.resources.{kind}"), found, _RESOURCES)
            for name in found:
                if "/" not in name and name not in _RESOURCES and not name.startswith("hugepages-"):
                    yield error(
                        pods.at(f"{path}.resources.{kind}[{name}]"),
                        f"no resource is called {name!r}: the pod is refused",
                        f"one of {list(_RESOURCES)}",
                    )


def _check(where: str, found: Iterable[str], known: Collection[str]) -> Iterator[Finding]:
    for key in found:
        if key in known:
            continue
        meant = next((one for one in known if _is_meant(str(key), one)), "")
        if meant:
            yield error(
                f"{where}[{key}]", f"nobody reads {key!r}: it has no effect", f"write {meant!r}"
            )


def _is_meant(key: str, known: str) -> bool:
    """Whether a key is a known one with a slip, or with another domain for the same name."""
    if abs(len(key) - len(known)) > 4 or key.isdigit():
        return False
    domain, _, name = key.rpartition("/")
    right_domain, _, right_name = known.rpartition("/")
    if not right_domain:
        return distance(key, known) == 1 and len(known) > 4
    if not domain:
        return False
    if name == right_name:
        same = domain.partition(".")[0] == right_domain.partition(".")[0]
        return (same and "-" in name) or distance(domain, right_domain) <= 4
    return (
        distance(key, known) <= 2
        and domain.endswith(right_domain[-6:])
        and name[:1] == right_name[:1]
    )
