"""Faults of pods that one rule of the linter finds and no other, on every level of a manifest."""

import dataclasses
from typing import Any

from plant import DELETE, with_
from planted_faults import BOX, POD

from launch.render import manifest
from launch.render.examples import EXAMPLES
from launch.spec.job import CodeBundle, Mount

_CODE = CodeBundle("ab" * 32, (("a.py", b"x"), ("b.bin", b"\xff")))
_CPU = dataclasses.replace(EXAMPLES["cpu-smoke"], workers=1)
_TEN = tuple((f"--workdir=gs://B/{index}",) for index in range(10))
# Good manifests besides the examples.
GOOD = {
    "cpu": manifest.render(_CPU),
    "account": manifest.render(dataclasses.replace(_CPU, workload_identity="a@b.iam")),
    "zip": manifest.render(dataclasses.replace(_CPU, code=CodeBundle("ab" * 32, (), "gs://B/z"))),
    "code": manifest.render(dataclasses.replace(_CPU, code=_CODE)),
    "bucket": manifest.render(dataclasses.replace(_CPU, mounts=(Mount("gcs", "b", "/data"),))),
    "ten": manifest.render(dataclasses.replace(_CPU, name="x" * 55, trials=_TEN)),
    "monitor": manifest.render(dataclasses.replace(_CPU, pod_monitor=9090)),
    "rdma": manifest.render(dataclasses.replace(EXAMPLES["gpu-8"], privileged="rdma")),
}
INIT = f"{POD}.initContainers.0"
DRIVING = "spec.replicatedJobs.1.template.spec.template.spec"


def both(**quantities: Any) -> Any:
    """Resources whose requests and limits have these quantities too."""
    named = {name.replace("__", "/").replace("_", "."): one for name, one in quantities.items()}
    return lambda resources: {kind: {**one, **named} for kind, one in resources.items()}


