"""The reasons that Kubernetes reports for a pod: the cause of each, and what to try."""

from launch.spec.causes import Cause

_RESTARTED = "nothing to do: it is restarted and not counted"
_ROWS = (
    (
        Cause.CODE,
        "check that the Secret and key of --secret_env exist",
        "CreateContainerConfigError",
    ),
    (
        Cause.MEMORY,
        "raise --memory_gib, or use more workers or a smaller global_batch_size",
        "OOMKilled",
    ),
    (
        Cause.EVICTION,
        _RESTARTED,
        "Evicted Preempting PreemptionByScheduler EvictionByEvictionAPI TerminationByKubelet",
    ),
    (
        Cause.IMAGE,
        "check --image and the pull secrets of the service account",
        "ErrImagePull ImagePullBackOff ErrImageNeverPull ImageInspectError RegistryUnavailable "
        "SignatureValidationFailed",
    ),
    (Cause.IMAGE, "correct --image", "InvalidImageName"),
    (
        Cause.IMAGE,
        "check the image's command",
        "CreateContainerError RunContainerError StartError ContainerCannotRun PostStartHookError "
        "CrashLoopBackOff",
    ),
    (
        Cause.NODE,
        f"{_RESTARTED}; look at the node if it repeats",
        "DeletionByTaintManager DeletionByPodGC NodeLost NodeShutdown Terminated Shutdown "
        "NodeNotReady ContainerStatusUnknown FailedCreatePodSandBox CreatePodSandboxError "
        "NetworkNotReady",
    ),
    (
        Cause.STORAGE,
        "check the claim or bucket of --mount_pvc and --mount_gcs: that it exists, and that so "
        "many pods may use it at a time (ReadWriteMany)",
        "FailedMount FailedAttachVolume FailedMapVolume FailedBinding ProvisioningFailed",
    ),
    (Cause.STOPPED, "raise --deadline_hours", "DeadlineExceeded"),
)
_TABLE = {name: (cause, advice) for cause, advice, names in _ROWS for name in names.split()}
# Why a kubelet refuses a pod at its door: OutOfcpu, NodeAffinity, UnexpectedAdmissionError, ...
_REFUSED = (Cause.NODE, "it is tried again; --node_selector chooses among nodes")


def is_known(reason: str) -> bool:
    """Whether a reason says what kind of cause it is; `Error` and `Completed` do not."""
    return reason in _TABLE


def explain(reason: str, message: str) -> tuple[Cause, str]:
    """The cause, and what to try.

    Args:
        reason: one word of Kubernetes.
        message: what stands beside it; an eviction says there which resource it is about.
    """
    cause, advice = _TABLE.get(reason, _REFUSED)
    is_disk = any(word in message.lower() for word in ("ephemeral", "emptydir"))
    if cause is Cause.EVICTION and is_disk:
        advice = "raise --scratch_gib, or keep fewer checkpoints and a smaller --stage_bytes"
    elif reason == "Evicted" and "memory" in message:
        advice = "raise --memory_gib: the node had no more than was asked for"
    return cause, advice
