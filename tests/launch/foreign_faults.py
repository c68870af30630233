"""Faults of many kinds in manifests of many styles: kind of fault -> where it is planted.

Each row: manifest, document, path, planted value, a word that a finding has to contain.
"""

from plant import DELETE, also, keys, swap, swap_all, with_

POD = "spec.template.spec"
BOX = f"{POD}.containers.0"
CRON = "spec.jobTemplate.spec.template.spec"
TF = "spec.tfReplicaSpecs.Worker.template.spec"
HOST, DRIVER = (f"spec.replicatedJobs.{i}.template.spec" for i in (0, 1))
QUEUE = "kueue.x-k8s.io/queue-name"


def both(name, value):
    """Request and limit of a resource."""
    return lambda resources: {k: {**v, name: value} for k, v in resources.items()}


FAULTS = {
    "port of peers in a policy": [
        ("cpu-smoke", "NetworkPolicy", "spec.ingress.0.ports.0.port", 2223, "port 2222"),
        ("cpu-smoke", "NetworkPolicy", "spec.egress.0.ports.0.port", 2223, "port 2222"),
        ("gpu-4x8", "NetworkPolicy", "spec.ingress.0", also(ports=[{"port": 2222}]), "NCCL"),
        ("network_policy", "NetworkPolicy/client", "spec.egress.0.ports.0.port", 6380, "6379"),
        ("network_policy", "NetworkPolicy/store", "spec.ingress.0.ports.0.port", "redsi", "6379"),
    ],
    "port of the TPU worker": [
        ("tpu-v5e-slice", "NetworkPolicy", "spec.ingress.0.ports.0.port", 8471, "port 8470"),
        ("tpu-v5e-slice", "NetworkPolicy", "spec.egress.0.ports.0.port", 8471, "port 8470"),
        (
            *("tpu-v5e-slice", "JobSet", f"{DRIVER}.template.spec.containers.0.args"),
            swap_all("8470", "8471"),
            "8471",
        ),
        (
            *("tpu-v5e-slice", "JobSet"),
            f"{HOST}.template.spec.containers.0.ports.0.containerPort",
            8471,
            "8470",
        ),
    ],
    "port of peers in the description": [
        ("plain_trainer", "Job", f"{BOX}.env.1.value", swap("3333", "3334"), "3334"),
        ("gpu-4x8", "Job", f"{BOX}.ports.0.containerPort", 2223, "2222"),
        ("torchrun", "Job", f"{BOX}.args", swap_all("29400", "29500"), "29500"),
    ],
    "host's network without its dnsPolicy": [
        ("gpu-4x8", "Job", POD, also(hostNetwork=True), "dnsPolicy"),
        ("gke_tpu", "Job", f"{POD}.dnsPolicy", DELETE, "dnsPolicy"),
        ("plain_trainer", "Job", POD, also(hostNetwork=True), "dnsPolicy"),
    ],
    "two flags in one item": [
        ("gpu-1", "Job", f"{BOX}.args", ["--config=digits --workdir=gs://B/x"], "one argument"),
        ("torchrun", "Job", f"{BOX}.args.1", "--nproc_per_node=4 --node_rank=0", "one argument"),
        ("kustomize", "Job", f"{BOX}.args.0", "--batch-size 64", "one argument"),
        ("kubectl_create", "Job", f"{BOX}.command", ["python /app/mnist.py"], "no program"),
    ],
    "a shell's variable without a shell": [
        ("gpu-1", "Job", f"{BOX}.args", with_("--stage_dir=${SCRATCH}"), "${SCRATCH}"),
        ("kustomize", "Job", f"{BOX}.args.0", "--batch-size=$BATCH_SIZE", "$BATCH_SIZE"),
        ("torchrun", "Job", f"{BOX}.args.2", "--node_rank=${JOB_COMPLETION_INDEX}", "${JOB_"),
    ],
    "a variable that nobody sets": [
        ("torchrun", "Job", f"{BOX}.args.2", "--node_rank=$(RANK)", "$(RANK)"),
        ("cronjob", "CronJob", f"{CRON}.containers.0.args.0", swap("$OUT/", "$OTU/"), "$OTU"),
        ("kubectl_create", "Job", f"{BOX}.command.2", "--epochs=$(EPOCHS)", "$(EPOCHS)"),
    ],
    "a wrong strategy": [
        ("gpu-8", "Job", f"{BOX}.args", swap_all("mirrored", "cpu"), "--strategy=cpu"),
        ("cpu-smoke", "Job", f"{BOX}.args", swap_all("multi_worker", "mirrored"), "mirrored"),
        ("gpu-4x8", "Job", f"{BOX}.args", swap_all("multi_worker", "mirrored"), "multi_worker"),
        ("tpu-v5e-host", "Job", f"{BOX}.args", swap_all("=tpu", "=mirrored"), "mirrored"),
        ("gpu-1", "Job", f"{BOX}.args", swap_all("mirrored", "mirorred"), "strategy"),
        ("plain_trainer", "Job", f"{BOX}.args.0", swap("multi_worker", "cpu"), "--strategy=cpu"),
    ],
    "virtual replicas that the hardware cannot share": [
        ("gpu-4x8", "Job", f"{BOX}.args", swap_all("replicas=32", "replicas=16"), "32 replicas"),
        ("gpu-8", "Job", f"{BOX}.args", swap_all("replicas=8", "replicas=4"), "8 replicas"),
        ("tpu-v5e-host", "Job", f"{BOX}.args", swap_all("replicas=8", "replicas=2"), "8 replicas"),
        ("plain_trainer", "Job", f"{BOX}.args.0", swap("replicas=4", "replicas=1"), "replicas"),
    ],
    "an argument that the trainer refuses": [
        ("gpu-1", "Job", f"{BOX}.args", swap_all("config=digits", "config=digtis"), "digits"),
        ("gpu-1", "Job", f"{BOX}.args", with_("--config.epochs=-1"), "epochs"),
        ("sweep", "Job", f"{BOX}.args.0", swap("learning_rate", "learning_rat"), "learning_rat"),
        ("plain_trainer", "Job", f"{BOX}.args.0", swap("--workdir", "--workdr"), "workdr"),
        ("kueue", "Job", f"{BOX}.args", with_("--config.model.name=mpl"), "mlp"),
    ],
    "sh -c in front": [
        ("gpu-1", "Job", f"{BOX}.command", ["sh", "-c", "python", "-m", "trainer"], "alone"),
        ("kustomize", "Job", f"{BOX}.command", ["sh", "-c", "python"], "alone"),
        ("plain_trainer", "Job", f"{BOX}.args.0", swap("exec python", "cd / && python"), "SIGTERM"),
        ("plain_trainer", "Job", f"{BOX}.args.0", lambda text: text + " | tee /runs/log", "pipe"),
    ],
    "hosts of --tpu": [
        (
            *("tpu-v5e-slice", "JobSet", f"{DRIVER}.template.spec.containers.0.args"),
            swap_all("host-0-3", "host-0-4"),
            "host-0-4",
        ),
        (
            *("tpu-v5e-slice", "JobSet", f"{DRIVER}.template.spec.containers.0.args"),
            swap_all(",grpc://tpu-v5e-slice-host-0-3.tpu-v5e-slice:8470", ""),
            "host-0-3",
        ),
        (
            *("tpu-v5e-slice", "JobSet", f"{DRIVER}.template.spec.containers.0.args"),
            swap_all("tpu-v5e-slice-host", "tpu-v5e-host"),
            "tpu-v5e-host-0-0",
        ),
    ],
    "a workdir that is lost": [
        ("gpu-1", "Job", f"{BOX}.args", swap_all("gs://BUCKET/", "/tmp/"), "lost"),
        ("gpu-1", "Job", f"{BOX}.args", swap_all("gs://BUCKET/", "/data/"), "lost"),
        ("gpu-1", "Job", f"{BOX}.args", swap_all("gs://BUCKET/", "runs/"), "lost"),
        ("plain_trainer", "Job", f"{BOX}.args.0", swap("/runs/", "/run/"), "lost"),
        ("plain_trainer", "Job", f"{BOX}.volumeMounts.0", also(readOnly=True), "written"),
        ("plain_trainer", "Job", f"{POD}.volumes.0", {"name": "runs", "emptyDir": {}}, "lost"),
    ],
    "a claim of one node with several pods": [
        ("plain_trainer", "PersistentVolumeClaim", "spec.accessModes", ["ReadWriteOnce"], "Once"),
        ("kubeflow", "PersistentVolumeClaim", "spec.accessModes", ["ReadWriteOnce"], "Once"),
        ("kustomize", "Job", "spec", also(parallelism=2, completions=2), "ReadWriteOnce"),
        ("kubeflow", "PersistentVolumeClaim", "spec.accessModes", ["ReadWriteOncePod"], "OncePod"),
    ],
    "the name of a claim": [
        ("plain_trainer", "Job", f"{POD}.volumes.0.persistentVolumeClaim.claimName", "run", "'ru"),
        ("cronjob", "CronJob", f"{CRON}.volumes.0.persistentVolumeClaim.claimName", "out", "'out'"),
        (
            "kubeflow",
            "TFJob",
            f"{TF}.volumes.0.persistentVolumeClaim.claimName",
            "tfevent-volum",
            "tfe",
        ),
        ("kustomize", "PersistentVolumeClaim", "metadata.name", "resnet-data", "resnet-data"),
    ],
    "shared memory above the limit": [
        ("torchrun", "Job", f"{POD}.volumes.0.emptyDir.sizeLimit", "128Gi", "volumes[0]"),
        ("gpu-8", "Job", f"{BOX}.resources", both("memory", "8Gi"), "killed"),
    ],
    "a volume above the limit of the disk": [
        ("gpu-1", "Job", f"{POD}.volumes.0.emptyDir.sizeLimit", "200Gi", "evicted"),
    ],
    "a mount without its volume": [
        ("torchrun", "Job", f"{BOX}.volumeMounts.1.name", "confg", "'confg'"),
        ("kubeflow", "TFJob", f"{TF}.volumes.0.name", "log", "'logs'"),
        ("network_policy", "StatefulSet", f"{BOX}.volumeMounts.0.name", "dta", "'dta'"),
    ],
    "an object that nobody holds": [
        ("rbac", "Job", f"{POD}.serviceAccountName", "launchr", "launchr"),
        ("rbac", "Job", f"{POD}.priorityClassName", "training-hihg", "training-hihg"),
        ("tensorboard", "Deployment", f"{POD}.serviceAccountName", "tensorboard", "tensorboard"),
        ("torchrun", "Job", f"{POD}.volumes.1.configMap.name", "config", "'config'"),
        ("kustomize", "Job", f"{BOX}.envFrom.0.configMapRef.name", "prod-resnet-env", "prod-"),
        ("rbac", "RoleBinding", "subjects.0.name", "lanucher", "lanucher"),
        ("rbac", "RoleBinding", "roleRef.name", "team:training:sumbit", "sumbit"),
        ("rbac", "Job", "metadata.namespace", "team-b", "team-b"),
    ],
    "a key that a ConfigMap has not": [
        (
            *("torchrun", "Job", f"{POD}.volumes.1.configMap"),
            also(items=[{"key": "train.yml", "path": "train.yaml"}]),
            "train.yml",
        ),
        (
            *("torchrun", "Job", f"{BOX}.env.0"),
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "llm-config", "key": "lr"}}},
            "'lr'",
        ),
    ],
    "dependsOn": [
        ("jobset_sample", "JobSet", "spec.replicatedJobs.1.dependsOn.0.name", "lead", "'lead'"),
        ("jobset_sample", "JobSet", "spec.replicatedJobs", lambda jobs: jobs[::-1], "above"),
        ("tpu-v5e-slice", "JobSet", "spec.replicatedJobs.1.dependsOn.0.name", "hosts", "'hosts'"),
    ],
    "a label of Kueue": [
        ("kueue_sample", "Job", "metadata.labels", {"kueue.x-k8s.io/queuename": "a"}, "queue-name"),
        ("kueue_sample", "Job", "metadata.labels", {"kueue.k8s.io/queue-name": "a"}, "queue-name"),
        ("kueue", "Job", "metadata.labels", keys(kueue_o_x_k8s_o_io__queue_nmae="a"), "queue-name"),
        ("kueue_sample", "Job", "metadata.labels", {QUEUE: "user-queu"}, "user-queue"),
        (
            "kueue_sample",
            "Job",
            "metadata",
            {"generateName": "a-", "annotations": {QUEUE: "a"}},
            "labels",
        ),
        ("cronjob", "CronJob", "metadata", also(labels={QUEUE: "a"}), "spec.jobTemplate"),
        (
            *("jobset_sample", "JobSet", "spec.replicatedJobs.0.template"),
            also(metadata={"labels": {QUEUE: "a"}}),
            "metadata.labels",
        ),
        (
            *("kustomize", "Job", "spec.template.metadata.labels"),
            also(**{QUEUE: "a"}),
            "move it",
        ),
    ],
    "a queue": [
        ("kueue_sample", "LocalQueue", "spec.clusterQueue", "cluster-queu", "cluster-queue"),
        ("kueue_sample", "LocalQueue", "metadata.namespace", "team", "team"),
        ("kueue_sample", "ClusterQueue", "spec.namespaceSelector", DELETE, "namespace"),
        ("kueue_sample", "Job", "spec", also(parallelism=30, completions=30), "quota"),
        (
            *("kueue_sample", "Job", f"{BOX}.resources.requests"),
            keys(nvidia_o_com__gpu=1),
            "covers",
        ),
        ("kueue_sample", "ClusterQueue", "spec.resourceGroups.0.coveredResources", ["cpu"], "cov"),
        (
            *("kueue_sample", "ClusterQueue", "spec.resourceGroups.0.flavors.0.name"),
            "default",
            "default-flavor",
        ),
    ],
    "a JobSet that never ends": [
        ("tpu-v5e-slice", "JobSet", "spec.successPolicy", DELETE, "successPolicy"),
        ("tpu-v5e-slice", "JobSet", "spec.successPolicy.targetReplicatedJobs", ["host"], "serves"),
    ],
    "a name inside of a JobSet": [
        ("jobset_sample", "JobSet", "spec.successPolicy.targetReplicatedJobs", ["lead"], "'lead'"),
        ("jobset_sample", "JobSet", "spec.coordinator.replicatedJob", "driver", "'driver'"),
        ("jobset_sample", "JobSet", "spec.coordinator.podIndex", 1, "podIndex"),
        (
            *("jobset_sample", "JobSet", "spec.failurePolicy.rules.0.targetReplicatedJobs"),
            ["workers"],
            "'workers'",
        ),
        (
            *("jobset_sample", "JobSet", "spec.failurePolicy.rules.0.onJobFailureReasons"),
            ["PodFailure"],
            "PodFailure",
        ),
        (
            "jobset_sample",
            "JobSet",
            f"{DRIVER}.template.spec.containers.0.env.0.value",
            "leader-worker-leader-0-1.leader-worker:9000",
            "leader-0-1",
        ),
    ],
    "time that is too short": [
        ("gpu-1", "Job", "spec.activeDeadlineSeconds", 30, "Deadline"),
        ("plain_trainer", "Job", "spec.activeDeadlineSeconds", 90, "90"),
        ("kustomize", "Job", "spec", also(activeDeadlineSeconds=20), "20"),
        ("gpu-1", "Job", "spec.ttlSecondsAfterFinished", 0, "ttlSeconds"),
        ("torchrun", "Job", "spec", also(ttlSecondsAfterFinished=0), "ttlSeconds"),
        ("plain_trainer", "Job", f"{POD}.terminationGracePeriodSeconds", 0, "Grace"),
    ],
    "a sweep that does not count": [
        ("sweep", "Job", "spec.completions", 4, "3 trials"),
        ("sweep", "Job", "spec.completions", 2, "3 trials"),
        ("cronjob", "CronJob", "spec.jobTemplate.spec.completions", 5, "3 values"),
        ("cronjob", "CronJob", f"{CRON}.containers.0.args.0", swap(" 0.001", ""), "2 values"),
    ],
    "trials in one workdir": [
        ("sweep", "Job", f"{BOX}.args.0", swap("trial-2", "trial-1"), "share"),
        (
            "plain_trainer",
            "Job",
            f"{BOX}",
            also(
                env=[],
                args=["exec python -m trainer --workdir=/runs/a --seed=$JOB_COMPLETION_INDEX"],
            ),
            "share",
        ),
    ],
    "a CronJob": [
        ("cronjob", "CronJob", "spec.schedule", "30 2 * *", "fields"),
        ("cronjob", "CronJob", "spec.schedule", "30 26 * * *", "26"),
        ("cronjob", "CronJob", "spec.schedule", "@nightly", "@nightly"),
        ("cronjob", "CronJob", "spec.startingDeadlineSeconds", 5, "startingDeadlineSeconds"),
        ("cronjob", "CronJob", "metadata.name", "x" * 53, "53"),
        ("cronjob", "CronJob", f"{CRON}.restartPolicy", "Always", "Always"),
    ],
    "an image without the device": [
        ("gpu-1", "Job", f"{BOX}.image", "lockstep:0.1.0-cpu", "built for cpu"),
        ("tpu-v5e-host", "Job", f"{BOX}.image", "lockstep:0.1.0-gpu", "built for gpu"),
        ("torchrun", "Job", f"{BOX}.image", "pytorch/pytorch:2.4.0-cpu", "built for cpu"),
        ("kustomize", "Job", f"{BOX}.image", "tensorflow/tensorflow:2.16.1", "built for cpu"),
    ],
}
