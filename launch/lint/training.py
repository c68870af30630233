"""Runs of Lockstep's trainer: a workdir that lasts and is its own, hardware that is used."""

import json
import re
from collections import Counter
from collections.abc import Iterator

from common.cluster_description import INDEX_VARIABLE, VARIABLE
from launch.lint.commands import Program, variables
from launch.lint.finding import Finding, error, warning
from launch.lint.objects import Objects
from launch.lint.pods import Pods
from launch.lint.quantities import count, devices
from launch.lint.schedules import interval_secs
from launch.lint.volumes import volume_at
from launch.spec import trainer_args
from launch.spec.documents import Document, mapping, title, whole
from launch.spec.labels import RESOURCES

_ARRAY = re.compile(r"(?:^|[\s;])(?:declare -a )?(\w+)=\(([^()]*)\)")
_ELEMENT = re.compile(r"\$\{(\w+)\[([^\]]*)\]\}")


def check_training(pods: Pods) -> Iterator[Finding]:
    """All rules on the trainer's arguments that need the manifest around them."""
    for program in pods.trainers:
        args = program.trainer_args or ()
        if trials := table_of(program):
            yield from _check_table(pods, program, trials)
        else:
            yield from _check_one_workdir(pods, program)
        for trial in trials or [()]:
            yield from _check_workdir(pods, program, (*args, *trial))
        yield from _check_strategy(pods, program)
    for program in pods.programs:
        yield from _check_arrays(pods, program)


def table_of(program: Program) -> list[tuple[str, ...]]:
    """The arguments of every trial, where a program is given a table of them."""
    for word in program.words[1:]:
        if word.startswith("[["):
            try:
                found = json.loads(word)
            except (ValueError, RecursionError):
                return []
            return [tuple(map(str, trial)) for trial in found if isinstance(trial, list)]
    return []


def _table_place(program: Program) -> str:
    """The field of that table."""
    pairs = zip(program.words, program.wheres, strict=True)
    return next((where for word, where in pairs if word.startswith("[[")), program.path)


def _check_table(pods: Pods, program: Program, trials: list[tuple[str, ...]]) -> Iterator[Finding]:
    yield from _check_count(pods, len(trials), f"a table of {len(trials)} trials")
    workdirs = Counter(trainer_args.value(trial, "workdir") for trial in trials)
    for workdir, times in workdirs.items():
        if times > 1:
            yield error(
                pods.at(_table_place(program)),
                f"{times} trials share the workdir {workdir!r}: they overwrite each other",
                "give each trial a folder of its own",
            )


def _check_one_workdir(pods: Pods, program: Program) -> Iterator[Finding]:
    """Pods that are runs of their own must not write into one folder."""
    workdir = trainer_args.value(program.trainer_args or (), "workdir")
    together = VARIABLE in variables(program.container) or pods.kind == "TFJob"
    several = pods.in_all * pods.copies > 1 and pods.kind != "TrainJob"
    if workdir and several and not together and not _varies(workdir):
        words = " ".join(program.words)
        if INDEX_VARIABLE not in words.replace(workdir, "") and not pods.is_sweep:
            return  # told elsewhere: these pods are to be one run, and have no TF_CONFIG
        yield error(
            pods.at(program.where("workdir")),
            f"{pods.in_all * pods.copies} pods share the workdir {workdir!r}: they overwrite each "
            "other",
            f"put $({INDEX_VARIABLE}) into it",
        )


def _varies(text: str) -> bool:
    """Whether a text differs from pod to pod or from run to run."""
    return "$" in text or "`" in text


def _check_workdir(pods: Pods, program: Program, args: tuple[str, ...]) -> Iterator[Finding]:
    workdir = trainer_args.value(args, "workdir")
    if not workdir or "://" in workdir or workdir.startswith("$"):
        return
    where = pods.at(program.where("workdir"))
    fix = "use a bucket, or a folder of a mounted claim"
    if not workdir.startswith("/"):
        yield error(where, f"--workdir={workdir} is in the image: lost with the pod", fix)
        return
    found = volume_at(pods, program.container, workdir)
    if found is None:
        yield error(where, f"--workdir={workdir} is no mounted volume: lost with the pod", fix)
        return
    mount, volume = found
    if "emptyDir" in volume:
        yield error(
            where,
            f"--workdir={workdir} is in the emptyDir {volume.get('name')!r}: lost with the pod",
            fix,
        )
    elif mount.get("readOnly") is True or "configMap" in volume or "secret" in volume:
        yield error(where, f"--workdir={workdir} cannot be written", "mount it without readOnly")
    elif "hostPath" in volume:
        yield warning(
            where, f"--workdir={workdir} stays on one node: a pod elsewhere begins anew", fix
        )


