"""Faults of single words and numbers, and some that a tired hand makes; see `foreign_faults`."""

from foreign_faults import BOX, POD
from plant import DELETE, also

WORDS = {
    "a word that is not allowed": [
        ("kubectl_create", "Job", BOX, also(imagePullPolicy="Allways"), "Allways"),
        ("cronjob", "CronJob", "spec.concurrencyPolicy", "Never", "'Never' is none of"),
        ("cronjob", "PersistentVolumeClaim", "spec.accessModes", ["ReadWriteMan"], "WriteMany"),
        ("torchrun", "Job", f"{POD}.volumes.0.emptyDir.medium", "memory", "'Memory'"),
        ("indexed_job", "Job", "spec.completionMode", "indexed", "'Indexed'"),
        ("tensorboard", "Service", "spec.ports.0.protocol", "tcp", "'TCP'"),
        ("gke_tpu", "Job", f"{POD}.dnsPolicy", "ClusterFirstWithHostNetwork", "dnsPolicy"),
        ("gke_tpu", "Job", f"{POD}.dnsPolicy", "None", "dnsConfig"),
        ("gke_tpu", "Job", f"{BOX}.ports.0.containerPort", 84710, "84710"),
        ("cronjob", "PersistentVolumeClaim", "spec", {"accessModes": []}, "is missing"),
    ],
    "a place that no pod is told": [
        ("cronjob", "CronJob", "spec.jobTemplate.spec.completionMode", DELETE, "is not set"),
        ("gke_tpu", "Job", "spec.completionMode", DELETE, "their places"),
    ],
    "a slip of a tired hand": [
        ("plain_trainer", "Job", f"{BOX}.args.0", lambda t: t.replace("python", "pyhton"), "127"),
        ("plain_trainer", "Job", f"{BOX}.command", ["bash"], "-c before"),
        ("plain_trainer", "Job", "spec.ttlSecondsAfterFinished", -1, "-1 is below 0"),
        ("plain_trainer", "Job", POD, also(serviceAccountName="Trainer"), "can be called"),
        ("plain_trainer", "Job", POD, also(nodeSelector={"kubernetes.io/arch": "amd46"}), "amd46"),
        ("gpu-1", "Job", f"{BOX}.command", ["python", "-m", "trainr"], "'trainr'"),
        ("plain_trainer", "Job", f"{BOX}.args.0", lambda text: text + " &", "background"),
        ("cpu-smoke", "NetworkPolicy", "spec.egress.3", DELETE, "169.254.169.254"),
        ("gpu-4x8", "Job", "spec.parallelism", 2, "2 of 4 workers"),
        (
            *("tpu-v5e-slice", "JobSet", "spec.replicatedJobs.1.dependsOn.0.status"),
            "Complete",
            "never starts",
        ),
        ("kueue", "Job", "metadata.labels", {"kueue.sigs.k8s.io/queue-name": "a"}, "queue-name"),
        ("cronjob", "CronJob", "spec.timeZone", "Europe/Zuric", "Zurich"),
        ("rbac", "ClusterRole", "rules.0.verbs", ["create", "gett"], "'gett'"),
        ("rbac", "RoleBinding", "roleRef.kind", "Role", "but a ClusterRole"),
        ("plain_trainer", "PersistentVolumeClaim", "spec.resources.requests.storage", "5GB", "5GB"),
        ("tensorboard", "Deployment", f"{BOX}.livenessProbe.httpGet.port", 6007, "6007"),
        ("torchrun", "Job", f"{BOX}.env.0", {"name": "WORLD_SIZE", "value": "9"}, "9 processes"),
        ("torchrun", "Job", f"{BOX}.env.0", {"name": "MASTER_PORT", "value": "99999"}, "99999"),
    ],
}
