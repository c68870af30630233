"""Faults of single words and numbers, and some that a tired hand makes; see `foreign_faults`."""

from foreign_faults import BOX, POD
from plant import also

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
}
