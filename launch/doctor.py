"""One check of `launch doctor`, and those that every backend shares."""

import dataclasses
from collections.abc import Sequence

from launch import remote_files


@dataclasses.dataclass(frozen=True)
class Check:
    """One answer: what was looked at, whether it is as a job needs it, and what was found."""

    what: str
    ok: bool
    detail: str


def check_paths(paths: Sequence[str]) -> list[Check]:
    """Whether each path, local or in a bucket, exists and can be listed."""
    return [_check_path(path) for path in paths]


def _check_path(path: str) -> Check:
    try:
        exists = remote_files.exists(path)
    except OSError as error:
        return Check(f"path {path}", False, " ".join(str(error).split()))
    return Check(f"path {path}", exists, "exists" if exists else "does not exist (--path)")
