"""The trials of a sweep on a cluster: read back from the Job, its status and its pods."""

import json
from collections.abc import Callable, Sequence

from launch.code import programs
from launch.kubernetes.pod_state import created, exit_code, worker_index
from launch.render.pod import literal
from launch.spec import sweep
from launch.spec.documents import Document, mapping, mappings, sequence


def of_sweep(
    workload: Document, pods: Sequence[Document], read: Callable[[str], str]
) -> tuple[str, ...]:
    """One line for each trial; none where the workload is no sweep.

    Args:
        workload: the Job.
        pods: all its pods.
        read: gives the text of a file in the workdir's bucket.
    """
    containers = mappings(workload, "spec", "template", "spec", "containers")
    if not containers or literal(programs.source("trial")) not in sequence(
        containers[0], "command"
    ):
        return ()
    trials = json.loads(str(containers[0]["args"][0]).replace("$$", "$"))
    newest = {worker_index(pod): exit_code(pod) for pod in sorted(pods, key=created)}
    codes = {int(i): code for i, code in newest.items() if i is not None and code is not None}
    codes |= dict.fromkeys(indexes(mapping(workload, "status").get("completedIndexes", "")), 0)
    return sweep.results(trials, codes, read)


def indexes(text: str) -> list[int]:
    """The numbers in Kubernetes' short form, for example 0,2-4."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
