"""The accelerators that can be asked for: one table with named fields.

Sources: the GPU and TPU pages of the Google Kubernetes Engine documentation.
"""

import dataclasses
from typing import Literal

from common import spelling
from launch.spec.user_input import bad_flag

Kind = Literal["cpu", "gpu", "tpu"]
Platform = Literal["gke", "plain"]
PLATFORMS: tuple[Platform, ...] = ("gke", "plain")


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """One kind of device.

    Attributes:
        name: the value of `--accelerator`.
        kind: cpu, gpu or tpu.
        title: the vendor's name.
        gke_label: the node label value by which GKE offers it.
        memory_gib: memory of one device, GiB.
        counts: how many devices GKE's machines have, and so how many one worker may ask for.
        host_cpus: default CPU cores requested for each device.
        host_memory_gib: default host memory requested for each device, GiB.
        max_chips: the largest TPU slice, in chips.
        tensorcores: TensorCores of one chip where the vendor's type name counts them, else 1.
        tensorflow: whether its vendor supports TensorFlow on it.
        xla: whether TensorFlow 2.21's XLA compiles for it. It writes PTX 8.5; Blackwell needs 8.6
            (B200) or 8.7 (RTX): github.com/tensorflow/tensorflow/issues/111958.
    """

    name: str
    kind: Kind
    title: str
    gke_label: str
    memory_gib: int
    counts: tuple[int, ...]
    host_cpus: int
    host_memory_gib: int
    max_chips: int = 0
    tensorcores: int = 1
    tensorflow: bool = True
    xla: bool = True


# fmt: off
_ROWS = (
    Accelerator(
        name="cpu", kind="cpu", title="CPU only", gke_label="",
        memory_gib=0, counts=(0,), host_cpus=4, host_memory_gib=16,
    ),
    Accelerator(
        name="t4", kind="gpu", title="NVIDIA T4", gke_label="nvidia-tesla-t4",
        memory_gib=16, counts=(1, 2, 4), host_cpus=3, host_memory_gib=12,
    ),
    Accelerator(
        name="l4", kind="gpu", title="NVIDIA L4", gke_label="nvidia-l4",
        memory_gib=24, counts=(1, 2, 4, 8), host_cpus=10, host_memory_gib=40,
    ),
    Accelerator(
        name="a100-40", kind="gpu", title="NVIDIA A100 40 GB", gke_label="nvidia-tesla-a100",
        memory_gib=40, counts=(1, 2, 4, 8, 16), host_cpus=5, host_memory_gib=70,
    ),
    Accelerator(
        name="a100-80", kind="gpu", title="NVIDIA A100 80 GB", gke_label="nvidia-a100-80gb",
        memory_gib=80, counts=(1, 2, 4, 8), host_cpus=10, host_memory_gib=150,
    ),
    Accelerator(
        name="h100", kind="gpu", title="NVIDIA H100 80 GB", gke_label="nvidia-h100-80gb",
        memory_gib=80, counts=(1, 2, 4, 8), host_cpus=24, host_memory_gib=200,
    ),
    Accelerator(
        name="h100-mega", kind="gpu", title="NVIDIA H100 80 GB Mega",
        gke_label="nvidia-h100-mega-80gb",
        memory_gib=80, counts=(8,), host_cpus=24, host_memory_gib=200,
    ),
    Accelerator(
        name="h200", kind="gpu", title="NVIDIA H200 141 GB", gke_label="nvidia-h200-141gb",
        memory_gib=141, counts=(8,), host_cpus=26, host_memory_gib=340,
    ),
    Accelerator(
        name="b200", kind="gpu", title="NVIDIA B200 180 GB", gke_label="nvidia-b200",
        memory_gib=180, counts=(8,), host_cpus=26, host_memory_gib=460, xla=False,
    ),
    Accelerator(
        name="v4", kind="tpu", title="TPU v4", gke_label="tpu-v4-podslice",
        memory_gib=32, counts=(4,), host_cpus=50, host_memory_gib=85, max_chips=4096, tensorcores=2,
    ),
    Accelerator(
        name="v5e", kind="tpu", title="TPU v5e", gke_label="tpu-v5-lite-podslice",
        memory_gib=16, counts=(1, 4, 8), host_cpus=20, host_memory_gib=40, max_chips=256,
    ),
    Accelerator(
        name="v5p", kind="tpu", title="TPU v5p", gke_label="tpu-v5p-slice",
        memory_gib=95, counts=(4,), host_cpus=45, host_memory_gib=95, max_chips=6144, tensorcores=2,
    ),
    Accelerator(
        name="v6e", kind="tpu", title="TPU v6e", gke_label="tpu-v6e-slice",
        memory_gib=32, counts=(1, 4, 8), host_cpus=20, host_memory_gib=150, max_chips=256,
    ),
    Accelerator(
        name="v7", kind="tpu", title="TPU v7 (Ironwood)", gke_label="tpu7x",
        memory_gib=192, counts=(4,), host_cpus=50, host_memory_gib=210, max_chips=9216,
        tensorcores=2, tensorflow=False,
    ),
)
# fmt: on
TABLE = {row.name: row for row in _ROWS}


def find(name: str) -> Accelerator:
    """The row of the table with this name.

    Raises:
        RunError: there is none; BAD_FLAG with the nearest name.
    """
    if name not in TABLE:
        raise bad_flag(spelling.unknown("accelerator", name, TABLE) + " (--accelerator)")
    return TABLE[name]


def check_count(accelerator: Accelerator, count: int, platform: Platform) -> None:
    """Refuses a number of GPUs that no machine of this kind has.

    A worker on GKE takes a whole machine; on other clusters it may take a part of one.

    Raises:
        RunError: BAD_FLAG with the nearest possible numbers.
    """
    parts = platform == "plain" and accelerator.kind == "gpu"
    possible = range(1, max(accelerator.counts) + 1) if parts else accelerator.counts
    if count not in possible:
        nearest = sorted(possible, key=lambda allowed: abs(allowed - count))[:2]
        raise bad_flag(
            f"no machine has {count} x {accelerator.title}; "
            f"nearest: {', '.join(map(str, sorted(nearest)))} (--devices_per_worker)"
        )


def check_framework(accelerator: Accelerator) -> None:
    """Refuses an accelerator for which there is no TensorFlow.

    Raises:
        RunError: BAD_FLAG with the accelerators of the kind that have it, the newest first.
    """
    if not accelerator.tensorflow:
        others = [row.name for row in _ROWS if row.kind == accelerator.kind and row.tensorflow]
        raise bad_flag(
            f"{accelerator.title} runs JAX and PyTorch: its vendor supports no TensorFlow on it; "
            f"nearest: {', '.join(others[::-1][:2])} (--accelerator)"
        )