# Field of a container's security context, planted value, what the finding names.
_CONTEXT = [
    ("privileged", True, "privileged"),
    ("allowPrivilegeEscalation", True, "allowPrivilegeEscalation"),
    ("allowPrivilegeEscalation", DELETE, "allowPrivilegeEscalation"),
    ("capabilities", {}, "capabilities.drop"),
    ("capabilities.drop", ["NET_RAW"], "capabilities.drop"),
    ("capabilities.add", ["SYS_ADMIN"], "capabilities.add"),
    ("capabilities.add", ["NET_BIND_SERVICE", "IPC_LOCK"], "capabilities.add"),
    ("procMount", "Unmasked", "procMount"),
    ("runAsUser", 0, "runAsUser"),
    ("runAsNonRoot", False, "runAsNonRoot"),
    ("seccompProfile", {"type": "Unconfined"}, "seccompProfile"),
    ("readOnlyRootFilesystem", False, "readOnlyRootFilesystem"),
    ("readOnlyRootFilesystem", DELETE, "readOnlyRootFilesystem"),
]
_POD = [
    ("hostNetwork", True, "hostNetwork: needs a reason"),
    ("hostPID", True, "hostPID: needs a reason"),
    ("hostIPC", True, "hostIPC: needs a reason"),
    ("securityContext.runAsNonRoot", False, "securityContext.runAsNonRoot: is not true"),
    ("securityContext.runAsNonRoot", DELETE, "securityContext.runAsNonRoot: is not true"),
    ("securityContext.runAsUser", 0, "securityContext.runAsUser: is root"),
    ("securityContext.runAsGroup", 0, "securityContext.runAsUser: is root"),
    ("securityContext.fsGroup", 0, "securityContext.fsGroup: is root"),
    ("securityContext.seccompProfile", DELETE, "seccompProfile.type: is None"),
    ("securityContext.seccompProfile.type", "Unconfined", "is 'Unconfined'"),
    ("securityContext.sysctls", [{"name": "a", "value": "b"}], "securityContext.sysctls"),
    ("volumes.0", {"name": "tmp", "hostPath": {"path": "/"}}, "volumes[0]: hostPath reaches"),
    ("automountServiceAccountToken", True, "automountServiceAccountToken"),
    ("automountServiceAccountToken", DELETE, "automountServiceAccountToken"),
    ("enableServiceLinks", True, "enableServiceLinks"),
    ("serviceAccountName", DELETE, "serviceAccountName"),
    ("serviceAccountName", "", "serviceAccountName"),
    ("serviceAccountName", "default", "serviceAccountName"),
    ("terminationGracePeriodSeconds", 29, "leaves no time"),
    ("restartPolicy", "OnFailure", "restartPolicy: 'OnFailure'"),
    ("restartPolicy", "Always", "restartPolicy: 'Always'"),
    ("volumes.0.emptyDir.sizeLimit", DELETE, "sizeLimit: may fill the node"),
    ("volumes", with_({"name": "x", "emptyDir": {"sizeLimit": "1Gi"}}), "'x' is not mounted"),
    ("nodeSelector", {"zone": 7}, "a label value is not text"),
    ("nodeSelector", {"cloud.google.com/gke-accelerator": "x"}, "no GPU is labelled 'x'"),
    ("nodeSelector", {"cloud.google.com/gke-accelerator": "nvidia-l4"}, "has 0 GPUs"),
    ("nodeSelector", {"cloud.google.com/gke-tpu-topology": "2x2"}, "no TPU is labelled None"),
    ("nodeSelector", {"cloud.google.com/gke-spot": "true"}, "not both"),
    (
        "tolerations",
        [{"key": "cloud.google.com/gke-spot", "operator": "Exists"}],
        "tolerations: cloud.google.com/gke-spot is selected or tolerated, not both",
    ),
]
_CONTAINER = [
    ("image", "lockstep:latest", "image: 'lockstep:latest' may change"),
    ("image", DELETE, "image: is missing"),
    ("volumeMounts", with_({"name": "x", "mountPath": "/x"}), "no volume is called 'x'"),
    ("volumeMounts", with_({"name": "tmp", "mountPath": "x"}), "'x' is relative"),
    ("resources", DELETE, None),
    ("resources.requests.cpu", DELETE, "resources[cpu]: has no request or no limit"),
    ("resources.limits.memory", DELETE, "resources[memory]: has no request or no limit"),
    ("resources.limits.memory", "17Gi", "resources[memory]: request"),
    *(("resources", both(cpu=value), "resources[cpu]: ") for value in ("4x", "", "-4")),
    *(("resources", both(memory=value), "resources[memory]: ") for value in ("16", "16g")),
    ("resources", both(ephemeral_storage="9"), None),
    ("env", with_({"name": "HOME", "value": "/x"}), "HOME is set twice"),
    ("env", with_({"name": "HUB_TOKEN", "value": "x"}), "HUB_TOKEN holds a secret"),
    ("env", with_({"name": "URL", "value": "s3://me:pw@host/x"}), "URL holds a secret"),
    ("env", with_({"name": "A", "value": "$(B)"}, {"name": "B", "value": ""}), "$(B) is not set"),
    ("env", with_({"name": "A", "value": "$$$(B)"}), "$(B) is not set"),
    (
        "env",
        lambda env: (
            [one for one in env if one["name"] != "JOB_COMPLETION_INDEX"]
            + [{"name": "JOB_COMPLETION_INDEX", "value": "0"}]
        ),
        "JOB_COMPLETION_INDEX comes from None",
    ),
    ("args", with_("--x=$(NOWHERE)"), "$(NOWHERE) is not set"),
    ("command", with_("$(NOWHERE)"), "$(NOWHERE) is not set"),
]
_LAST_WORDS = [
    ("terminationMessagePolicy", DELETE, "terminationMessagePolicy: the last lines"),
    ("terminationMessagePolicy", "File", "terminationMessagePolicy: the last lines"),
    *((probe, {}, f"{probe}: kills or hides") for probe in ("livenessProbe", "readinessProbe")),
    ("startupProbe", {}, "startupProbe: kills or hides"),
    ("ports", [{"containerPort": 9, "hostPort": 9}], "ports: a host port"),
]
_LEVELS = [("cpu", "Job", BOX), ("zip", "Job", INIT), ("zip", "Job", BOX)]
_LEVELS += [("tpu-v5e-slice", "JobSet", f"{DRIVING}.containers.0")]
ON_EVERY_LEVEL = [
    *(
        (example, kind, f"{place}.securityContext.{field}", value, f"securityContext.{named}: ")
        for example, kind, place in _LEVELS
        for field, value, named in _CONTEXT
    ),
    *(
        (example, kind, f"{place}.{field}", value, named)
        for example, kind, place in _LEVELS
        for field, value, named in _CONTAINER
        if named and not (place == INIT and "JOB_COMPLETION" in named)
    ),
    *(
        (example, kind, f"{place}.{field}", value, named)
        for example, kind, place in _LEVELS
        for field, value, named in _LAST_WORDS
        if place != INIT
    ),
    *(
        (example, kind, f"{pod}.{field}", value, named)
        for example, kind, pod in (("cpu", "Job", POD), ("tpu-v5e-slice", "JobSet", DRIVING))
        for field, value, named in _POD
    ),
]
