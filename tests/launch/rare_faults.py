"""Faults that hands write seldom: one for each rule that no other table reaches."""

from foreign_faults import BOX, CRON, POD
from plant import also, swap, swap_all

from launch.spec import documents

_RULES = "spec.podFailurePolicy.rules"
_PORTS = "spec.template.spec.containers.0.ports"
_TRAINER = {
    "name": "t",
    "image": "lockstep:1-cpu",
    "args": ["--config=digits", "--workdir=gs://b/a"],
}
_NODE = {"name": "runs", "hostPath": {"path": "/data"}}


def _turned(text: str) -> str:
    """The two workers of a description in the wrong order."""
    return text.replace("digits-0", "digits-9").replace("digits-1", "digits-0").replace("-9", "-1")


# Not in the folder of correct manifests: a CronJob that goes on in one workdir has little to do.
OVERLAP = documents.load("""apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: ml}
spec:
  schedule: "0 1 * * *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: trainer
            image: lockstep:0.1.0-cpu
            args: [--config=digits, --workdir=gs://b/nightly]
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: ml}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: trainer
        image: lockstep:0.1.0-cpu
        args: [--config=digits, --workdir=gs://b/once]
""")
RARE = [
    (
        "plain_trainer",
        "Job",
        f"{BOX}.env.1.value",
        lambda _: '{"cluster":{},"task":{}}',
        "describe",
    ),
    (
        *("plain_trainer", "Job", f"{BOX}.env.1.value"),
        lambda _: '{"cluster":{},"task":{"type":"worker","index":0}}',
        "it names none",
    ),
    (
        *("kubectl_create", "Job", f"{BOX}"),
        also(
            env=[
                {
                    "name": "TF_CONFIG",
                    "value": '{"cluster":{"w":["a:1"]},"task":{"type":"w","index":1}}',
                }
            ]
        ),
        "task.index 1",
    ),
    ("plain_trainer", "Job", f"{BOX}.env.1.value", swap("digits-1.", "digits-0."), "there twice"),
    ("plain_trainer", "Job", f"{BOX}.env.1.value", _turned, "not in the order"),
    (
        *("indexed_job", "Job", "spec"),
        also(successPolicy={"rules": [{"succeededIndexes": "0-3"}]}),
        "3 is not an index",
    ),
    ("indexed_job", "Job", f"{_RULES}.1", {"action": "Ignore"}, "onExitCodes or onPodConditions"),
    ("plain_trainer", "Job", f"{POD}.terminationGracePeriodSeconds", -1, "-1 is below 0"),
    ("jobset_sample", "JobSet", "spec.replicatedJobs.1.name", "leader", "2 are called 'leader'"),
    ("kustomize", "Job", "metadata.labels", {"a b": "c"}, "'a b' is not the name of a label"),
    ("kustomize", "Job", f"{POD}.containers", lambda b: [b[0], b[0]], "2 containers are called"),
    ("kustomize", "Job", f"{POD}.volumes.1.name", "My_Cache", "'My_Cache' is not a valid name"),
    ("driver_daemonset", "DaemonSet", f"{POD}.tolerations.0", {"value": "b"}, "has no key"),
    ("gpu-1", "Job", f"{BOX}.resources.requests", also(**{"nvidia.com/gpu": "0"}), "not shared"),
    ("torchrun", "Job", f"{POD}.volumes.0.emptyDir.sizeLimit", "16GB", "'16GB' is not a quantity"),
    (
        *("kueue_sample", "ClusterQueue", "spec.namespaceSelector"),
        {"matchLabels": {"kubernetes.io/metadata.name": "team"}},
        "does not admit namespace 'default'",
    ),
    ("cronjob", "CronJob", "spec.schedule", "TZ=UTC 0 1 * * *", "has a time zone"),
    ("cronjob", "CronJob", "spec", also(suspend=True), "no run ever starts"),
    ("tensorboard", "Service", "spec.ports", lambda ports: [*ports, {"port": 81}], "several ports"),
    (
        *("tensorboard", "Service", "spec.ports"),
        lambda ports: [*ports, {**ports[0], "name": "b"}],
        "a port is there twice",
    ),
    ("torchrun", "Service", "spec", also(type="NodePort"), "'NodePort' needs an address"),
    ("monitor", "PodMonitor", "spec.podMetricsEndpoints.0.port", "metric", "nothing is read"),
    ("tensorboard", "Deployment", _PORTS, lambda ports: ports * 2, "2 ports are called 'http'"),
    (
        "gke_tpu",
        "Job",
        f"{_PORTS}.0",
        {"containerPort": 8471, "hostPort": 1},
        "hostPort 1 has to be",
    ),
    ("plain_trainer", "Job", f"{POD}.volumes.0", _NODE, "stays on one node"),
    ("cpu", "Job", f"{BOX}.args", swap_all("=cpu", "=tpu"), "no TPU is asked for"),
    (
        *("tpu-v5e-slice", "JobSet"),
        "spec.replicatedJobs.1.template.spec.template.spec.containers.0.args",
        swap_all("host-0-3", "host-0-2"),
        "names tpu-v5e-slice-host-0-2.tpu-v5e-slice twice",
    ),
    ("cronjob", "CronJob", f"{CRON}.containers.0", _TRAINER, "there is nothing to do"),
    (
        *("overlap", "CronJob", "spec.concurrencyPolicy", "Allow"),
        "Allow: a run that is still at work",
    ),
    ("overlap", "CronJob", "spec.concurrencyPolicy", "Replace", "Replace stops a run"),
    (
        *("overlap", "Job", f"{BOX}.args.1", "--workdir=gs://b/nightly"),
        "trains in 'gs://b/nightly' too: they overwrite each other",
    ),
    (
        *("torchrun", "Job", f"{BOX}.env.0"),
        {"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        "A has a value and valueFrom",
    ),
    ("kustomize", "Job", f"{POD}.volumes.1.name", "data", "2 volumes are called 'data'"),
    (
        *("kustomize", "PersistentVolumeClaim", "spec.accessModes", ["ReadOnlyMany"]),
        "nothing can be written",
    ),
    ("cpu", "Job", BOX, lambda box: {**box, "image": "a:1", "command": []}, "the image decides"),
    (
        "kustomize",
        "Job",
        f"{POD}.volumes.1",
        {"name": "cache", "emptyDir": {}, "nfs": {}},
        "at once",
    ),
]
