"""Who is compared on what, and the processes that run it."""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import IO, Any

from benchmarks import gpu_usage
from benchmarks.peers.work import NUM_JPEGS, WORKS
from tests.processes import free_ports

ROOT = pathlib.Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Spec:
    """A contender.

    Attributes:
        name: shown.
        module: of `benchmarks.peers`.
        arguments: after the work.
        environment: folder of its Python; empty: this one.
        cores: for every worker process the cores it may use; one process on all of them.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: str = ""
    cores: tuple[tuple[int, ...], ...] = ()


def _ours(name: str, *settings: str, cores: tuple[tuple[int, ...], ...] = ()) -> Spec:
    return Spec(f"Lockstep {name}", "lockstep", settings, cores=cores)


_OURS = (
    _ours("graph", "execution=graph"),
    _ours("graph 2 threads", "execution=graph", "intra_op_threads=2"),
    _ours("xla_loop", "execution=xla_loop", "programs=kept"),
    _ours("xla_loop next start", "execution=xla_loop", "programs=kept"),
    _ours("xla_loop 2 threads", "execution=xla_loop", "intra_op_threads=2"),
)
_BFLOAT16 = (
    _ours("graph bfloat16", "execution=graph", "precision=bfloat16"),
    _ours(
        "graph bfloat16 2 threads", "execution=graph", "precision=bfloat16", "intra_op_threads=2"
    ),
)
_MICROBATCHES = (
    _ours("graph 2 microbatches", "execution=graph", "virtual_replicas=2"),
    _ours("graph 4 microbatches", "execution=graph", "virtual_replicas=4"),
    _ours("graph bfloat16 2 microbatches", "precision=bfloat16", "virtual_replicas=2"),
)
_CONSTANT = (
    _ours("graph 2 threads same batch", "execution=graph", "intra_op_threads=2", "batch=constant"),
)
_JAX = (Spec("JAX scan", "jax_loop", environment="jax"),)
_GRAIN = (Spec("JAX and Grain", "jax_loop", environment="jax"),)
_LIGHTNING = (Spec("Lightning", "pytorch", ("lightning",), "torch"),)
_PEERS = (
    Spec("Orbit", "tensorflow_loop", ("orbit",), "orbit"),
    Spec("bare tf.function", "tensorflow_loop", ("bare",)),
    Spec("PyTorch", "pytorch", ("loop",), "torch"),
    Spec("Keras fit 50 steps a call", "keras_fit", ("50",)),
    Spec("Keras fit", "keras_fit", ("1",)),
)
_STREAMED = (
    _ours("graph", "execution=graph"),
    _ours("graph 2 threads", "execution=graph", "intra_op_threads=2"),
)
_REPLICAS = (
    _ours("1 replica", "virtual_replicas=2"),
    _ours("2 replicas fast", "virtual_replicas=2", "cpu_replicas=2", "reduction=fast"),
    _ours("2 replicas exact", "virtual_replicas=2", "cpu_replicas=2"),
)
_WORKERS = (
    _ours("2 workers a core each fast", "virtual_replicas=2", "reduction=fast", cores=((0,), (1,))),
    _ours("2 workers a core each exact", "virtual_replicas=2", cores=((0,), (1,))),
    _ours("1 process on one core", "virtual_replicas=2", cores=((0,),)),
)
_TOWERS = (
    _ours("graph", "execution=graph"),
    _ours("graph 2 threads", "execution=graph", "intra_op_threads=2"),
    _ours("xla_loop", "execution=xla_loop"),
    _ours(
        "graph whole batch 2 microbatches",
        *("virtual_replicas=2", "task.name=benchmarks.peers.towers:OfAllMicrobatches"),
    ),
)
_TORCH_BFLOAT16 = (Spec("PyTorch bfloat16", "pytorch", ("loop", "bfloat16"), "torch"),)
COMPARISONS: dict[str, tuple[str, tuple[Spec, ...]]] = {
    "mlp": ("mlp", (*_OURS, *_JAX, *_LIGHTNING, *_PEERS)),
    "mlp_dropout": ("mlp_dropout", (*_OURS, *_JAX, *_LIGHTNING, *_PEERS)),
    "cnn": ("cnn", (*_OURS, *_MICROBATCHES, *_BFLOAT16, *_CONSTANT, *_JAX, *_LIGHTNING, *_PEERS)),
    "resnet": ("resnet", (*_OURS, *_BFLOAT16, *_JAX, *_LIGHTNING, *_PEERS)),
    "transformer": (
        "transformer",
        (*_OURS, *_MICROBATCHES, *_BFLOAT16, *_TORCH_BFLOAT16, *_LIGHTNING, *_PEERS),
    ),
    "towers": ("towers", (*_TOWERS, *_JAX, *_PEERS)),
    "jpeg": ("jpeg", (*_STREAMED, *_GRAIN, *_LIGHTNING, *_PEERS)),
    "replicas": ("cnn", _REPLICAS),
    "workers": ("cnn", _WORKERS),
}
"""Title -> (work, contenders); the last one is what the others are compared with."""
_TORCH = (
    Spec("PyTorch", "pytorch", ("loop",), "torch"),
    Spec("PyTorch compiled", "pytorch", ("loop", "compile"), "torch"),
)
_MODES = (
    _ours("graph", "execution=graph"),
    _ours("xla_step", "execution=xla_step"),
    _ours("xla_loop", "execution=xla_loop"),
)
_FOUR = (_ours("xla_loop 4 virtual replicas", "execution=xla_loop", "virtual_replicas=4"),)
_FIT_XLA = (Spec("Keras fit, XLA", "keras_fit", ("8", "xla")),)
_FIT_50_XLA = (Spec("Keras fit 50 steps a call, XLA", "keras_fit", ("50", "xla")),)
ON_GPU: dict[str, tuple[str, tuple[Spec, ...]]] = {
    "resnet50": ("resnet50", (*_MODES, *_FOUR, *_TORCH, *_FIT_XLA)),
    "mlp": ("mlp", (*_MODES, *_FOUR, *_JAX, *_TORCH[:1], *_FIT_50_XLA)),
    "transformer": ("transformer_large", (*_MODES, *_TORCH, *_FIT_XLA)),
    "cnn": ("cnn", (*_MODES, *_FOUR, *_JAX, *_TORCH[:1], *_FIT_50_XLA)),
}
"""The same for a machine with a GPU, the most telling first."""


class EndedError(Exception):
    """A contender ended by itself."""


class Contender:
    """The processes of a contender; the first of them is measured."""

    def __init__(self, spec: Spec, work: str, environments: pathlib.Path) -> None:
        self.spec = spec
        self._many = WORKS[work].many
        own = environments / spec.environment / "bin/python"
        python = str(own) if spec.environment else sys.executable
        command = [python, "-m", f"benchmarks.peers.{spec.module}", work, *spec.arguments]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by close)
        cores = spec.cores or (tuple(os.sched_getaffinity(0)),)
        self._processes = _start(command, cores, self._errors)
        self.facts: dict[str, float] = {}
        self.rates: list[float] = []
        self.cpu_ms: list[float] = []
        self.gpu_busy: list[float] = []

    def warm_up(self) -> None:
        """Wait until it has made its first steps and waits itself."""
        self.facts = {**self._answer(), **self._answer()}

    def run(self, seconds: float) -> None:
        """Measure for so long; several workers have to make the same number of calls."""
        line = f"{seconds}"
        if len(self._processes) > 1:
            rate = self.rates[-1] if self.rates else 1.0
            line = f"calls={max(1, round(seconds * rate / self._many))}"
        with gpu_usage.watched(on="device_mib" in self.facts) as busy:
            for process in self._processes:
                assert process.stdin
                process.stdin.write(line + "\n")
                process.stdin.flush()
            found = self._answer()
        self.gpu_busy += busy
        self.rates.append(found["steps_per_second"])
        self.cpu_ms.append(found["cpu_ms_per_step"])

    def close(self) -> None:
        """End the processes; workers end by themselves when their input does."""
        for process in self._processes:
            process.kill()
            process.communicate()
        self._errors.close()

    def result(self) -> dict[str, Any]:
        """Return the median and spread of the rounds, and what was seen at the start."""
        return {
            "steps_per_second": statistics.median(self.rates),
            "spread": (min(self.rates), max(self.rates)),
            "cpu_ms": statistics.median(self.cpu_ms),
            **({"gpu_busy": statistics.median(self.gpu_busy)} if self.gpu_busy else {}),
            **self.facts,
        }

    def _answer(self) -> dict[str, float]:
        first = self._processes[0]
        assert first.stdout
        for line in first.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines() or ["nothing said"]
        raise EndedError(f"{self.spec.name}: ended with {first.wait()}: {said[-1]}")


def _start(
    command: list[str], cores: tuple[tuple[int, ...], ...], errors: IO[str]
) -> list[subprocess.Popen[str]]:
    ports = free_ports(len(cores)) if len(cores) > 1 else []
    addresses = [f"127.0.0.1:{port}" for port in ports]
    before, started = os.sched_getaffinity(0), []
    for index, own in enumerate(cores):
        environment = {**os.environ, "STARTED": str(time.time()), "TF_CPP_MIN_LOG_LEVEL": "3"}
        if addresses:
            task = {"type": "worker", "index": index}
            cluster = {"cluster": {"worker": addresses}, "task": task}
            environment["TF_CONFIG"] = json.dumps(cluster)
        os.sched_setaffinity(0, own)  # a process is born on the cores of its parent
        started.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        )
        os.sched_setaffinity(0, before)
    return started


def write_jpegs(folder: pathlib.Path) -> None:
    """Write the images as files and, the same bytes, as records in four shards."""
    import numpy as np
    import tensorflow as tf

    from benchmarks.made_data import random_jpeg, serialize

    rng = np.random.default_rng(0)
    made = [random_jpeg(rng) for _ in range(64)]
    for index in range(NUM_JPEGS):
        (folder / f"{index:04d}.jpg").write_bytes(made[index % 64])
    for shard in range(4):
        with tf.io.TFRecordWriter(str(folder / f"train-{shard}.tfrecord")) as writer:
            for index in range(shard, NUM_JPEGS, 4):
                writer.write(serialize(made[index % 64], index % 10))
