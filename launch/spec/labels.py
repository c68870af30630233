"""The names by which Kubernetes knows the parts of a job: labels, annotations, ports, resources."""

from typing import Any

from launch.spec.job import JobSpec

CONTAINER = "trainer"
TF_PORT = 2222
TPU_PORT = 8470
PACKAGES_DIR = "/lockstep/packages"  # and the packages of --requirements
CODE_DIR = "/lockstep/code"  # where a pod finds the files of --code

# Of everything that is made for a job. OURS also keeps the verbs off jobs of others.
INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = "app.kubernetes.io/managed-by"
OURS = "lockstep"
CODE_DIGEST = "lockstep/code-digest"
CANCELLED = "lockstep/cancelled"
NOT_RESTRICTED = "lockstep/not-restricted-because"

# Of the controllers that run it.
QUEUE = "kueue.x-k8s.io/queue-name"
GROUP = "jobset.sigs.k8s.io/replicatedjob-name"
JOBSET_UID = "jobset.sigs.k8s.io/jobset-uid"
JOB_UID = "batch.kubernetes.io/controller-uid"
INDEX = "batch.kubernetes.io/job-completion-index"
INDEX_PATH = f"metadata.annotations['{INDEX}']"
# The condition of a pod that the cluster evicts, preempts or drains.
DISRUPTION = "DisruptionTarget"

# Of nodes.
GPU_NODE = "cloud.google.com/gke-accelerator"
TPU_NODE = "cloud.google.com/gke-tpu-accelerator"
TOPOLOGY = "cloud.google.com/gke-tpu-topology"
ARCH = "kubernetes.io/arch"
SPOT = "cloud.google.com/gke-spot"
RESOURCES = {"gpu": "nvidia.com/gpu", "tpu": "google.com/tpu"}

GCSFUSE = "gcsfuse.csi.storage.gke.io"
GCSFUSE_VOLUMES = "gke-gcsfuse/volumes"


def of_job(spec: JobSpec) -> dict[str, str]:
    """The labels by which everything of one job is found again."""
    found = {"app.kubernetes.io/name": OURS, INSTANCE: spec.name, MANAGED_BY: OURS}
    if spec.code:
        found[CODE_DIGEST] = spec.code.digest[:63]
    return found


def metadata(spec: JobSpec) -> dict[str, Any]:
    """Name, namespace and labels of an object that is named like the job."""
    return {"name": spec.name, "namespace": spec.namespace, "labels": of_job(spec)}


def selector(spec: JobSpec) -> dict[str, str]:
    """The one label that selects the pods of this job."""
    return {INSTANCE: spec.name}
