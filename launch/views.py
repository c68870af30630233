"""The verbs that look at jobs and end them."""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from common.exit_codes import ExitCode, RunError
from launch import status, text_files
from launch.backends import open_backend
from launch.patience import PATIENCE_SECS, patiently

if TYPE_CHECKING:
    from launch.backends.kubernetes import KubernetesBackend
    from launch.backends.local import LocalBackend

_CODES = {"succeeded": 0, "failed": 1, "cancelled": 1, "lost": 1}
_TIMEOUT = 124
DETACHED = 130


def show(value: object, text: str, values: flags.FlagValues) -> None:
    """Prints a value in the form that --output asks for; `text` is the form for people."""
    match values["output"].value:
        case "json":
            print(json.dumps(value, indent=2))
        case "yaml":
            from launch import documents

            print(documents.dump([value]), end="")
        case _:
            print(text)


def follow_to_end(backend: "LocalBackend | KubernetesBackend", name: str) -> int:
    """Prints the logs until the job ends and returns the code of `wait`."""
    final = backend.follow(name, lambda line: print(line, flush=True))
    report = patiently(lambda: backend.report(name), _warn, backend.poll_secs)
    if final.phase != "succeeded" or report.trials:
        print(status.describe(report), flush=True)
    return _CODES[final.phase]


def list_jobs(values: flags.FlagValues, _: list[str], __: list[str]) -> int:
    """Prints all jobs."""
    found = open_backend(values).statuses()
    show([one.as_dict() for one in found], status.table(found), values)
    return 0


def describe(values: flags.FlagValues, operands: list[str], _: list[str]) -> int:
    """Prints everything about one job."""
    found = open_backend(values).report(operands[0])
    show(found.as_dict(), status.describe(found), values)
    return 0


def logs(values: flags.FlagValues, operands: list[str], _: list[str]) -> int:
    """Prints the logs of one job."""
    backend = open_backend(values)
    index = values["worker"].value
    if values["follow"].value:
        return _CODES[backend.follow(operands[0], _print, index).phase]
    backend.logs(operands[0], _print, index)
    return 0


def wait(values: flags.FlagValues, operands: list[str], _: list[str]) -> int:
    """Waits until the job ends."""
    backend, [name] = open_backend(values), operands
    limit = values["timeout_secs"].value
    until = time.monotonic() + limit if limit else float("inf")
    try:
        found = _until_ended(backend, name, until)
        report = found and _ask(lambda: backend.report(name), backend.poll_secs, until)
    except KeyboardInterrupt:
        return DETACHED
    if found is None:
        return _TIMEOUT
    shown = report or found
    show(shown.as_dict(), status.describe(shown), values)
    return _CODES.get(found.phase, _TIMEOUT)


def _until_ended(
    backend: "LocalBackend | KubernetesBackend", name: str, until: float
) -> status.JobStatus | None:
    while found := _ask(lambda: backend.status(name), backend.poll_secs, until):
        if found.phase in status.ENDED or time.monotonic() >= until:
            break
        time.sleep(backend.poll_secs)
    return found


def _ask(
    ask: Callable[[], status.JobStatus], poll_secs: float, until: float
) -> status.JobStatus | None:
    """The answer, or None where the cluster stays away until the time is over."""
    left = max(until - time.monotonic(), 0.0)
    try:
        return patiently(ask, _warn, poll_secs, min(left, PATIENCE_SECS))
    except RunError as error:
        if error.code != ExitCode.TRANSIENT or time.monotonic() < until:
            raise
        _warn(f"[launch] {error.reason}")
        return None


def cancel(values: flags.FlagValues, operands: list[str], _: list[str]) -> int:
    """Lets a job save and stop."""
    name = operands[0]
    open_backend(values).cancel(name)
    show({"name": name, "cancelled": True}, f"{name} saves and stops", values)
    return 0


def delete(values: flags.FlagValues, operands: list[str], _: list[str]) -> int:
    """Removes a job."""
    name = operands[0]
    open_backend(values).delete(name)
    show({"name": name, "deleted": True}, f"{name} is deleted; its workdir stays", values)
    return 0


def doctor(values: flags.FlagValues, _: list[str], __: list[str]) -> int:
    """Checks whether jobs can run."""
    from launch.doctor import Check, check_paths

    checks: list[Check] = [*open_backend(values).doctor(), *check_paths(values["path"].value)]
    text = "\n".join(f"{'ok  ' if c.ok else 'FAIL'}  {c.what}: {c.detail}" for c in checks)
    show([dataclasses.asdict(one) for one in checks], text, values)
    return 0 if all(one.ok for one in checks) else 1


def lint_files(values: flags.FlagValues, operands: list[str], _: list[str]) -> int:
    """Prints every fault of the manifests in files."""
    from launch.lint import lint
    from launch.lint.schemas import check_schemas

    files = {operand: _documents(operand) for operand in operands}
    if not any(files.values()):
        raise RunError(
            ExitCode.BAD_FLAG, f"{', '.join(operands)}: no Kubernetes object is in there"
        )
    found = []
    for parsed in files.values():
        found += lint(parsed)
        found += check_schemas(parsed) if values["schemas"].value else []
    page = "\n".join(map(str, found)) or "no faults"
    show([dataclasses.asdict(one) for one in found], page, values)
    return 1 if found else 0


def _documents(operand: str) -> list[dict[str, Any]]:
    import yaml

    from launch import documents

    try:
        return documents.load(text_files.read(Path(operand), operand))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2026-13-01
        raise RunError(ExitCode.BAD_FLAG, f"{operand} is not YAML: {error}") from None


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(line: str) -> None:
    print(line, flush=True)
