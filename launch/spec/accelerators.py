"""The accelerators: one table, a row for each.

Sources: the GPU and TPU pages of the Google Kubernetes Engine documentation.
"""

import dataclasses
from typing import Literal

from common import spelling
from launch.spec.user_input import bad_flag

Kind = Literal["cpu", "gpu", "tpu"]
Platform = Literal["gke", "plain"]


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


# Name, kind, title, GKE label, GiB, counts, CPU cores and GiB of the host for each; of TPUs also
# the largest slice and the TensorCores of a chip.
_ROWS = (
    Accelerator("cpu", "cpu", "CPU only", "", 0, (0,), 4, 16),
    Accelerator("t4", "gpu", "NVIDIA T4", "nvidia-tesla-t4", 16, (1, 2, 4), 3, 12),
    Accelerator("l4", "gpu", "NVIDIA L4", "nvidia-l4", 24, (1, 2, 4, 8), 10, 40),
    Accelerator(
        "a100-40", "gpu", "NVIDIA A100 40 GB", "nvidia-tesla-a100", 40, (1, 2, 4, 8, 16), 5, 70
    ),
    Accelerator(
        "a100-80", "gpu", "NVIDIA A100 80 GB", "nvidia-a100-80gb", 80, (1, 2, 4, 8), 10, 150
    ),
    Accelerator("h100", "gpu", "NVIDIA H100 80 GB", "nvidia-h100-80gb", 80, (1, 2, 4, 8), 24, 200),
    Accelerator(
        "h100-mega", "gpu", "NVIDIA H100 80 GB Mega", "nvidia-h100-mega-80gb", 80, (8,), 24, 200
    ),
    Accelerator("h200", "gpu", "NVIDIA H200 141 GB", "nvidia-h200-141gb", 141, (8,), 26, 340),
    Accelerator("b200", "gpu", "NVIDIA B200 180 GB", "nvidia-b200", 180, (8,), 26, 460, xla=False),
    Accelerator("v4", "tpu", "TPU v4", "tpu-v4-podslice", 32, (4,), 50, 85, 4096, 2),
    Accelerator("v5e", "tpu", "TPU v5e", "tpu-v5-lite-podslice", 16, (1, 4, 8), 20, 40, 256),
    Accelerator("v5p", "tpu", "TPU v5p", "tpu-v5p-slice", 95, (4,), 45, 95, 6144, 2),
    Accelerator("v6e", "tpu", "TPU v6e", "tpu-v6e-slice", 32, (1, 4, 8), 20, 150, 256),
    Accelerator(
        "v7", "tpu", "TPU v7 (Ironwood)", "tpu7x", 192, (4,), 50, 210, 9216, 2, tensorflow=False
    ),
)
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
