"""What each field of a job does to the manifest: bases, changes, and the difference they make.

`python -m tests.launch.effects` writes effects.yaml anew; its difference is to be read like code.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from launch.code import programs
from launch.render import manifest
from launch.render.environment import literal
from launch.spec.job import JobSpec
from launch.spec.parts import (
    CodeBundle,
    Egress,
    Mount,
    Requirements,
    Resource,
    SecretVariable,
    Toleration,
)

GOLDEN = Path(__file__).with_name("effects.yaml")
ONE = JobSpec(
    name="run", args=("--config=digits", "--workdir=gs://BUCKET/run"), image="lockstep:0.1.0-cpu"
)
FILES = CodeBundle("ab" * 32, (("mine/a.py", b"x = 1\n"), ("mine/b.bin", b"\xff\x00")))
ZIP = CodeBundle("cd" * 32, FILES.files, "gs://BUCKET/run/code/$.zip")
TRIALS = tuple((f"--config.seed={i}", f"--workdir=gs://BUCKET/run/trial-{i}") for i in range(3))
MOUNTS = (Mount("pvc", "claim", "/data"), Mount("gcs", "bucket", "/data2"))
SECRETS = (SecretVariable("HUB", "hub", "key"), SecretVariable("BOT", "bot", "other"))
PACKAGES = (Requirements(f"six==1.17.0 --hash=sha256:{'0' * 64}\n"),)
TAINTS = (Toleration("dedicated", "train", "NoSchedule"), Toleration("rare"))
BASES = {
    "one worker": ONE,
    "three workers": dataclasses.replace(ONE, workers=3),
    "a JobSet": dataclasses.replace(ONE, workers=3, jobset=True),
    "a TrainJob": dataclasses.replace(ONE, workers=3, trainjob=True),
    "a sweep": dataclasses.replace(ONE, trials=TRIALS),
    "GPUs": dataclasses.replace(
        ONE, image="lockstep:0.1.0-gpu", accelerator="l4", devices_per_worker=1, workers=2
    ),
    "a TPU host": dataclasses.replace(
        ONE, image="lockstep:0.1.0-tpu", accelerator="v5e", topology="2x4"
    ),
    "a TPU slice": dataclasses.replace(
        ONE, image="lockstep:0.1.0-tpu", accelerator="v5e", topology="4x4"
    ),
    "all documents": dataclasses.replace(
        ONE, workers=3, code=FILES, pod_monitor=9100, workload_identity="a@b.iam"
    ),
    "a zip": dataclasses.replace(ONE, code=ZIP),
}
_FIELDS: dict[str, tuple[object, tuple[str, ...]]] = {
    "name": ("other", ("all documents", "a JobSet", "a TrainJob", "a TPU slice", "a sweep")),
    "args": (
        (*ONE.args, "--strategy=mirrored", "--note=$(HOME)"),
        ("one worker", "three workers", "a sweep", "a TPU host"),
    ),
    "command": (("python", "train.py", "$X"), ("one worker", "a sweep", "a TPU slice")),
    "image": ("host:5000/mine:7", ("one worker", "a zip", "a TPU slice")),
    "workers": (2, ("one worker", "three workers", "a JobSet", "a TrainJob")),
    "devices_per_worker": (2, ("GPUs",)),
    "cpus": (7, ("one worker", "GPUs", "a TPU slice")),
    "memory_gib": (9, ("one worker", "GPUs", "a TPU slice")),
    "scratch_gib": (5, ("one worker", "a JobSet", "a TPU slice")),
    "platform": ("plain", ("GPUs",)),
    "namespace": ("team", ("all documents", "a JobSet", "a TrainJob")),
    "service_account": ("robot", ("one worker", "a JobSet", "a TPU slice")),
    "workload_identity": ("me@project.iam", ("one worker", "a TPU slice")),
    "env": (
        (("A", "$(HOME)"), ("HOME", "/data")),
        ("one worker", "a JobSet", "a sweep", "a TPU slice", "a zip"),
    ),
    "secret_env": (SECRETS, ("one worker", "a JobSet", "a sweep", "a TPU slice")),
    "mounts": (MOUNTS, ("one worker", "a JobSet", "a sweep", "GPUs", "a TPU slice")),
    "node_selector": (
        (("zone", "a"), ("cloud.google.com/gke-accelerator", "nvidia-tesla-t4")),
        ("GPUs",),
    ),
    "arch": ("arm64", ("one worker", "a TPU slice")),
    "toleration": (TAINTS, ("one worker", "GPUs", "a TPU slice")),
    "runtime_class": ("nvidia", ("GPUs", "a JobSet")),
    "resource": (
        (Resource("amd.com/gpu", 4), Resource("rdma/hca", 1)),
        ("GPUs", "a TPU slice"),
    ),
    "egress": (
        (Egress("10.1.2.3/32", 3128), Egress("fd00::/8", 443)),
        ("one worker", "a JobSet", "GPUs"),
    ),
    "spot": (True, ("one worker", "a JobSet", "GPUs", "a TPU slice")),
    "queue": ("training", ("one worker", "a JobSet", "a TrainJob", "a sweep")),
    "priority_class": ("high", ("one worker", "a JobSet", "a sweep")),
    "max_restarts": (5, ("one worker", "three workers", "a JobSet", "a TrainJob", "a sweep")),
    "deadline_hours": (2, ("one worker", "a JobSet", "a sweep", "a TPU slice")),
    "grace_secs": (90, ("one worker", "a JobSet", "a sweep")),
    "ttl_hours": (1, ("one worker", "a JobSet", "a sweep")),
    "jobset": (True, ("three workers",)),
    "trainjob": (True, ("three workers",)),
    "pod_monitor": (9100, ("one worker", "three workers", "a JobSet", "GPUs")),
    "requirements": (PACKAGES, ("one worker", "a zip", "a TPU slice")),
    "code": (FILES, ("one worker", "a JobSet", "a sweep", "a TPU slice")),
    "trials": (TRIALS, ("one worker", "a TPU host")),
    "parallel_trials": (2, ("a sweep",)),
}
_OTHERS: dict[str, tuple[str, dict[str, object]]] = {
    "accelerator=l4": (
        "one worker",
        {"accelerator": "l4", "devices_per_worker": 1, "image": "lockstep:0.1.0-gpu"},
    ),
    "devices_per_worker=8": ("GPUs", {"devices_per_worker": 8}),
    "no restart": ("three workers", {"max_restarts": 0}),
    "topology=2x2": ("a TPU host", {"topology": "2x2"}),
    "topology=4x8": ("a TPU slice", {"topology": "4x8"}),
    "other zone": ("one worker", {"node_selector": (("zone", "a"), ("disk", "ssd"))}),
    "max_restarts of a slice": ("a TPU slice", {"max_restarts": 5}),
    "AMD": (
        "three workers",
        {"image": "mine:1-rocm", "resource": (Resource("amd.com/gpu", 4),)},
    ),
    "python path of the user": (
        "three workers",
        {"code": FILES, "env": (("PYTHONPATH", "/mine:$(HOME)"),)},
    ),
    "variables of a zip": ("a zip", {"secret_env": SECRETS, "env": (("HTTPS_PROXY", "p:1"),)}),
    "own stage": ("one worker", {"args": (*ONE.args, "--stage_bytes=7")}),
    "pod_monitor of a slice": ("a TPU slice", {"pod_monitor": 9100}),
    "code=ZIP": ("three workers", {"code": ZIP}),
    "code=TEXT": ("one worker", {"code": CodeBundle("ef" * 32, (("a.py", b"x"),))}),
    "code=BINARY": ("one worker", {"code": CodeBundle("ef" * 32, (("a.bin", b"\xff"),))}),
    "parallel_trials=9": ("a sweep", {"parallel_trials": 9}),
    "privileged=rdma": ("GPUs", {"privileged": "rdma"}),
    "privileged=rdma, code=ZIP": ("a zip", {"privileged": "rdma"}),
    "privileged=tpu": ("a TPU host", {"privileged": "tpu"}),
    "privileged=tpu of a slice": ("a TPU slice", {"privileged": "tpu"}),
}
CHANGES: dict[str, tuple[str, dict[str, object]]] = {
    f"{field} of {base}": (base, {field: value})
    for field, (value, bases) in _FIELDS.items()
    for base in bases
} | {f"{title} of {base}": (base, fields) for title, (base, fields) in _OTHERS.items()}


def changed(title: str) -> JobSpec:
    """The job of one row."""
    base, fields = CHANGES[title]
    return dataclasses.replace(BASES[base], **fields)


def effect(title: str) -> dict[str, Any]:
    """The whole difference between the manifests of a base and of the row's job."""
    base, _ = CHANGES[title]
    found: dict[str, dict[str, Any]] = {"added": {}, "removed": {}, "changed": {}}
    for kind, path, value in _difference("", _readable(BASES[base]), _readable(changed(title))):
        found[kind][_short(path)] = value
    removed = list(found.pop("removed"))
    return {kind: paths for kind, paths in found.items() if paths} | (
        {"removed": removed} if removed else {}
    )


