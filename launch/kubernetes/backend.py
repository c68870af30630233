"""Jobs on a Kubernetes cluster."""

import contextlib
import dataclasses
import datetime
import shutil
import time
from collections.abc import Sequence

from common.exit_codes import RunError
from launch.backend import Backend, Check, Command, Print, Run, retry_transient
from launch.code import remote_files, upload
from launch.kubernetes import doctor, pod_logs
from launch.kubernetes.cluster import Cluster, path_of
from launch.kubernetes.diagnosis import (
    diagnose,
    is_decided,
    lacks_pods,
    runs,
    trial_lines,
)
from launch.kubernetes.job_objects import JobObjects, explain_queue, jobs_of
from launch.kubernetes.pod_logs import PodLogs
from launch.kubernetes.pod_state import (
    has_started,
    trainer_state,
    waits_silently,
    worker_name,
)
from launch.render import manifest
from launch.spec import trainer_args
from launch.spec.documents import Document, title
from launch.spec.job import JobSpec
from launch.spec.labels import CANCELLED, CONTAINER, INSTANCE
from launch.spec.outcome import doubt
from launch.spec.status import ENDED, JobStatus
from launch.spec.user_input import bad_flag

POLL_SECS = 2.0
_UNASKED = "not asked, for its TrainingRuntime has to be there first"


