"""The flags of every verb: groups of them, each defined once."""

import dataclasses
from collections.abc import Callable

from absl import flags

from launch import accelerators
from launch.spec import JobSpec

# Flags whose name, type and default are those of the spec's field: SAME_AS_FIELD.
_TEXT = {
    "image": "container image by digest or explicit tag",
    "topology": "TPU topology, for example 4x4",
    "namespace": "Kubernetes namespace",
    "service_account": "existing Kubernetes service account",
    "workload_identity": "Google service account that the run acts as",
    "queue": "Kueue LocalQueue",
    "priority_class": "PriorityClass",
}
_WHOLE = {
    "workers": "worker processes or pods",
    "devices_per_worker": "GPUs of each worker",
    "cpus": "CPU cores of each worker; 0: the accelerator's default",
    "memory_gib": "host memory of each worker, GiB; 0: the accelerator's default",
    "scratch_gib": "size limit of /tmp, GiB",
    "max_restarts": "counted restarts before the job fails",
    "deadline_hours": "hours after which the job ends in any case",
    "grace_secs": "seconds from SIGTERM to SIGKILL",
    "ttl_hours": "hours after which a finished job is deleted",
    "pod_monitor": "port of Prometheus metrics; 0: none",
    "parallel_trials": "trials of a sweep that run at a time",
}
_FLAG = {
    "spot": "ask for preemptible machines",
    "jobset": "let a JobSet restart all workers together",
}
SAME_AS_FIELD = (*_TEXT, *_WHOLE, *_FLAG)
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(JobSpec)}


def define_job(values: flags.FlagValues) -> None:
    """Everything that makes a JobSpec."""
    flags.DEFINE_string("name", "", "exact name; by default a random one", flag_values=values)
    for name, text in _TEXT.items():
        flags.DEFINE_string(name, str(_DEFAULTS[name]), text, flag_values=values)
    for name, text in _WHOLE.items():
        flags.DEFINE_integer(name, int(str(_DEFAULTS[name])), text, flag_values=values)
    for name, text in _FLAG.items():
        flags.DEFINE_boolean(name, False, text, flag_values=values)
    flags.DEFINE_string(
        "accelerator", "cpu", f"one of {', '.join(accelerators.TABLE)}", flag_values=values
    )
    flags.DEFINE_enum(
        "platform", "gke", accelerators.PLATFORMS, "labels of the nodes", flag_values=values
    )
    flags.DEFINE_enum(
        "privileged",
        "",
        ["", "rdma", "tpu"],
        "why the pod needs more than PodSecurity restricted allows",
        flag_values=values,
    )
    flags.DEFINE_multi_string("env", [], "NAME=VALUE", flag_values=values)
    flags.DEFINE_multi_string("secret_env", [], "NAME=SECRET/KEY", flag_values=values)
    flags.DEFINE_multi_string("mount_pvc", [], "CLAIM:/PATH", flag_values=values)
    flags.DEFINE_multi_string("mount_gcs", [], "BUCKET:/PATH", flag_values=values)
    flags.DEFINE_multi_string("node_selector", [], "LABEL=VALUE", flag_values=values)
    flags.DEFINE_string("code", "", "file or folder of your own code", flag_values=values)
    flags.DEFINE_string("sweep", "", "file with the trials of a sweep", flag_values=values)
    flags.DEFINE_string("profile", "", "section of the profile file", flag_values=values)
    flags.DEFINE_string("profiles", "launch.toml", "the profile file", flag_values=values)


def define_backend(values: flags.FlagValues) -> None:
    """Where the job is."""
    flags.DEFINE_enum(
        "backend", "local", ["local", "kubernetes"], "where the job runs", flag_values=values
    )
    flags.DEFINE_string("state_dir", "", "state folder of local jobs", flag_values=values)
    flags.DEFINE_string("context", "", "context of the kubeconfig", flag_values=values)
    if "namespace" not in values:
        flags.DEFINE_string("namespace", "lockstep", "Kubernetes namespace", flag_values=values)


def define_output(values: flags.FlagValues) -> None:
    """How results are printed."""
    flags.DEFINE_enum(
        "output", "text", ["text", "json", "yaml"], "form of the answer", flag_values=values
    )


def define_submit(values: flags.FlagValues) -> None:
    """What `submit` does besides."""
    flags.DEFINE_boolean("follow", False, "print logs until the job ends", flag_values=values)
    flags.DEFINE_enum(
        "dry_run", "none", ["none", "client", "server"], "render or ask only", flag_values=values
    )


def define_state(values: flags.FlagValues) -> None:
    """Where `local` keeps its jobs."""
    flags.DEFINE_string("state_dir", "", "state folder of local jobs", flag_values=values)


def define_timeout(values: flags.FlagValues) -> None:
    """How long `wait` waits."""
    flags.DEFINE_float("timeout_secs", 0.0, "give up after this; 0: never", flag_values=values)


def define_logs(values: flags.FlagValues) -> None:
    """Which logs are printed."""
    flags.DEFINE_boolean("follow", False, "go on until the job ends", flag_values=values)
    flags.DEFINE_integer("worker", -1, "one worker or trial; -1: all", flag_values=values)


def define_lint(values: flags.FlagValues) -> None:
    """What `lint` checks."""
    flags.DEFINE_boolean("schemas", True, "check schemas too", flag_values=values)


def define_doctor(values: flags.FlagValues) -> None:
    """What `doctor` checks besides the cluster."""
    flags.DEFINE_multi_string("path", [], "data folder or workdir to look for", flag_values=values)


Define = Callable[[flags.FlagValues], None]


def of_any_job() -> set[str]:
    """The flags of all verbs that start jobs."""
    values = flags.FlagValues()
    for define in (define_job, define_backend, define_output, define_submit):
        define(values)
    return set(values) - {"help"}
