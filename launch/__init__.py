"""Lockstep's launcher: `submit(JobSpec(...))`, and the verbs of `python -m launch`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launch.api import Job, connect, job, jobs, submit
    from launch.spec.job import JobSpec

__all__ = ["Job", "JobSpec", "connect", "job", "jobs", "submit"]


def __getattr__(name: str) -> Any:
    # Looked up when asked for: a verb imports no more than it needs.
    if name not in __all__:
        raise AttributeError(f"module 'launch' has no attribute {name!r}")
    home = "launch.spec.job" if name == "JobSpec" else "launch.api"
    return getattr(importlib.import_module(home), name)
