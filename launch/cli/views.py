"""The verbs that look at jobs and end them."""

import dataclasses
import json
import sys
from argparse import Namespace
from collections.abc import Sequence

from launch import api
from launch.api import Job, StillRunningError
from launch.backend import Backend, Check, retry_transient
from launch.spec import status
from launch.spec.status import JobStatus

_CODES = {"succeeded": 0, "failed": 1, "cancelled": 1, "lost": 1}
_TIMEOUT = 124
DETACHED = 130


def open_local(values: Namespace) -> Backend:
    """The jobs of this machine."""
    return api.connect(state_dir=values.state_dir)


def open_backend(values: Namespace) -> Backend:
    """The backend that --backend names."""
    if values.backend == "local":
        return open_local(values)
    return api.connect(values.backend, namespace=values.namespace, context=values.context)


def _job(values: Namespace) -> Job:
    return Job(values.operands[0], open_backend(values))


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
    return _CODES[report.phase]


def list_jobs(values: Namespace) -> int:
    """Prints all jobs."""
    found = open_backend(values).statuses()
    show([one.as_dict() for one in found], status.table(found), values)
    return 0


def describe(values: Namespace) -> int:
    """Prints everything about one job."""
    _show_status(_job(values).describe(), values)
    return 0


def logs(values: Namespace) -> int:
    """Prints the logs of one job."""
    job = _job(values)
    if values.follow:
        return _CODES[job.backend.follow(job.name, _print, values.worker).phase]
    job.logs(_print, values.worker)
    return 0


def wait(values: Namespace) -> int:
    """Waits until the job ends."""
    try:
        found = _job(values).wait(values.timeout_secs, _warn)
    except KeyboardInterrupt:
        return DETACHED
    except StillRunningError as over:
        _show_status(over.status, values)
        return _TIMEOUT
    except TimeoutError:
        return _TIMEOUT
    _show_status(found, values)
    return _CODES[found.phase]


def _show_status(found: JobStatus, values: Namespace) -> None:
    show(found.as_dict(), status.describe(found), values)


def cancel(values: Namespace) -> int:
    """Tells a job to save and stop."""
    job = _job(values)
    job.cancel()
    show({"name": job.name, "cancelled": True}, f"{job.name} saves and stops", values)
    return 0


def delete(values: Namespace) -> int:
    """Removes a job."""
    job = _job(values)
    job.delete()
    show({"name": job.name, "deleted": True}, f"{job.name} is deleted; its workdir stays", values)
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
