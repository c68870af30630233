"""Every flag of a job changes the one field of the JobSpec that it is for, and nothing else."""

import dataclasses

import pytest
from absl import flags as absl_flags

from launch import flags
from launch.spec import JobSpec, Mount, SecretVariable
from launch.spec_from_flags import spec_from

TRAINER = ("--config=digits", "--workdir=gs://BUCKET/run")
COMMAND = ("python", "-m", "trainer")

# Flag -> its text, the field, and the field's value.
ASKED = {
    "name": ("mine", "name", "mine"),
    "image": ("lockstep:1", "image", "lockstep:1"),
    "accelerator": ("h100", "accelerator", "h100"),
    "topology": ("4x4", "topology", "4x4"),
    "workers": ("3", "workers", 3),
    "devices_per_worker": ("2", "devices_per_worker", 2),
    "cpus": ("5", "cpus", 5),
    "memory_gib": ("7", "memory_gib", 7),
    "scratch_gib": ("9", "scratch_gib", 9),
    "platform": ("plain", "platform", "plain"),
    "namespace": ("team", "namespace", "team"),
    "service_account": ("mine", "service_account", "mine"),
    "workload_identity": ("me@project", "workload_identity", "me@project"),
    "env": ("A=b=c", "env", (("A", "b=c"),)),
    "secret_env": ("A=safe/key", "secret_env", (SecretVariable("A", "safe", "key"),)),
    "mount_pvc": ("claim:/data", "mounts", (Mount("pvc", "claim", "/data"),)),
    "mount_gcs": ("bucket:/data", "mounts", (Mount("gcs", "bucket", "/data"),)),
    "node_selector": ("pool=big", "node_selector", (("pool", "big"),)),
    "spot": ("true", "spot", True),
    "queue": ("team", "queue", "team"),
    "priority_class": ("high", "priority_class", "high"),
    "max_restarts": ("8", "max_restarts", 8),
    "deadline_hours": ("5", "deadline_hours", 5),
    "grace_secs": ("90", "grace_secs", 90),
    "ttl_hours": ("2", "ttl_hours", 2),
    "jobset": ("true", "jobset", True),
    "pod_monitor": ("9090", "pod_monitor", 9090),
    "privileged": ("rdma", "privileged", "rdma"),
    "parallel_trials": ("2", "parallel_trials", 2),
}
FILES = {"code": "code", "sweep": "trials"}  # flags that name a file, and their field
NOT_FLAGS = {"args", "command"}  # what stands after `--`, and the program
NO_FIELDS = {"profile", "profiles"}  # they fill other flags: test_launch_profiles.py


def changes(*argv: str, given: tuple[str, ...] = TRAINER) -> dict[str, object]:
    """Return the fields that are not as without the flags, but for a random name."""
    specs = []
    for words in ((), argv):
        values = absl_flags.FlagValues()
        flags.define_job(values)
        values(["launch", "--name=job", *words])
        specs.append(spec_from(values, given, COMMAND))
    before, after = (
        {f.name: getattr(spec, f.name) for f in dataclasses.fields(JobSpec)} for spec in specs
    )
    return {name: after[name] for name in after if after[name] != before[name]}


@pytest.mark.parametrize("flag", ASKED)
def test_a_flag_sets_its_field(flag):
    text, field, value = ASKED[flag]
    assert changes(f"--{flag}={text}") == {field: value}


def test_the_users_own_code_travels_and_is_the_config(tmp_path):
    (tmp_path / "mine.py").write_text("one = 1\n")
    changed = changes(f"--code={tmp_path / 'mine.py'}")
    assert changed["code"].files == (("mine.py", b"one = 1\n"),)


def test_a_sweep_gives_the_trials(tmp_path):
    (tmp_path / "sweep.yaml").write_text("grid: {seed: [3, 4]}\n")
    changed = changes(f"--sweep={tmp_path / 'sweep.yaml'}")
    assert [trial[0] for trial in changed["trials"]] == ["--config.seed=3", "--config.seed=4"]


def test_every_flag_of_a_job_and_every_field_is_asked_for():
    values = absl_flags.FlagValues()
    flags.define_job(values)
    assert {*ASKED, *FILES, *NO_FIELDS} == set(values) - {"help"}
    fields = {field for _, field, _ in ASKED.values()} | set(FILES.values()) | NOT_FLAGS
    assert fields == {field.name for field in dataclasses.fields(JobSpec)}
