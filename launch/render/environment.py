"""The variables of a pod's containers: those of the launcher, then those of the user."""

from common.cluster_description import INDEX_VARIABLE, JOB_VARIABLE
from launch.spec import labels
from launch.spec.documents import Document
from launch.spec.job import JobSpec

# GKE's device plugin mounts the driver's libraries here, where no loader looks by itself: without
# them TensorFlow says that there is no GPU. Elsewhere the container runtime sees to that.
_GKE_DRIVER = "/usr/local/nvidia/lib64"
_HOME = {"HOME": "/tmp"}  # noqa: S108 - the pod's own emptyDir


def of_trainer(spec: JobSpec, env: dict[str, str]) -> list[Document]:
    """The variables of the trainer.

    Args:
        spec: the job.
        env: variables set by the launcher, which may refer to the pod's index.
    """
    fixed = {**_HOME, "PYTHONUNBUFFERED": "1"}
    if spec.device.kind == "gpu" and spec.platform == "gke":
        fixed["LD_LIBRARY_PATH"] = _GKE_DRIVER
    plain = {**fixed, **env, **_of_user(spec)}
    # Before what the user adds: the files of --code are the ones that were sent.
    sent = [labels.CODE_DIR] if spec.code else []
    sent += [labels.PACKAGES_DIR] if spec.requirements else []
    if sent:
        plain["PYTHONPATH"] = ":".join(filter(None, (*sent, plain.get("PYTHONPATH"))))
    job_uid = labels.JOBSET_UID if spec.has_jobset else labels.JOB_UID
    # The kubelet expands $(NAME) only for variables above: the index comes first.
    index = _of_field(INDEX_VARIABLE, labels.INDEX_PATH)
    job = _of_field(JOB_VARIABLE, f"metadata.labels['{job_uid}']")
    return [index, *_plain(plain), *_secrets(spec), job]


def of_preparation(spec: JobSpec) -> list[Document]:
    """The variables of what runs before the trainer: a proxy, an index, credentials."""
    return [*_plain({**_HOME, **_of_user(spec)}), *_secrets(spec)]


def literal(text: str) -> str:
    """The text so written that the kubelet's `$(NAME)` expansion gives it back unchanged."""
    return text.replace("$", "$$")


def _of_user(spec: JobSpec) -> dict[str, str]:
    return {name: literal(value) for name, value in spec.env}


def _plain(variables: dict[str, str]) -> list[Document]:
    return [{"name": name, "value": value} for name, value in variables.items()]


def _of_field(name: str, path: str) -> Document:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _secrets(spec: JobSpec) -> list[Document]:
    return [
        {
            "name": variable.name,
            "valueFrom": {"secretKeyRef": {"name": variable.secret, "key": variable.key}},
        }
        for variable in spec.secret_env
    ]
