"""The verbs that look at jobs and end them."""

import dataclasses
import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from launch.backend import RETRY_BUDGET_SECS, Backend, Check, retry_transient
from launch.spec import status
from launch.spec.status import JobStatus

_CODES = {"succeeded": 0, "failed": 1, "cancelled": 1, "lost": 1}
_TIMEOUT = 124
DETACHED = 130


def open_local(values: Namespace) -> Backend:
    """The jobs of this machine."""
    from launch.local.backend import LocalBackend
    from launch.local.job_folder import default_root

    return LocalBackend(Path(values.state_dir) if values.state_dir else default_root())


def open_backend(values: Namespace) -> Backend:
    """The backend that --backend names."""
    if values.backend == "local":
        return open_local(values)
    from launch.kubernetes.backend import KubernetesBackend
    from launch.kubernetes.cluster import connect

    return KubernetesBackend(connect(values.context), values.namespace)


def show(value: object, text: str, values: Namespace) -> None:
    """Prints a value in the form that --output asks for; `text` is the form for people."""
    match values.output:
        case "json":
            print(json.dumps(value, indent=2))
        case "yaml":
            from launch.spec import documents

            print(documents.dump([value]), end="")
        case _:
            print(text)


def follow_to_end(backend: Backend, name: str) -> int:
    """Prints the logs until the job ends and returns the code of `wait`."""
    final = backend.follow(name, _print)
    report = retry_transient(lambda: backend.report(name), _warn, backend.poll_secs)
    if final.phase != "succeeded" or report.trials:
        print(status.describe(report), flush=True)
    return _CODES[final.phase]


def list_jobs(values: Namespace) -> int:
    """Prints all jobs."""
    found = open_backend(values).statuses()
    show([one.as_dict() for one in found], status.table(found), values)
    return 0


def describe(values: Namespace) -> int:
    """Prints everything about one job."""
    _show_status(open_backend(values).report(values.operands[0]), values)
    return 0


def logs(values: Namespace) -> int:
    """Prints the logs of one job."""
    backend, [name] = open_backend(values), values.operands
    if values.follow:
        return _CODES[backend.follow(name, _print, values.worker).phase]
    backend.logs(name, _print, values.worker)
    return 0


def wait(values: Namespace) -> int:
    """Waits until the job ends."""
    backend, [name] = open_backend(values), values.operands
    limit = values.timeout_secs
    until = time.monotonic() + limit if limit else float("inf")
    try:
        found = _until_ended(backend, name, until)
        report = found and _ask(lambda: backend.report(name), backend.poll_secs, until)
    except KeyboardInterrupt:
        return DETACHED
    if found is None:
        return _TIMEOUT
    _show_status(report or found, values)
    return _CODES.get(found.phase, _TIMEOUT)


def _show_status(found: JobStatus, values: Namespace) -> None:
    show(found.as_dict(), status.describe(found), values)


def _until_ended(backend: Backend, name: str, until: float) -> JobStatus | None:
    while found := _ask(lambda: backend.status(name), backend.poll_secs, until):
        if found.phase in status.ENDED or time.monotonic() >= until:
            break
        time.sleep(backend.poll_secs)
    return found


def _ask(ask: Callable[[], JobStatus], poll_secs: float, until: float) -> JobStatus | None:
    """The answer, or None where the cluster stays away until the time is over."""
    left = max(until - time.monotonic(), 0.0)
    try:
        return retry_transient(ask, _warn, poll_secs, min(left, RETRY_BUDGET_SECS))
    except RunError as error:
        if error.code != ExitCode.TRANSIENT or time.monotonic() < until:
            raise
        _warn(f"[launch] {error.reason}")
        return None


def cancel(values: Namespace) -> int:
    """Tells a job to save and stop."""
    [name] = values.operands
    open_backend(values).cancel(name)
    show({"name": name, "cancelled": True}, f"{name} saves and stops", values)
    return 0


def delete(values: Namespace) -> int:
    """Removes a job."""
    [name] = values.operands
    open_backend(values).delete(name)
    show({"name": name, "deleted": True}, f"{name} is deleted; its workdir stays", values)
    return 0


def doctor(values: Namespace) -> int:
    """Checks whether jobs can run."""
    checks = [*open_backend(values).doctor(), *check_paths(values.path)]
    text = "\n".join(f"{'ok  ' if c.ok else 'FAIL'}  {c.what}: {c.detail}" for c in checks)
    show([dataclasses.asdict(one) for one in checks], text, values)
    return 0 if all(one.ok for one in checks) else 1


def check_paths(paths: Sequence[str]) -> list[Check]:
    """Whether each path, local or in a bucket, exists and can be listed."""
    return [_check_path(path) for path in paths]


def _check_path(path: str) -> Check:
    from launch.code import remote_files

    try:
        exists = remote_files.exists(path)
    except OSError as error:
        return Check(f"path {path}", False, " ".join(str(error).split()))
    return Check(f"path {path}", exists, "exists" if exists else "does not exist (--path)")


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(line: str) -> None:
    print(line, flush=True)
