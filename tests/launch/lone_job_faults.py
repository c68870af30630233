"""Faults of jobs and of what is around them that one rule finds; and what is no fault at all."""

import itertools
from typing import Any

from lone_faults import INIT, both
from plant import DELETE, also, with_
from planted_faults import BOX, POD

from launch.spec.documents import Document
from launch.spec.exit_policy import PERMANENT_CODES

HOST, DRIVER = (f"spec.replicatedJobs.{i}.template.spec" for i in (0, 1))
_GANG = f"{DRIVER}.podFailurePolicy.rules"
_RULES = "spec.podFailurePolicy.rules"
_POLICY = "spec.failurePolicy"
_ZERO = {"name": "TF_CONFIG", "value": "{}"}


def _without_containers(spec: Document) -> Document:
    pod = {**spec["template"]["spec"], "containers": [], "volumes": []}
    exits = [{"operator": "In", "values": rule} for rule in ([143], list(PERMANENT_CODES))]
    rules = [
        spec["podFailurePolicy"]["rules"][0],
        *({"action": a, "onExitCodes": e} for a, e in zip(("Ignore", "FailJob"), exits, strict=1)),
    ]
    template = {**spec["template"], "spec": pod}
    return {**spec, "podFailurePolicy": {"rules": rules}, "template": template}


def alone(field: str) -> Any:
    """A Job's spec without podFailurePolicy and without a field."""
    return lambda spec: {k: v for k, v in spec.items() if k not in (field, "podFailurePolicy")}


def _renamed_driver(spec: Document) -> Document:
    host, driver = spec["replicatedJobs"]
    success = {**spec["successPolicy"], "targetReplicatedJobs": ["Driver"]}
    groups = [host, {**driver, "name": "Driver"}]
    return {**spec, "replicatedJobs": groups, "successPolicy": success}


