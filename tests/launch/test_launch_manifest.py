"""Rendering: pure, within PodSecurity restricted, faithful to hostile text, golden."""

import dataclasses
import json
import re
import time
from pathlib import Path

import pytest
from command_line import microbatches
from hypothesis import given, settings
from hypothesis import strategies as st

from launch.lint import lint
from launch.lint.schemas import check_schemas
from launch.render import examples, manifest
from launch.spec import documents, topologies
from launch.spec.accelerators import TABLE
from launch.spec.job import JobSpec

K8S = Path(__file__).parents[2] / "k8s"
BASE = JobSpec(
    name="run", args=("--config=digits", "--workdir=gs://BUCKET/run"), image="lockstep:0.1.0-cpu"
)


def change(**fields: object) -> JobSpec:
    return dataclasses.replace(BASE, **fields)


def kinds(spec: JobSpec) -> list[str]:
    return [document["kind"] for document in manifest.render(spec)]


def pod_of(spec: JobSpec) -> dict:
    return manifest.render(spec)[-1]["spec"]["template"]["spec"]


def expand(text: str, variables: dict[str, str]) -> str:
    """The kubelet's expansion of $(NAME), by its documented rules."""
    return re.sub(
        r"\$(\$|\(([^()]*)\))?",
        lambda m: "$" if m[1] in (None, "$") else variables.get(m[2], m[0]),
        text,
    )


def every_row() -> list[JobSpec]:
    slices = [
        change(accelerator=row.name, topology=found.topology, image="lockstep:0.1.0-tpu")
        for row in TABLE.values()
        for found in topologies.slices(row)
        if row.tensorflow
    ]
    hosts = [
        change(
            accelerator=row.name,
            devices_per_worker=count,
            workers=workers,
            image=f"lockstep:0.1.0-{row.kind}",
        )
        for row in TABLE.values()
        if row.kind != "tpu"
        for count in row.counts
        for workers in (1, 4)
    ]
    return [*slices, *hosts]


@pytest.mark.parametrize("path", sorted(examples.files()))
def test_the_files_under_k8s_are_what_the_code_renders(path):
    assert (K8S / path).read_text() == examples.files()[path], "run `make manifests`"


