"""TrainJobs and their runtimes: what Kubeflow Trainer refuses, ignores, or does twice."""

from collections.abc import Iterator

from launch.lint.finding import Finding, error, warning
from launch.lint.objects import Objects, namespace_of, runtime_of
from launch.lint.pods import RUNTIMES, STEP, TRAINJOB, jobset_of
from launch.lint.slips import did_you_mean
from launch.spec.documents import Document, mapping, mappings, title
from launch.spec.labels import QUEUE

# The container that a Job of a runtime has to have, by the value of its label.
_CONTAINERS = {
    "trainer": "node",
    "dataset-initializer": "dataset-initializer",
    "model-initializer": "model-initializer",
}


def check_trainjobs(objects: Objects) -> Iterator[Finding]:
    """All rules on TrainJobs, and on runtimes as such; the JobSet in them has its own."""
    for document in objects.documents:
        if document.get("kind") == TRAINJOB:
            yield from _check_suspend(document)
            kind, name = runtime_of(document)
            if runtime := objects.find(kind, namespace_of(document), name):
                yield from _check_changes(document, runtime)
        elif document.get("kind") in RUNTIMES:
            yield from _check_runtime(document)


def _check_suspend(trainjob: Document) -> Iterator[Finding]:
    queued = QUEUE in mapping(trainjob, "metadata", "labels")
    if mapping(trainjob, "spec").get("suspend") is True and not queued:
        yield error(
            f"{title(trainjob)} spec.suspend",
            "the job would never start: nobody resumes it",
            "leave it out, or name a queue",
        )


def _check_changes(trainjob: Document, runtime: Document) -> Iterator[Finding]:
    """What a TrainJob changes has to be there."""
    jobs = {str(one.get("name")): one for one in mappings(jobset_of(runtime)[0], "replicatedJobs")}
    steps = {_step(one) for one in jobs.values()}
    if mapping(trainjob, "spec", "trainer") and "trainer" not in steps:
        yield error(
            f"{title(trainjob)} spec.trainer",
            f"is ignored: no Job of {title(runtime)} has the label {STEP}: trainer",
            "change the runtime, or give its Job the label and its container the name 'node'",
        )
    for index, one in enumerate(mappings(trainjob, "spec", "podTemplateOverrides")):
        for target in mappings(one, "targetJobs"):
            if (name := str(target.get("name"))) not in jobs:
                yield error(
                    f"{title(trainjob)} spec.podTemplateOverrides[{index}].targetJobs",
                    f"{title(runtime)} has no replicated job {name!r}: the TrainJob is refused",
                    did_you_mean(name, jobs) or f"use one of {list(jobs)}",
                )


def _check_runtime(runtime: Document) -> Iterator[Finding]:
    jobset, path = jobset_of(runtime)
    where = f"{title(runtime)} {path}"
    if "ttlSecondsAfterFinished" in jobset:
        yield warning(
            f"{where}.ttlSecondsAfterFinished",
            "Kubeflow Trainer 2.1 makes a JobSet again that is removed: the training starts over",
            "leave it out, and delete the TrainJob",
        )
    if QUEUE in mapping(runtime, "metadata", "labels"):
        yield error(
            f"{title(runtime)} metadata.labels[{QUEUE}]",
            "is on the runtime and not on the TrainJob: it does not wait in the queue",
            "move it to metadata.labels of the TrainJob",
        )
    for index, job in enumerate(mappings(jobset, "replicatedJobs")):
        wanted = _CONTAINERS.get(_step(job))
        pod = mapping(job, "template", "spec", "template", "spec")
        names = [name.get("name") for name in mappings(pod, "containers")]
        if wanted and wanted not in names:
            yield error(
                f"{where}.replicatedJobs[{index}]",
                f"no container is called {wanted!r}, as {STEP}: {_step(job)} asks: it is refused",
                f"rename the container to {wanted!r}",
            )


def _step(job: Document) -> str:
    return str(mapping(job, "template", "metadata", "labels").get(STEP) or "")
