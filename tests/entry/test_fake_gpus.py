"""Where a run is placed next to 0, 1 or 2 GPUs. A fake: TensorFlow's list of devices is replaced.

It shows what is asked of TensorFlow, not what a card does with it; that is tests/device.
"""

import os

import pytest
import tensorflow as tf
from absl.testing import flagsaver

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError
from trainer import __main__ as entry
from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig
from trainer.runtime import xla

TWO_ON_ONE_HOST = Cluster(("localhost:2222", "localhost:2223"), 0)


class FakeGpus:
    """GPUs as `tf.config` shows them; records what it is asked to do."""

    def __init__(self, count, split=0):
        self.visible = [tf.config.PhysicalDevice(f"/gpu:{index}", "GPU") for index in range(count)]
        self.parts = [tf.config.LogicalDeviceConfiguration(1024)] * split or None
        self.growing = []
        self.in_use = False

    def get_visible_devices(self, _):
        return list(self.visible)

    def list_logical_devices(self, kind):
        self.in_use = True
        count = len(self.visible) * (len(self.parts) if self.parts else 1)
        names = [f"/device:GPU:{index}" for index in range(count)] if kind == "GPU" else []
        return [tf.config.LogicalDevice(name, kind) for name in names]

    def get_logical_device_configuration(self, _):
        return self.parts

    def set_visible_devices(self, devices, _):
        if self.in_use:
            raise RuntimeError("Visible devices cannot be modified after being initialized")
        self.visible = devices

    def set_memory_growth(self, gpu, enable):
        if self.parts:
            raise ValueError("Cannot set memory growth on device when virtual devices configured")
        self.growing.append((gpu.name, enable))


@pytest.fixture
def gpus(monkeypatch):
    """Return a function that puts GPUs into this machine; no strategy is really made on them."""

    def plug_in(count, split=0):
        fake = FakeGpus(count, split)
        for name in ("get_visible_devices", "list_logical_devices", "set_visible_devices"):
            monkeypatch.setattr(tf.config, name, getattr(fake, name))
        monkeypatch.setattr(
            tf.config, "get_logical_device_configuration", fake.get_logical_device_configuration
        )
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", fake.set_memory_growth)
        return fake

    monkeypatch.setattr(strategy, "_mirrored", lambda names: ("mirrored", *names))
    monkeypatch.setattr(strategy, "split_cpu", lambda _: True)
    monkeypatch.setattr(strategy, "_tpu", lambda _: ("tpu",))
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: ("default",))
    monkeypatch.setattr(tf.distribute, "OneDeviceStrategy", lambda name: ("one", name))
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda **_: ("multi_worker",))
    return plug_in


ONE, TWO = ("one", "GPU:0"), ("mirrored", "/device:GPU:0", "/device:GPU:1")
CPUS = ("mirrored", "CPU:0", "CPU:1")


@pytest.mark.parametrize(
    ("count", "placement", "made", "replicas"),
    [
        (0, Placement(), ("default",), 1),
        (1, Placement(), ONE, 1),
        (2, Placement(), TWO, 2),
        (1, Placement("mirrored"), ONE, 1),
        (2, Placement("mirrored"), TWO, 2),
        (0, Placement("cpu"), ("default",), 1),
        (2, Placement("cpu"), ("default",), 1),
        (2, Placement(cpu_replicas=1), ("default",), 1),
        (2, Placement(cpu_replicas=2), CPUS, 2),
        (2, Placement("cpu", cpu_replicas=2), CPUS, 2),
        (0, Placement(cluster=TWO_ON_ONE_HOST), ("multi_worker",), 2),
        (1, Placement(cluster=TWO_ON_ONE_HOST), ("multi_worker",), 2),
        (2, Placement("multi_worker", cluster=TWO_ON_ONE_HOST), ("multi_worker",), 4),
        (2, Placement("tpu"), ("tpu",), 1),
    ],
)
def test_placement(gpus, count, placement, made, replicas):
    gpus(count)
    assert strategy.count_replicas(placement) == replicas
    assert strategy.create(placement) == made


