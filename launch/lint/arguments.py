"""The trainer's arguments, judged by the trainer itself."""

from collections.abc import Iterator, Sequence

from common.cluster_description import INDEX_VARIABLE, VARIABLE, worker_env
from launch.lint.commands import Program, is_set, known_values, variables
from launch.lint.finding import Finding, error
from launch.lint.pods import Pods, pods_of
from launch.lint.quantities import devices
from launch.lint.training import table_of
from launch.spec.documents import Document, mapping, title
from launch.spec.judged import Judged, judge

_ANYWHERE = "gs://BUCKET/RUN"


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
    judged = judge([(_known(args), _environment(pods, one)) for pods, one, args in runs])
    said: set[tuple[str, str]] = set()
    for (pods, program, _), answer in zip(runs, judged, strict=False):
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
    if pods.kind in ("TFJob", "TrainJob") or is_set(program.container, VARIABLE):
        specs = mapping(pods.document, "spec", "tfReplicaSpecs").values()
        count = sum(int(mapping(one).get("replicas") or 1) for one in specs)
        return worker_env([f"worker-{index}:2222" for index in range(max(count, 2))], 0)
    return {}


def _read(pods: Pods, program: Program, answer: Judged) -> Iterator[Finding]:
    if refusal := answer.refusal:
        flag = refusal.partition("=")[0].removeprefix("--")
        field = f"config.{flag.removeprefix('config.')}".partition(":")[0]
        where = next((w for w in map(program.where, (flag, field)) if w), "")
        yield error(pods.at(where), f"the trainer refuses its arguments: {refusal}", "change them")
        return
    virtual, replicas = answer.virtual_replicas, replicas_of(pods, program)
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
    together = pods.is_cluster and (VARIABLE in variables(program.container) or bool(found["tpu"]))
    return each * (pods.in_all if together else 1)