LONE = [
    ("rdma", "Job", f"{POD}.automountServiceAccountToken", True, "automount"),
    ("rdma", "Job", f"{BOX}.securityContext.readOnlyRootFilesystem", False, "readOnlyRoot"),
    # Names and labels
    ("cpu", "Job", "kind", "Deployment", "starts training again that has ended"),
    ("cpu", "Job", "kind", "StatefulSet", "starts training again that has ended"),
    ("cpu", "Job", "kind", "ReplicaSet", "starts training again that has ended"),
    ("cpu", "Job", "kind", "DaemonSet", "starts training again that has ended"),
    ("cpu", "Job", "apiVersion", DELETE, "has no apiVersion"),
    ("cpu", "Job", "kind", DELETE, "has no kind"),
    ("cpu", "NetworkPolicy", "metadata.name", "Bad", "metadata.name: 'Bad' is not a valid name"),
    ("account", "ServiceAccount", "metadata.namespace", DELETE, "metadata.namespace: is missing"),
    ("account", "ServiceAccount", "metadata.namespace", "A b", "namespace: 'A b' is not a valid"),
    ("cpu", "Job", "metadata.name", "x" * 62, "of 64 characters; shorten it by 1"),
    ("ten", "Job", "metadata.name", "x" * 66, "of 68 characters; shorten it by 5"),
    ("cpu", "NetworkPolicy", "metadata.labels.a", "x" * 64, "metadata.labels[a]: "),
    ("cpu", "NetworkPolicy", "metadata.labels.a", "-x", "metadata.labels[a]: '-x'"),
    ("cpu", "NetworkPolicy", "metadata.labels.a", 7, "metadata.labels[a]: 7"),
    ("cpu", "Job", "spec.template.metadata.labels.a", "x y", "template.metadata.labels[a]: 'x y'"),
    ("cpu", "Job", "metadata.labels", {"app.kubernetes.io/instance": "b"}, "differs from the job"),
    ("tpu-v5e-slice", "JobSet", "spec", _renamed_driver, "'Driver' is not a valid name"),
    ("tpu-v5e-slice", "JobSet", "spec.successPolicy.targetReplicatedJobs", ["x"], "'x' is not a"),
    ("cpu", "Job", "spec.suspend", True, "spec.suspend: the job would never start"),
    ("kueue", "Job", "spec.suspend", True, "spec.suspend: Kueue owns it"),
    # Retries
    ("cpu", "Job", "spec.completionMode", "NonIndexed", "completionMode: "),
    ("cpu", "Job", "spec", alone("podReplacementPolicy"), "podReplacementPolicy: None"),
    ("gpu-4x8", "Job", "spec.parallelism", 3, "parallelism: 3 of 4 workers"),
    ("gpu-4x8", "Job", "spec.parallelism", 5, "parallelism: 5 of 4 workers"),
    ("sweep", "Job", "spec.parallelism", 0, "parallelism: 0: no pod"),
    ("sweep", "Job", "spec.parallelism", 4, "parallelism: 4 of 3 trials"),
    ("cpu", "Job", "spec.activeDeadlineSeconds", 0, "activeDeadlineSeconds: "),
    ("cpu", "Job", "spec.ttlSecondsAfterFinished", DELETE, "spec.ttlSecondsAfterFinished: "),
    ("cpu", "Job", "spec.backoffLimit", -1, "backoffLimit: -1 sets no number"),
    ("cpu", "Job", "spec.backoffLimit", DELETE, "backoffLimit: None sets no number"),
    ("sweep", "Job", "spec.backoffLimitPerIndex", -1, "backoffLimit: -1 sets no number"),
    ("gpu-4x8", "Job", "spec.backoffLimit", 13, "13 is not a multiple of 4"),
    ("gpu-4x8", "Job", "spec.backoffLimit", 3, "3 is not a multiple of 4"),
    ("jobset", "JobSet", f"{HOST}.backoffLimit", 2, "backoffLimit: 2 lets one worker restart"),
    ("tpu-v5e-slice", "JobSet", f"{DRIVER}.backoffLimit", 1, "[1].template.spec.backoffLimit"),
    ("tpu-v5e-slice", "JobSet", f"{DRIVER}.activeDeadlineSeconds", DELETE, "[1].template.spec.a"),
    ("jobset", "JobSet", "spec.ttlSecondsAfterFinished", DELETE, "spec.ttlSecondsAfterFinished"),
    ("cpu", "Job", f"{_RULES}.0", DELETE, "rules[0]: an evicted pod"),
    ("cpu", "Job", f"{_RULES}.0.action", "FailJob", "begin with Ignore"),
    ("cpu", "Job", f"{_RULES}.0.onPodConditions.0.status", "False", "rules[0]: an evicted pod"),
    ("cpu", "Job", f"{_RULES}", lambda r: [r[1], r[0], r[2]], "rules[0]: an evicted pod"),
    ("cpu", "Job", f"{_RULES}.1", DELETE, "exit code 143 leads to Count; it must lead to Ignore"),
    ("cpu", "Job", f"{_RULES}.1.onExitCodes.containerName", "m", "rules[1].onExitCodes.containerN"),
    ("cpu", "Job", f"{_RULES}.2.onExitCodes.containerName", "m", "rules[2].onExitCodes.containerN"),
    ("sweep", "Job", f"{_RULES}.2.action", "FailJob", "must lead to FailIndex"),
    ("tpu-v5e-slice", "JobSet", f"{_GANG}.0.action", "Ignore", "begin with FailJob"),
    ("tpu-v5e-slice", "JobSet", f"{_GANG}.1.action", "Ignore", "143 leads to Ignore; it must lead"),
    *(
        ("cpu", "Job", f"{_RULES}.2.onExitCodes.values.{place}", DELETE, f"exit code {code} leads")
        for place, code in enumerate(PERMANENT_CODES)
        if code != 66  # of `verify` alone
    ),
    *(
        ("cpu", "Job", f"{_RULES}.{rule}.onExitCodes.values", with_(code), f"{code} leads to {end}")
        for (rule, end), code in itertools.product(
            ((1, "Ignore"), (2, "Fail")), (200, 201, 202, 203)
        )
    ),
    ("jobset", "JobSet", f"{_POLICY}.maxRestarts", -1, "maxRestarts: no failure would"),
    ("jobset", "JobSet", f"{_POLICY}.restartStrategy", DELETE, "restartStrategy: "),
    ("jobset", "JobSet", f"{_POLICY}.rules", lambda rules: rules[::-1], "rules: the actions are"),
    ("jobset", "JobSet", f"{_POLICY}.rules.0.onJobFailureMessagePatterns.0", DELETE, "Disruption"),
    ("jobset", "JobSet", f"{_POLICY}.rules.0.onJobFailureMessagePatterns.1", DELETE, "code 143"),
    ("jobset", "JobSet", f"{_POLICY}.rules.0.onJobFailureReasons", DELETE, "a rule is not bound"),
    ("jobset", "JobSet", f"{_POLICY}.rules.1.onJobFailureReasons", DELETE, "a rule is not bound"),
    # Containers, variables, nodes
    ("cpu", "Job", "spec", _without_containers, "containers: is empty"),
    ("cpu", "Job", f"{BOX}.volumeMounts.0.mountPath", "/temp", "nothing is mounted at /tmp"),
    (
        "zip",
        "Job",
        f"{INIT}.volumeMounts.1.mountPath",
        "/temp",
        "initContainers[0].volumeMounts: n",
    ),
    ("bucket", "Job", "spec.template.metadata.annotations", DELETE, "the bucket would not be"),
    ("gpu-4x8", "Job", f"{BOX}.env.4", DELETE, "does not describe the workers"),
    ("gpu-4x8", "Job", f"{BOX}.env.4", _ZERO, "does not describe the workers"),
    (
        "gpu-4x8",
        "Job",
        f"{BOX}.env.4.value",
        lambda v: v.replace('"worker","', '"chief","'),
        "of type 'worker' only",
    ),
    (
        "gpu-4x8",
        "Job",
        f"{BOX}.env.4.value",
        lambda v: v.replace(":$(JOB_COMPLETION_INDEX)", ":1"),
        "same in every pod",
    ),
    (
        "gpu-4x8",
        "Job",
        f"{BOX}.env.4.value",
        lambda v: v.replace("-3.", "-4."),
        "gpu-4x8-4.gpu-4x8",
    ),
    (
        "jobset",
        "JobSet",
        f"{HOST}.template.spec.containers.0.env.3.value",
        lambda v: v.replace("-1.", "-2."),
        "jobset-worker-0-2.jobset",
    ),
    ("gpu-4x8", "Job", f"{BOX}.env.0", DELETE, "$(JOB_COMPLETION_INDEX) is not set above"),
    ("gpu-8", "Job", f"{BOX}.resources", both(nvidia_com__gpu="3"), "has 3 GPUs"),
    ("gpu-1", "Job", f"{BOX}.resources", both(nvidia_com__gpu="2"), "NCCL gets 64 MiB"),
    ("gpu-1", "Job", f"{POD}.tolerations", DELETE, "taint nvidia.com/gpu is not tolerated"),
    ("gpu-1", "Job", f"{POD}.tolerations.0.effect", "NoExecute", "taint nvidia.com/gpu is not"),
    ("gpu-1", "Job", f"{POD}.tolerations.0.operator", "Equal", "taint nvidia.com/gpu is not"),
    ("tpu-v5e-host", "Job", f"{POD}.tolerations", DELETE, "taint google.com/tpu is not tolerated"),
    ("gpu-8", "Job", f"{POD}.volumes.1.emptyDir.medium", DELETE, "NCCL gets 64 MiB"),
    (
        "tpu-v5e-host",
        "Job",
        f"{BOX}.resources",
        both(google_com__tpu="4"),
        "4 chips; a host of 2x4",
    ),
    (
        "tpu-v5e-host",
        "Job",
        f"{POD}.nodeSelector",
        also(**{"cloud.google.com/gke-tpu-topology": "3x3"}),
        "TPU v5e has no topology '3x3'",
    ),
    ("tpu-v5e-slice", "JobSet", HOST, also(completions=3, parallelism=3), "3 pods for the 4 host"),
    # Between documents
    ("cpu-smoke", "Service", "metadata.name", "other", "no headless Service 'cpu-smoke'"),
    ("cpu-smoke", "Service", "metadata.namespace", "other", "no headless Service 'cpu-smoke'"),
    ("cpu-smoke", "Service", "spec.clusterIP", DELETE, "spec.clusterIP: is not headless"),
    ("cpu-smoke", "Service", "spec.publishNotReadyAddresses", False, "spec.publishNotReady"),
    ("cpu-smoke", "Service", "spec.selector", {}, "spec.selector: does not select"),
    ("cpu-smoke", "Service", "spec.selector", also(a="b"), "spec.selector: does not select"),
    ("cpu-smoke", "Service", "spec.ports.0.port", 1, "spec.ports[0]: does not name"),
    ("jobset", "JobSet", "spec.network.enableDNSHostnames", False, "network.enableDNSHostnames"),
    ("jobset", "JobSet", "spec.network.publishNotReadyAddresses", False, "publishNotReady"),
    ("cpu", "NetworkPolicy", "metadata.namespace", "other", "no NetworkPolicy isolates"),
    ("cpu", "NetworkPolicy", "spec.policyTypes", ["Ingress"], "leaves ['Egress'] open"),
    ("cpu", "NetworkPolicy", "spec.policyTypes", ["Egress"], "leaves ['Ingress'] open"),
    ("cpu", "NetworkPolicy", "spec.ingress", [{}], "ingress[0].from: lets everyone in"),
    ("cpu-smoke", "NetworkPolicy", "spec.ingress", with_({}), "ingress[1].from: lets everyone in"),
    ("cpu-smoke", "NetworkPolicy", "spec.ingress", [], "ingress: keeps the workers apart"),
    *(
        ("cpu-smoke", "NetworkPolicy", "spec.ingress.0.from", with_(source), "lets in more than")
        for source in (
            {"podSelector": {}},
            {"namespaceSelector": {}},
            {"ipBlock": {"cidr": "0.0.0.0/0"}},
            {"podSelector": {"matchLabels": {"a": "b"}}},
        )
    ),
    (  # pods of the same name in every namespace, beside those of this one
        *("cpu-smoke", "NetworkPolicy", "spec.ingress.0.from"),
        lambda members: [*members, {**members[0], "namespaceSelector": {}}],
        "lets in more than",
    ),
    ("cpu-smoke", "NetworkPolicy", "spec.egress.0", DELETE, "egress: closes port 2222"),
    ("cpu", "NetworkPolicy", "spec.egress.0", DELETE, "egress: closes port 53"),
    ("cpu", "NetworkPolicy", "spec.egress.1", DELETE, "egress: closes port 443"),
    ("cpu", "NetworkPolicy", "spec.egress", with_({}), "egress: lets everything out"),
    ("code", "ConfigMap", "metadata.name", "other", "no ConfigMap 'cpu-smoke-code'"),
    ("code", "ConfigMap", "data", {}, "no key 'file-0'"),
    ("code", "ConfigMap", "binaryData", DELETE, "no key 'file-1'"),
]
# What looks like a fault and is none: where each rule begins.
HARMLESS = [
    ("cpu", "Job", "spec.podReplacementPolicy", DELETE),
    ("cpu", "NetworkPolicy", "metadata.name", "1a"),
    ("cpu", "Job", "spec.suspend", False),
    ("kueue", "Job", "spec.suspend", False),
    ("cpu", "NetworkPolicy", "spec.podSelector.matchLabels", {}),
    ("cpu", "Job", f"{POD}.terminationGracePeriodSeconds", DELETE),
    ("cpu", "Job", f"{BOX}.command", DELETE),
    ("gpu-4x8", "Job", f"{BOX}.ports", DELETE),
    ("gpu-4x8", "Job", f"{BOX}.resources", both(cpu=192)),
    ("cpu", "Job", "spec.parallelism", DELETE),
    ("cpu", "Job", "spec.template.metadata.labels", lambda labels: dict(list(labels.items())[1:2])),
    ("cpu", "Job", f"{POD}.terminationGracePeriodSeconds", 30),
    ("cpu", "Job", "spec.activeDeadlineSeconds", 61),
    ("cpu", "Job", "spec.ttlSecondsAfterFinished", 60),
    ("gpu-4x8", "Job", "spec.backoffLimit", 0),
    ("jobset", "JobSet", f"{_POLICY}.maxRestarts", 0),
    ("sweep", "Job", "spec.backoffLimitPerIndex", 0),
    ("sweep", "Job", "spec.parallelism", 1),
    ("cpu", "Job", "metadata.name", "x" * 61),
    ("cpu", "NetworkPolicy", "metadata.labels.a", "x" * 63),
    ("cpu", "NetworkPolicy", "metadata.labels.a", ""),
    ("cpu", "Job", f"{BOX}.securityContext.capabilities.add", ["NET_BIND_SERVICE"]),
    ("cpu", "Job", f"{BOX}.securityContext.procMount", "Default"),
    ("cpu", "Job", f"{BOX}.securityContext.runAsNonRoot", True),
    ("cpu", "Job", f"{BOX}.securityContext.seccompProfile", {"type": "Localhost"}),
    ("cpu", "Job", f"{POD}.securityContext.seccompProfile.type", "Localhost"),
    ("cpu", "Job", f"{BOX}.resources", both(cpu="500m")),
    (
        "cpu",
        "Job",
        f"{BOX}.resources",
        both(cpu="0.5"),
    ),
    ("cpu", "Job", f"{BOX}.env", with_({"name": "HUB_TOKEN", "valueFrom": {}})),
    ("cpu", "Job", f"{BOX}.env", with_({"name": "A", "value": "$(HOME)/x"})),
    ("cpu", "Job", f"{BOX}.args", with_("$$(NOWHERE)", "$(HOME)")),
    ("gpu-1", "Job", f"{POD}.tolerations.0.effect", DELETE),
    ("gpu-1", "Job", f"{POD}.tolerations.0", also(operator="Equal", value="present")),
    (
        "cpu-smoke",
        "NetworkPolicy",
        "spec.ingress",
        with_({"from": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]}),
    ),
    ("rdma", "Job", f"{POD}.hostPID", True),
]