def _check_strategy(pods: Pods, program: Program) -> Iterator[Finding]:
    args = program.trainer_args or ()
    strategy = trainer_args.value(args, "strategy") or "auto"
    asked = devices(pods)
    where, tpu = pods.at(program.where("strategy")), trainer_args.value(args, "tpu")
    if strategy == "mirrored" and not asked["gpu"]:
        yield error(
            where,
            "--strategy=mirrored and no GPU is asked for: the run refuses to start",
            "ask for nvidia.com/gpu, or use --strategy=cpu",
        )
    if asked["gpu"] and strategy in ("cpu", "tpu"):
        yield error(
            where,
            f"--strategy={strategy} and {asked['gpu']} GPU(s): they stay idle",
            "use --strategy=mirrored",
        )
    if asked["tpu"] and strategy not in ("tpu", "auto"):
        yield error(
            where,
            f"--strategy={strategy} and {asked['tpu']} TPU chips: they stay idle",
            "use --strategy=tpu --tpu=local",
        )
    if strategy == "tpu" and tpu in (None, "local") and not asked["tpu"]:
        yield error(
            where,
            "--strategy=tpu and no TPU is asked for: the run finds none",
            "ask for google.com/tpu, or name the hosts in --tpu",
        )
    described = pods.is_cluster and VARIABLE in variables(program.container)
    if described and strategy in ("cpu", "mirrored"):
        yield error(
            where,
            f"--strategy={strategy} uses one process, and TF_CONFIG names {pods.in_all}",
            "use --strategy=multi_worker",
        )


def check_hosts(objects: Objects, pods: Pods) -> Iterator[Finding]:
    """The TPU hosts that a run drives are all pods of the slice, each once."""
    for program in pods.trainers:
        text = trainer_args.value(program.trainer_args or (), "tpu") or ""
        hosts = [one.removeprefix("grpc://").partition(":")[0] for one in text.split(",")]
        if "grpc://" not in text:
            continue
        where = pods.at(program.where("tpu"))
        slices = [one for one in objects.pods if count(one, RESOURCES["tpu"]) and one.hosts]
        if twice := [host for host, times in Counter(hosts).items() if times > 1]:
            yield error(where, f"--tpu names {twice[0]} twice", "name every host once")
        expected = [f"{host}.{one.subdomain}" for one in slices for host in one.hosts]
        named = {host.partition(".")[0] for host in hosts}
        missing = [one for one in expected if one.partition(".")[0] not in named]
        if len(slices) == 1 and missing and not twice:
            yield error(
                where,
                f"--tpu names {len(hosts)} of the {len(expected)} hosts of the slice: {missing[0]} "
                "is not there",
                f"name all: grpc://{missing[0]}:8470",
            )


def _check_arrays(pods: Pods, program: Program) -> Iterator[Finding]:
    """A list of a script from which every pod takes the entry of its index."""
    arrays = {name: values.split() for name, values in _ARRAY.findall(program.script)}
    for name, index in _ELEMENT.findall(program.script):
        values = arrays.get(name)
        if values is None or INDEX_VARIABLE not in index or pods.kind != "Job":
            continue
        if index.strip("${}") == INDEX_VARIABLE:
            yield from _check_count(pods, len(values), f"the {len(values)} values of {name}")


def _check_count(pods: Pods, size: int, entries: str) -> Iterator[Finding]:
    """Every pod takes one of the entries of a list."""
    if size == pods.in_all:
        return
    few = size < pods.in_all
    make = error if few else warning
    yield make(
        pods.of_owner("completions"),
        f"{pods.in_all} pods for {entries}: some {'get none' if few else 'are never tried'}",
        f"use {size}",
    )


def check_sharing(objects: Objects) -> Iterator[Finding]:
    """No two jobs train in one workdir, and no job meets itself there."""
    users: dict[str, list[Pods]] = {}
    for pods in objects.pods:
        for program in pods.trainers:
            workdir = trainer_args.value(program.trainer_args or (), "workdir")
            if workdir and not _varies(workdir):
                yield from _check_overlap(pods, program, workdir)
                if not table_of(program):
                    users.setdefault(workdir.rstrip("/"), []).append(pods)
    for workdir, found in users.items():
        if len(found) > 1 and ("://" in workdir or _one_claim(found, workdir)):
            first, second = found[0], found[1]
            yield error(
                second.at(next(one.where("workdir") for one in second.trainers)),
                f"{title(first.document)} trains in {workdir!r} too: they overwrite each other",
                "give each job a folder of its own",
            )


def _one_claim(found: list[Pods], workdir: str) -> bool:
    """Whether a folder is of the same volume in all of these pods."""
    volumes = []
    for pods in found[:2]:
        place = volume_at(pods, pods.trainers[0].container, workdir)
        volumes.append({**place[1], "name": ""} if place else None)
    return volumes[0] is not None and volumes[0] == volumes[1] and "emptyDir" not in volumes[0]


def _check_overlap(pods: Pods, program: Program, workdir: str) -> Iterator[Finding]:
    spec: Document = mapping(pods.document, "spec")
    if pods.document.get("kind") != "CronJob":
        return
    where = f"{title(pods.document)} spec.concurrencyPolicy"
    every, deadline = interval_secs(str(spec.get("schedule", ""))), _deadline(pods)
    policy = spec.get("concurrencyPolicy", "Allow")
    if policy == "Allow" and (not deadline or not every or deadline > every):
        yield error(
            where,
            f"Allow: a run that is still at work when the next begins shares its workdir "
            f"{workdir!r}",
            "write Forbid",
        )
    elif policy == "Replace":
        yield warning(
            where, "Replace stops a run that is still at work for the next one", "write Forbid"
        )
    yield warning(
        pods.at(program.where("workdir")),
        f"every run goes on in {workdir!r}: after the first has ended there is nothing to do",
        "put the date into the workdir, for example by a shell",
    )


def _deadline(pods: Pods) -> int:
    return whole(pods.owner.get("activeDeadlineSeconds"), 0)
