"""Runs of several pods: each is told its place and all of its peers."""

import json
import re
from collections.abc import Iterator

from common.cluster_description import INDEX_VARIABLE, VARIABLE
from launch.lint import commands
from launch.lint.commands import Program
from launch.lint.finding import Finding, error, warning
from launch.lint.pods import Pods
from launch.lint.quantities import count, limit_of
from launch.spec import trainer_args
from launch.spec.documents import Document
from launch.spec.labels import RESOURCES

_INDEX = re.compile(r"\$\((\w+)\)")
_TASK = f'{{"type":"worker","index":$({INDEX_VARIABLE})}}'
_FORM = f'write {{"cluster":{{"worker":[...]}},"task":{_TASK}}}'


def check_clusters(pods: Pods) -> Iterator[Finding]:
    """All rules on TF_CONFIG and on the flags of torchrun."""
    for path, container in pods.containers("containers"):
        values = commands.known_values(container)
        where = pods.at(f"{path}.env[{VARIABLE}]")
        needs = any(one.container is container and _needs(pods, one) for one in pods.trainers)
        if VARIABLE in values:
            yield from _check_description(pods, where, values[VARIABLE], needs)
        elif needs and not commands.is_set(container, VARIABLE):
            yield error(where, "does not describe the workers: each trains for itself", _FORM)
        yield from _check_world(pods, path, container, values)
    for program in pods.programs:
        if program.name == "torchrun" or "torch.distributed" in " ".join(program.words[:4]):
            yield from _check_torchrun(pods, program)


def _needs(pods: Pods, program: Program) -> bool:
    """Whether a trainer has to know its peers."""
    args = program.trainer_args or ()
    alone = trainer_args.value(args, "strategy") in ("cpu", "mirrored", "tpu")
    strategy = trainer_args.value(args, "strategy") == "multi_worker"
    made_by_operator = pods.kind not in ("Job", "StatefulSet")
    several = pods.kind == "Job" and pods.is_cluster and not _has_trials(program)
    return not made_by_operator and not alone and (strategy or several)


def _has_trials(program: Program) -> bool:
    """Whether each pod takes arguments of its own, so that the runs are several."""
    words = " ".join(program.words) + program.script
    return INDEX_VARIABLE in words


def _check_description(pods: Pods, where: str, text: str, ours: bool) -> Iterator[Finding]:
    variables = _INDEX.findall(text)
    try:
        described = json.loads(_INDEX.sub("0", text))
        tasks, task = dict(described["cluster"]), dict(described["task"])
        members = {str(role): list(hosts) for role, hosts in tasks.items()}
        index = task["index"]
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        yield error(
            where, f"does not describe the workers ({type(fault).__name__}: {fault})", _FORM
        )
        return
    if not text.strip() or not members:
        yield error(where, "does not describe the workers: it names none", _FORM)
        return
    if (ours or pods.is_ours) and (set(members) != {"worker"} or task.get("type") != "worker"):
        yield error(
            where,
            f"the task {task} among {sorted(members)}: the trainer has tasks of type 'worker' only",
            "name every pod a worker; worker 0 is the chief",
        )
        return
    own = members.get(str(task.get("type")), [])
    if not variables and pods.at_once > 1:
        yield error(where, f"the task {task} is the same in every pod", f"use $({INDEX_VARIABLE})")
    elif not variables and isinstance(index, int) and not 0 <= index < max(len(own), 1):
        yield error(where, f"task.index {index} is not in 0..{len(own) - 1}", "count from 0")
    yield from _check_members(pods, where, members, own)


def _check_members(
    pods: Pods, where: str, members: dict[str, list[str]], own: list[str]
) -> Iterator[Finding]:
    everyone = [str(host) for hosts in members.values() for host in hosts]
    if len(set(everyone)) < len(everyone):
        twice = next(host for host in everyone if everyone.count(host) > 1)
        yield error(where, f"{twice!r} is there twice", "name every worker once")
    if pods.kind != "Job" or pods.is_sweep:
        return
    runs = pods.in_all * pods.copies
    if len(own) != runs:
        yield error(
            where,
            f"{len(own)} addresses do not name the {runs} pods of this Job",
            f"name them all: {', '.join(f'{one}.{pods.subdomain}' for one in pods.hosts[:2])}, ...",
        )
        return
    order = [host.partition(".")[0] for host in own]
    if order != pods.hosts and sorted(order) == sorted(pods.hosts):
        yield error(
            where,
            "the addresses are not in the order of the pods: each would take another's place",
            f"begin with {pods.hosts[0]}",
        )


def _check_world(
    pods: Pods, path: str, container: Document, values: dict[str, str]
) -> Iterator[Finding]:
    """The variables by which PyTorch's processes find each other."""
    size, runs = values.get("WORLD_SIZE", ""), pods.in_all * pods.copies
    possible = sorted({runs, runs * max(_gpus(container), 1)})
    if size.isdecimal() and pods.kind == "Job" and int(size) not in possible:
        yield error(
            pods.at(f"{path}.env[WORLD_SIZE]"),
            f"{size} processes, and the pods run {' or '.join(map(str, possible))}: they wait for "
            "each other for ever",
            f"write {possible[-1]}",
        )
    port = values.get("MASTER_PORT", "")
    if port.isdecimal() and not 0 < int(port) < 65536:
        yield error(pods.at(f"{path}.env[MASTER_PORT]"), f"{port} is no port", "use 1 to 65535")


def _check_torchrun(pods: Pods, program: Program) -> Iterator[Finding]:
    words = [word.replace("_", "-", 2) if word.startswith("--") else word for word in program.words]
    nodes = trainer_args.whole_number(words, "nnodes")
    processes = trainer_args.whole_number(words, "nproc-per-node")
    runs = pods.in_all * pods.copies
    if nodes is not None and pods.kind == "Job" and not pods.is_sweep and nodes != runs:
        yield error(
            pods.at(program.where("nnodes")),
            f"--nnodes={nodes} and {runs} pods: "
            + ("it waits for the others for ever" if nodes > runs else "some find no place"),
            f"write --nnodes={runs}, or make as many pods",
        )
    gpus = _gpus(program.container)
    if processes is not None and gpus and processes != gpus:
        make = error if processes > gpus else warning
        yield make(
            pods.at(program.where("nproc_per_node")),
            f"--nproc_per_node={processes} and {gpus} GPUs: "
            + ("a process finds no GPU" if processes > gpus else "GPUs stay idle"),
            f"write --nproc_per_node={gpus}",
        )


def _gpus(container: Document) -> int:
    return int(limit_of(container, RESOURCES["gpu"]) or 0)


def works_together(pods: Pods) -> bool:
    """Whether the pods exchange gradients on ports that NCCL picks freely."""
    several = count(pods, RESOURCES["gpu"]) > 0 and pods.at_once > 1
    return several and not pods.is_sweep