@pytest.mark.parametrize(
    "placement", [Placement("cpu"), Placement(cpu_replicas=2), Placement("cpu", cpu_replicas=2)]
)
def test_the_cpu_is_used_and_no_gpu_next_to_it(gpus, placement):
    fake = gpus(2)
    strategy.create(placement)
    assert fake.visible == []
    assert not strategy.uses_gpu()


def test_a_gpu_that_is_used_stays_visible(gpus):
    fake = gpus(2)
    strategy.create(Placement())
    assert len(fake.visible) == 2
    assert strategy.uses_gpu()


def test_a_process_that_has_used_a_gpu_does_not_go_on_on_it_for_the_cpu(gpus):
    gpus(1)
    strategy.create(Placement("mirrored"))
    with pytest.raises(RunError, match="restart it") as caught:
        strategy.create(Placement("cpu"))
    assert caught.value.code is ExitCode.BAD_CONFIG


@pytest.mark.parametrize("ask", [strategy.create, strategy.count_replicas])
def test_gpus_that_are_asked_for_and_not_there_are_an_error(gpus, ask):
    gpus(0)
    with pytest.raises(RunError, match="sees no GPU") as caught:
        ask(Placement("mirrored"))
    assert caught.value.code is ExitCode.BAD_CONFIG


def test_memory_is_taken_as_it_is_needed_so_that_two_processes_fit_on_a_card(gpus):
    fake = gpus(2)
    strategy.let_memory_grow()
    assert fake.growing == [("/gpu:0", True), ("/gpu:1", True)]


def test_a_card_cut_in_two_is_two_replicas_and_keeps_its_shares(gpus):
    fake = gpus(1, split=2)
    strategy.let_memory_grow()
    assert fake.growing == []
    assert strategy.count_replicas(Placement()) == 2
    assert strategy.create(Placement()) == TWO


def test_a_dry_run_counts_the_gpus_and_uses_none(gpus, monkeypatch, tmp_path):
    fake = gpus(2)
    # What builds the model asks for the devices; on a real host it is told to take the CPU.
    monkeypatch.setattr("trainer.run.dry_run.rows", lambda *args: [("replicas", str(args[1]))])
    with flagsaver.flagsaver():
        request = entry.prepare(["trainer", "--dry_run", f"--workdir={tmp_path}"], {})
        lines = entry._dry_run(request)
    assert lines[0].split() == ["replicas", "2"]
    assert not fake.in_use
    assert fake.growing, "TensorFlow would take the whole card"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "--xla_gpu_deterministic_ops=true"),
        ("--xla_dump_to=/d", "--xla_dump_to=/d --xla_gpu_deterministic_ops=true"),
        ("--xla_gpu_deterministic_ops=false", "--xla_gpu_deterministic_ops=false"),
        ("FILE", "--xla_dump_to=/f --xla_gpu_deterministic_ops=true"),
    ],
)
def test_the_users_flags_of_xla_stay(given, expected, tmp_path):
    file = tmp_path / "flags"
    file.write_text("--xla_dump_to=/f\n")
    environment = {"XLA_FLAGS": given.replace("FILE", str(file))}
    for _ in range(2):  # a process that is started by another has them already
        xla.fix_gpu_bits(environment)
        assert environment["XLA_FLAGS"] == expected


def test_float32_is_float32_and_xla_is_told_before_it_starts(monkeypatch):
    # TensorFlow's default is that newer cards round the factors of float32 products.
    asked = []
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", lambda _: None)
    monkeypatch.setattr(tf.config.optimizer, "set_experimental_options", lambda _: None)
    monkeypatch.setattr(tf.config.experimental, "enable_tensor_float_32_execution", asked.append)
    strategy.configure_runtime(TrainConfig(epochs=1, execution="xla_step"))
    assert asked == [False]
    monkeypatch.setenv("XLA_FLAGS", "")
    entry.main(["trainer", "--version"])
    assert os.environ["XLA_FLAGS"] == xla.DETERMINISTIC
