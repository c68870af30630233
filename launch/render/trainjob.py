"""A JobSet by way of Kubeflow Trainer: the TrainingRuntime that holds it, and the TrainJob.

Kubeflow Trainer publishes no runtime for TensorFlow. A runtime is a fixed template, and TF_CONFIG
names every worker: so each job has a runtime of its own, of its name. The controller makes the
JobSet of it, under the name of the TrainJob, and does nothing to its pods.
"""

from launch.spec import labels
from launch.spec.documents import Document
from launch.spec.job import JobSpec

_GROUP = "trainer.kubeflow.org"
# By this label tools of Kubeflow tell what a runtime is for.
_FRAMEWORK = {f"{_GROUP}/framework": "tensorflow"}


def of_jobset(spec: JobSpec, jobset: Document) -> list[Document]:
    """The TrainingRuntime and the TrainJob from which this JobSet follows, in order of creation."""
    # Kubeflow Trainer 2.1 would make a JobSet again that its time to live has removed, and so train
    # again; and the TrainJob itself would stay.
    template = {
        key: jobset["spec"][key] for key in jobset["spec"] if key != "ttlSecondsAfterFinished"
    }
    head = labels.metadata(spec)
    runtime = {
        **_head("TrainingRuntime"),
        "metadata": {**head, "labels": head["labels"] | _FRAMEWORK},
        "spec": {"template": {"metadata": {"labels": labels.of_job(spec)}, "spec": template}},
    }
    reference = {"apiGroup": _GROUP, "kind": "TrainingRuntime", "name": spec.name}
    # The metadata of the JobSet: Kueue reads the queue of the TrainJob and tells the JobSet.
    trainjob = {
        **_head("TrainJob"),
        "metadata": jobset["metadata"],
        "spec": {"runtimeRef": reference},
    }
    return [runtime, trainjob]


def _head(kind: str) -> Document:
    return {"apiVersion": f"{_GROUP}/v1alpha1", "kind": kind}
