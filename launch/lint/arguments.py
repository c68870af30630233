"""The trainer's arguments, read by the trainer's own flags and checks in a process beside this one.

The launcher imports nothing of the trainer (docs/adr/0010-rooms-of-launch.md); it starts it.
"""

import functools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from common.cluster_description import INDEX_VARIABLE, VARIABLE, worker_env
from launch.lint.commands import Program, known_values
from launch.lint.finding import Finding, error
from launch.lint.pods import Pods, pods_of
from launch.lint.quantities import devices
from launch.lint.training import table_of
from launch.spec.documents import Document, mapping, mappings, title

_ANYWHERE = "gs://BUCKET/RUN"
_TIMEOUT_SECS = 60


def check_arguments(documents: Sequence[Document]) -> Iterator[Finding]:
    """The refusal of every run of the trainer, and virtual replicas that its devices cannot share.

    Where no trainer is installed beside the launcher nothing is found.
    """
    runs = [
        (pods, program, (*(program.trainer_args or ()), *trial))
        for document in documents
        for pods in pods_of(document)
        for program in pods.trainers
        for trial in table_of(program) or [()]
    ]
    asked = [{"args": _known(args), "env": _environment(pods, one)} for pods, one, args in runs]
    said: set[tuple[str, str]] = set()
    for (pods, program, _), answer in zip(runs, _ask(json.dumps(asked)), strict=False):
        for finding in _read(pods, program, answer):
            if (finding.where, finding.problem) not in said:
                yield finding
            said.add((finding.where, finding.problem))


def _known(args: Sequence[str]) -> list[str]:
    """The arguments whose value the manifest tells."""
    found = []
    for arg in args:
        flag = arg.partition("=")[0]
        if "$" not in arg and "`" not in arg:
            found.append(arg)
        elif flag == "--workdir":
            found.append(f"--workdir={_ANYWHERE}")
    return found


def _environment(pods: Pods, program: Program) -> dict[str, str]:
    """TF_CONFIG as the first pod sees it; operators of Kubeflow write it themselves."""
    values = known_values(program.container)
    if VARIABLE in values:
        return {VARIABLE: values[VARIABLE].replace(f"$({INDEX_VARIABLE})", "0")}
    named = [variable.get("name") for variable in mappings(program.container, "env")]
    from_elsewhere = VARIABLE in named or bool(mappings(program.container, "envFrom"))
    if pods.kind in ("TFJob", "TrainJob") or from_elsewhere:
        specs = mapping(pods.document, "spec", "tfReplicaSpecs").values()
        count = sum(int(mapping(one).get("replicas") or 1) for one in specs)
        return worker_env([f"worker-{index}:2222" for index in range(max(count, 2))], 0)
    return {}


@functools.cache
def _ask(asked: str) -> list[dict[str, Any]]:
    if asked == "[]":
        return []
    command = [sys.executable, "-m", "trainer.run.refusals"]
    done = subprocess.run(  # noqa: S603 - our own module, no shell
        command, input=asked, capture_output=True, text=True, timeout=_TIMEOUT_SECS, check=False
    )
    return list(json.loads(done.stdout)) if done.returncode == 0 else []


def _read(pods: Pods, program: Program, answer: dict[str, Any]) -> Iterator[Finding]:
    if refusal := str(answer["refusal"]):
        flag = refusal.partition("=")[0].removeprefix("--")
        field = f"config.{flag.removeprefix('config.')}".partition(":")[0]
        where = next((w for w in map(program.where, (flag, field)) if w), "")
        yield error(pods.at(where), f"the trainer refuses its arguments: {refusal}", "change them")
        return
    virtual, replicas = int(answer["virtual_replicas"]), replicas_of(pods, program)
    if virtual and virtual % replicas:
        below = virtual // replicas * replicas
        possible = [count for count in (below, below + replicas) if count]
        yield error(
            pods.at(program.where("config.virtual_replicas")),
            f"config.virtual_replicas={virtual} cannot be divided over the {replicas} replicas of "
            f"{title(pods.document)}",
            f"use {' or '.join(map(str, possible))}, or other hardware",
        )


def replicas_of(pods: Pods, program: Program) -> int:
    """Physical replicas of a run: all devices of its pods, or its pods where there are none."""
    found = devices(pods)
    each = found["gpu"] or found["tpu"] or 1
    named = [variable.get("name") for variable in mappings(program.container, "env")]
    together = pods.is_cluster and (VARIABLE in named or bool(found["tpu"]))
    return each * (pods.in_all if together else 1)
