"""Whether a decoded dataset fits next to everything else."""

import pathlib
import resource

import tensorflow as tf

SHARE = 0.5
"""Of the memory that is free, for data; the rest is for the model and its gradients."""

_ACCELERATOR_BYTES = 8 << 30
_CGROUP = pathlib.Path("/sys/fs/cgroup")


def available_bytes(num_replicas: int, num_processes: int) -> int:
    """Return the bytes that this process may still take where the examples would be kept.

    An accelerator does not tell its memory before it is used: the smallest in use is assumed.

    Args:
        num_replicas: of this process.
        num_processes: of the run on this host; each may take an equal part of what is free.
    """
    if tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return min(_host_bytes(num_processes), _ACCELERATOR_BYTES * num_replicas)
    return _host_bytes(num_processes)


def _host_bytes(num_processes: int) -> int:
    shared = [_meminfo(), _cgroup_left()]
    limits = [free // num_processes for free in shared if free is not None]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft - _own_virtual_bytes())
    return max(0, min(limits))


def _meminfo() -> int:
    fields = (line.split() for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    return next(int(f[1]) * 1024 for f in fields if f[0] == "MemAvailable:")


def _cgroup_left() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = (_CGROUP / "memory.current").read_text()
    except OSError:
        return None
    return int(limit) - int(used) if limit.isdecimal() else None


def _own_virtual_bytes() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