class KubernetesBackend(Backend):
    """Jobs in one namespace of one cluster.

    Args:
        cluster: the API server.
        namespace: where jobs are looked for; a job is created where its spec says.
        poll_secs: how often the cluster is asked while following, seconds.
        context: of the kubeconfig, for kubectl; "": the current one.
    """

    command = JobSpec.command

    def __init__(
        self, cluster: Cluster, namespace: str, poll_secs: float = POLL_SECS, context: str = ""
    ) -> None:
        self._cluster = cluster
        self._context = context
        self._namespace = namespace
        self._objects = JobObjects(cluster, namespace)
        self.poll_secs = poll_secs

    def submit(self, spec: JobSpec) -> str:
        """Creates the job after the server has accepted all of it in a dry run."""
        spec = upload.plan(spec)
        documents = manifest.render(spec)
        # Everything is asked for before anything is created: a refusal leaves nothing behind.
        self._ask(documents)
        # The files before the pods: an init container reads them at once.
        upload.send(spec)
        workload = self._create(documents)
        try:
            # With the workload as owner, its TTL removes everything.
            for document in documents[:-1]:
                self._cluster.own(document, workload)
        except RunError as error:
            raise RunError(
                error.code,
                f"{spec.name} was started, but what was made for it will outlive it: "
                f"{error.reason}; delete by the label {INSTANCE}={spec.name}",
            ) from None
        return spec.name

    def dry_run(self, spec: JobSpec) -> list[str]:
        """Asks the server whether it would take the job."""
        documents = manifest.render(upload.plan(spec))
        self._ask(documents)
        return [
            f"{title(one)}: {'accepted' if _can_be_asked(one) else _UNASKED}" for one in documents
        ]

    def statuses(self) -> list[JobStatus]:
        """Every job of the namespace."""
        found = [self._diagnose(workload, pods) for workload, pods in self._objects.all_jobs()]
        return sorted(found, key=lambda status: status.created)

    def status(self, name: str) -> JobStatus:
        """The phase comes from the workload's conditions, the failure from its pods."""
        return self._diagnose(self._objects.workload(name), self._objects.pods(name))

    def report(self, name: str) -> JobStatus:
        """Results, and whether the run came to its end, are told by summaries in the bucket.

        Volumes of the cluster are not read from here.
        """
        workload, pods = self._objects.workload(name), self._objects.pods(name)
        found = self._diagnose(workload, pods)
        if found.phase == "succeeded" and "://" in found.workdir:
            found = _judge_end(found, runs(workload))
        trials = trial_lines(workload, pods, _read)
        return dataclasses.replace(found, trials=trials)

    def follow(
        self, name: str, out: Print, index: int = -1, until: float = float("inf")
    ) -> JobStatus:
        """Holds through transient errors; the end comes from the conditions, never from a log."""
        said = ""
        logs = PodLogs(self._cluster)
        while True:
            status = retry_transient(lambda: self._look(name, index, logs), out, self.poll_secs)
            over = status.phase in ENDED or time.monotonic() >= until
            if (line := f"[launch] {name} {status.phase}: {status.detail}") != said:
                out(line)
                said = line
            if over:
                logs.finish(out)
                return status
            logs.drain(out, self.poll_secs)

    def logs(self, name: str, out: Print, index: int = -1) -> None:
        """Says why where there is no log."""
        status, pods = self.status(name), self._select(name, index)
        if not pods and index >= 0:
            raise bad_flag(f"{name} has no pod of worker {index} (--worker)")
        if not pods:
            out(f"[launch] {name} {status.phase}: {status.detail}")
        for pod in pods:
            for line in pod_logs.lines_of(self._cluster, pod):
                out(f"[{worker_name(pod)}] {line}")

    def runs(self, name: str) -> list[Run]:
        """Workdirs as the pods know them."""
        lines = runs(self._objects.workload(name))
        places = trainer_args.workdirs((), lines)
        names = [f"{name}/{index}" for index in range(len(places))] if places[1:] else [name]
        return [Run(*row) for row in zip(names, places, strict=True)]

    def read(self, path: str) -> str:
        """Volumes of the cluster are not read from here."""
        return _read(path)

    def attach(self, name: str, index: int, *, with_shell: bool) -> Command:
        """By kubectl, which needs the right to create pods/exec."""
        found = [pod for pod in self._select(name, index) if "running" in trainer_state(pod)]
        if not found:
            raise bad_flag(f"no pod of worker {index} runs (--worker); `launch describe {name}`")
        if shutil.which("kubectl") is None:
            raise bad_flag("attach needs kubectl on PATH for a job on a cluster")
        context = [f"--context={self._context}"] if self._context else []
        inside = ("sh",) if with_shell else ("python", "-m", "common.stacks")
        pod, terminal = found[-1]["metadata"]["name"], ("-it",) if with_shell else ()
        to_pod = (f"--namespace={self._namespace}", "exec", *terminal, pod, "-c", CONTAINER, "--")
        return Command(("kubectl", *context, *to_pod, *inside))

    def cancel(self, name: str) -> None:
        """Ends a Job by a deadline of one second, so that it stays for `describe`.

        The deadline brings SIGTERM and grace, with Kueue or without it. It does not run for a
        suspended Job, and cannot be given to the Jobs of a JobSet: those are deleted, and a
        TrainJob, which would make its JobSet again.
        """
        workload = self._objects.workload(name)
        if is_decided(workload):
            return
        if workload["kind"] != "Job" or workload["spec"].get("suspend"):
            self._cluster.delete(path_of(workload))
            return
        changes = {
            "metadata": {"annotations": {CANCELLED: "true"}},
            "spec": {"activeDeadlineSeconds": 1},
        }
        self._cluster.patch(path_of(workload), changes)

    def delete(self, name: str) -> None:
        """Deletes the workload, which owns the rest."""
        self._cluster.delete(path_of(self._objects.workload(name)))

    def doctor(self) -> list[Check]:
        """Whether the cluster is ready for jobs of this user."""
        return doctor.examine(self._cluster, self._namespace)

    def _look(self, name: str, index: int, logs: PodLogs) -> JobStatus:
        """The job's state now; the logs of workers that have started since are followed too."""
        status = self.status(name)
        for pod in self._select(name, index):
            if has_started(pod):
                logs.follow(pod)
        return status

    def _ask(self, documents: Sequence[Document]) -> None:
        for document in filter(_can_be_asked, documents):
            self._cluster.create(document, dry_run=True)

    def _create(self, documents: Sequence[Document]) -> Document:
        """Creates all of them or none and returns the workload, which comes last."""
        created: list[Document] = []
        try:
            for document in documents:
                created.append(self._cluster.create(document))  # noqa: PERF401 - undone on failure
        except RunError:
            for document in created:
                with contextlib.suppress(RunError):
                    self._cluster.delete(path_of(document))
            raise
        return created[-1]

    def _select(self, name: str, index: int) -> list[Document]:
        pods = self._objects.pods(name)
        return [pod for pod in pods if index < 0 or worker_name(pod).endswith(f" {index}")]

    def _diagnose(self, workload: Document, pods: Sequence[Document]) -> JobStatus:
        unclear = [workload] if lacks_pods(workload, pods) else []
        unclear += list(filter(waits_silently, pods))[:1]  # the others wait for the same, as a rule
        unclear += jobs_of(workload)
        events = [event for one in unclear for event in self._objects.events(one)]
        return diagnose(workload, pods, events, explain_queue(self._cluster, workload))


def _can_be_asked(document: Document) -> bool:
    """Whether a dry run can tell: a TrainJob is refused as long as its runtime is not there."""
    return document["kind"] != "TrainJob"


def _read(path: str) -> str:
    """The text of a file in a bucket; a path is the pod's, and something else on this machine."""
    if "://" not in path:
        raise OSError(f"{path} lies on a volume of the cluster, which is not read from here")
    return remote_files.read_text(path)


def _judge_end(found: JobStatus, command_lines: Sequence[Sequence[str]]) -> JobStatus:
    """The status of a job whose pods all ended with 0, by what its runs say of themselves."""
    try:
        made = datetime.datetime.fromisoformat(found.created).timestamp()
        doubts = (doubt(args, remote_files.modified, made) for args in command_lines)
        reason = next(filter(None, doubts), "")
    except (OSError, ValueError) as error:
        said = f"{found.detail}; the summary cannot be read from here: {error}"
        return dataclasses.replace(found, detail=said.removeprefix("; "))
    return dataclasses.replace(found, phase="failed", detail=reason) if reason else found