@pytest.mark.parametrize("path", sorted(K8S.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_every_file_passes_schemas_and_linter(path):
    if path.stem == "kustomization":
        return
    parsed = documents.load(path.read_text())
    assert parsed
    assert lint(parsed) == []
    assert list(check_schemas(parsed)) == []


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_the_hardware_of_every_example_can_share_out_its_microbatches(name):
    spec = examples.EXAMPLES[name]
    assert microbatches(spec) % spec.replicas == 0, "the trainer would end with 78"


def test_every_row_of_the_table_renders_without_a_fault():
    specs = every_row()
    assert {spec.accelerator for spec in specs} == {row.name for row in TABLE.values()} - {"v7"}
    for spec in specs:
        assert lint(manifest.render(spec)) == [], spec


def test_a_thousand_jobs_are_rendered_and_linted_in_seconds():
    # Processor time: on an idle machine it is the time that passes, and a busy one adds nothing.
    start = time.process_time()
    for index in range(1000):
        assert lint(manifest.render(change(name=f"run-{index}", workers=4))) == []
    assert time.process_time() - start < 5


def test_workers_find_each_other_by_the_names_the_cluster_gives_them():
    spec = change(workers=3)
    job = manifest.render(spec)[-1]
    env = {v["name"]: v.get("value") for v in pod_of(spec)["containers"][0]["env"]}
    for index in range(3):
        described = json.loads(expand(env["TF_CONFIG"], {"JOB_COMPLETION_INDEX": str(index)}))
        assert described["task"] == {"type": "worker", "index": index}
        assert described["cluster"]["worker"] == [f"run-{i}.run:2222" for i in range(3)]
    assert pod_of(spec)["subdomain"] == "run"
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)
    assert job["spec"]["backoffLimit"] == 3 * 3


def test_the_index_is_defined_before_it_is_used():
    names = [v["name"] for v in pod_of(change(workers=2))["containers"][0]["env"]]
    assert names.index("JOB_COMPLETION_INDEX") < names.index("TF_CONFIG")


def test_one_worker_is_a_plain_job_without_cluster_description():
    assert kinds(BASE) == ["NetworkPolicy", "Job"]
    assert "TF_CONFIG" not in json.dumps(manifest.render(BASE))


def test_several_workers_get_a_headless_service():
    assert kinds(change(workers=2)) == ["NetworkPolicy", "Service", "Job"]


def test_a_multi_host_slice_is_driven_by_a_coordinator():
    spec = change(accelerator="v5e", topology="4x4", image="lockstep:0.1.0-tpu")
    jobset = manifest.render(spec)[-1]
    host, coordinator = jobset["spec"]["replicatedJobs"]
    assert host["template"]["spec"]["completions"] == 4
    args = coordinator["template"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[-2] == "--strategy=tpu"
    assert args[-1].count("grpc://run-host-0-") == 4
    assert jobset["spec"]["successPolicy"]["targetReplicatedJobs"] == ["coordinator"]


SLICE = {"accelerator": "v5e", "topology": "4x4", "image": "lockstep:0.1.0-tpu"}


@pytest.mark.parametrize("fields", [{"workers": 3, "jobset": True}, {"queue": "q", **SLICE}])
def test_a_trainjob_runs_the_jobset_that_would_be_sent_without_it(fields):
    *others, jobset = manifest.render(change(**fields))
    *same, runtime, trainjob = manifest.render(change(**fields, trainjob=True))
    assert same == others
    # A JobSet that was removed would be made again, and train again.
    del jobset["spec"]["ttlSecondsAfterFinished"]
    assert runtime["spec"]["template"]["spec"] == jobset["spec"]
    assert runtime["spec"]["template"]["metadata"]["labels"] == runtime_labels(runtime)
    assert trainjob["metadata"] == jobset["metadata"]
    reference = {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": "run"}
    assert trainjob["spec"] == {"runtimeRef": reference}
    assert runtime["metadata"]["name"] == trainjob["metadata"]["name"] == "run"


def runtime_labels(runtime: dict) -> dict:
    """Those of every object of the job: by them its JobSet is found again."""
    labels = runtime["metadata"]["labels"]
    return {key: value for key, value in labels.items() if key.startswith("app.")}


def test_rendering_is_pure():
    spec = change(workers=2, env=(("A", "1"),))
    first = manifest.render(spec)
    first[-1]["spec"].clear()
    assert manifest.render(spec) == manifest.render(spec) != first


def test_gpus_get_memory_backed_shared_memory():
    spec = change(accelerator="h100", devices_per_worker=8, image="lockstep:0.1.0-gpu")
    volumes = {volume["name"]: volume for volume in pod_of(spec)["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Gi"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "/usr/local/nvidia/lib64"),
        ({"env": (("LD_LIBRARY_PATH", "/mine"),)}, "/mine"),
        ({"platform": "plain"}, None),
        ({"accelerator": "cpu", "devices_per_worker": 0, "image": BASE.image}, None),
    ],
)
def test_a_gpu_pod_on_gke_finds_the_driver_that_gke_mounts(fields, path):
    gpu = {"accelerator": "l4", "devices_per_worker": 1, "image": "lockstep:0.1.0-gpu"}
    variables = pod_of(change(**{**gpu, **fields}))["containers"][0]["env"]
    values = [one["value"] for one in variables if one["name"] == "LD_LIBRARY_PATH"]
    assert values == ([path] if path else [])


@pytest.mark.parametrize(
    ("accelerator", "args", "warned"),
    [
        ("b200", ("--config.execution=xla_step",), True),
        ("b200", ("--config.execution=xla_loop",), True),
        ("b200", (), False),
        ("b200", ("--config.execution=xla_step", "--config.execution=graph"), False),
        ("h200", ("--config.execution=xla_step",), False),
    ],
)
def test_compiled_execution_on_a_card_that_xla_does_not_know_is_warned_of(
    accelerator, args, warned
):
    gpu = {"accelerator": accelerator, "devices_per_worker": 8, "image": "lockstep:0.1.0-gpu"}
    spec = change(**gpu, args=(*BASE.args, *args))
    assert ("XLA" in manifest.remark(spec)) == warned
    assert manifest.text(spec).startswith("# Warning") == warned
    swept = change(**gpu, trials=((*BASE.args, *args), BASE.args))
    assert ("XLA" in manifest.remark(swept)) == warned


def round_trip(spec: JobSpec) -> dict:
    """The trainer's container after the YAML was written and read again."""
    rendered = manifest.render(spec)
    parsed = documents.load(documents.dump(rendered))
    assert parsed == rendered
    return parsed[-1]["spec"]["template"]["spec"]["containers"][0]


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60),
    name=st.from_regex(r"[A-Z][A-Z_]{0,10}X", fullmatch=True),
)
def test_hostile_text_comes_out_as_it_went_in(text, name):
    container = round_trip(change(args=(*BASE.args, text, f"--note={text}"), env=((name, text),)))
    assert [expand(arg, {}) for arg in container["args"][-2:]] == [text, f"--note={text}"]
    assert {v["name"]: expand(v.get("value", ""), {}) for v in container["env"]}[name] == text


TRAPS = ["yes", "1e3", "null", "~", "0x10", "12:30", "- a", "a: b", "#", "{}", "'\"", "\u2028"]
TRAPS += [
    "!!python/object:os.system",
    "$(HOME)",
    "$$",
    "$",
    "a\n---\nb",
    "\x85",
    "\ufeff",
    "\x1b[0m",
    " a",
    "a ",
    "\ta\n",
]


@pytest.mark.parametrize("text", TRAPS)
def test_text_that_yaml_or_the_kubelet_would_read_as_something_else(text):
    container = round_trip(change(args=(*BASE.args, text)))
    assert expand(container["args"][-1], {"HOME": "/root"}) == text
