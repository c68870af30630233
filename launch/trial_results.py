"""The trials of a sweep on a cluster: read back from the Job, its status and its pods."""

import json
from collections.abc import Callable, Sequence

from launch import programs, sweep
from launch.documents import Document
from launch.lint.workload import mapping, sequence
from launch.pod import literal
from launch.pod_state import created, trainer_state, worker_index


def of_sweep(
    workload: Document, pods: Sequence[Document], read: Callable[[str], str]
) -> tuple[str, ...]:
    """One line for each trial; none where the workload is no sweep.

    Args:
        workload: the Job.
        pods: all its pods.
        read: gives the text of a file in the workdir's bucket.
    """
    pod = mapping(mapping(mapping(workload.get("spec")).get("template")).get("spec"))
    containers = sequence(pod.get("containers"))
    command = sequence(containers[0].get("command")) if containers else []
    if literal(programs.source("trial")) not in command:
        return ()
    trials = json.loads(str(containers[0]["args"][0]).replace("$$", "$"))
    codes = _exit_codes(pods)
    completed = str(mapping(workload.get("status")).get("completedIndexes", ""))
    codes |= dict.fromkeys(indexes(completed), 0)
    return sweep.results(trials, codes, read)


def _exit_codes(pods: Sequence[Document]) -> dict[int, int]:
    """The exit code of each index whose newest pod has ended."""
    states = {worker_index(pod): trainer_state(pod) for pod in sorted(pods, key=created)}
    return {
        int(index): int(state["terminated"]["exitCode"])
        for index, state in states.items()
        if index is not None and "terminated" in state
    }


def indexes(text: str) -> list[int]:
    """The numbers in Kubernetes' short form, for example 0,2-4."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