def _short(path: str) -> str:
    """The path without the steps that are the same for every workload."""
    path = re.sub("/spec/replicatedJobs/([^/]+)/template/spec", r"/\1", path)
    return re.sub("(/spec)?/template/spec/(containers/)?", "/pod/", path).removeprefix("/")


def _readable(spec: JobSpec) -> Any:
    """Kind -> document, plain as JSON gives it back, with our programs named in place of shown."""
    return _named(json.loads(json.dumps({one["kind"]: one for one in manifest.render(spec)})))


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _named(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_named(inner) for inner in value]
    for program in ("install_packages", "trial", "fetch_code", "tpu_worker"):
        if value == literal(programs.source(program)):
            return f"(program {program})"
    return value


def _difference(path: str, was: Any, now: Any) -> Iterator[tuple[str, str, Any]]:
    """Kind of change, path and value of all that differs; `changed` has was and now."""
    if was == now:
        return
    if isinstance(was, list) and isinstance(now, list) and (names := _names(was, now)):
        if names[0] != names[1]:
            yield "changed", f"{path}/*/name", {"was": names[0], "now": names[1]}
        was, now = ({one["name"]: one for one in side} for side in (was, now))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        was, now = (dict(enumerate(side)) for side in (was, now))
    if not (isinstance(was, dict) and isinstance(now, dict)):
        yield "changed", path, {"was": was, "now": now}
        return
    for key in dict.fromkeys((*was, *now)):
        if key not in now:
            yield "removed", f"{path}/{key}", was[key]
        elif key not in was:
            yield "added", f"{path}/{key}", now[key]
        else:
            yield from _difference(f"{path}/{key}", was[key], now[key])


def _names(*sides: list[Any]) -> list[list[str]] | None:
    """The names in each list in their order, or None where the members have none."""
    if all(isinstance(one, dict) and "name" in one for side in sides for one in side):
        return [[one["name"] for one in side] for side in sides]
    return None


if __name__ == "__main__":
    pages = {title: effect(title) for title in CHANGES}
    GOLDEN.write_text(
        yaml.safe_dump(pages, default_flow_style=None, sort_keys=False, width=98),
        encoding="utf-8",
    )
