"""Sweeps: a file of trials, one line of results a trial."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import RENDER, TRAINER, container, rendered
from fake_cluster import JOBS, ended, pod, put, spec

from common.exit_codes import RunError
from launch.spec import sweep


def trials(tmp_path: Path, text: str) -> tuple[tuple[str, ...], ...]:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return sweep.load(path, "gs://BUCKET/s")[0]


def test_a_grid_is_every_combination(tmp_path):
    found = trials(tmp_path, "grid:\n  optimizer.name: [adam, sgd]\n  seed: [1, 2, 3]\n")
    assert len(found) == 6
    assert found[1] == (
        "--config.optimizer.name=adam",
        "--config.seed=2",
        "--workdir=gs://BUCKET/s/trial-1",
    )
    assert len({trial[-1] for trial in found}) == 6


def test_the_last_field_of_a_grid_changes_first_and_values_are_written_as_json(tmp_path):
    found = trials(tmp_path, "grid:\n  a: [1, 2.5]\n  b: [true, null, [1, x], 1e-3]\n")
    values = ["true", "null", '[1, "x"]', "1e-3"]
    assert [trial[:2] for trial in found] == [
        (f"--config.a={a}", f"--config.b={b}") for a in ("1", "2.5") for b in values
    ]


def test_each_trial_has_a_folder_of_its_own_below_the_workdir(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text("list: [{}, {}]")
    for workdir in ("gs://BUCKET/s", "gs://BUCKET/s/"):
        folders = [trial[-1] for trial in sweep.load(path, workdir)[0]]
        assert folders == [f"--workdir=gs://BUCKET/s/trial-{i}" for i in range(2)]


def test_trials_travel_as_one_argument_of_a_process_with_room_around_it(tmp_path):
    # Linux gives 128 KiB to one argument.
    around = len(json.dumps(trials(tmp_path, "list: [{a: x}]"))) - 1
    assert trials(tmp_path, f"list: [{{a: {'x' * (120_000 - around)}}}]")
    with pytest.raises(RunError, match="1 trials are too many; split the file"):
        trials(tmp_path, f"list: [{{a: {'x' * (120_001 - around)}}}]")


def test_a_list_is_taken_as_it_is(tmp_path):
    found = trials(tmp_path, "list:\n- {seed: 1}\n- {seed: 2, flag: true, name: 'a b'}\n")
    assert found[1][:-1] == ("--config.seed=2", "--config.flag=true", "--config.name=a b")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gird: {}", "did you mean 'grid'"),
        ("grid: {}\nlist: []", "exactly one of the keys"),
        ("grid: {a: 1}", "needs a list"),
        ("grid: {a: []}", "needs a list"),
        ("list: []", "no trials"),
        ("list: [1]", "no trials"),
        ("[", "is not YAML"),
        ("grid: {day: [2026-01-02]}", "day=2026-01-02 is no text.*put it in quotes"),
        ("grid: {day: [2026-13-01]}", "is not YAML: month must be"),
        ("list: [{a: &x [*x]}]", "Circular"),
        (f"list: {'[' * 3000}", "is not YAML"),
        ("grid: {a: [!!python/object:os.system x]}", "is not YAML"),
        (f"grid: {{a: {list(range(6000))}}}", "too many"),
        (f"grid: {{{', '.join(f'f{i}: {list(range(20))}' for i in range(12))}}}", "too many"),
    ],
)
def test_a_wrong_sweep_is_refused(tmp_path, text, shown):
    with pytest.raises(RunError, match=shown):
        trials(tmp_path, text)


def test_a_pod_of_a_sweep_runs_the_trial_of_its_index(tmp_path, capsys):
    (tmp_path / "sweep.yaml").write_text("grid: {seed: [7, 8]}")
    parsed = rendered(capsys, *RENDER, f"--sweep={tmp_path / 'sweep.yaml'}", *TRAINER)
    assert parsed[-1]["spec"]["completions"] == 2
    found = container(parsed)
    program = found["command"][2].replace("$$", "$")
    table, *_ = found["args"]
    show = [sys.executable, "-c", "import sys; print(sys.argv[1:])"]
    done = subprocess.run(
        [sys.executable, "-c", program, table, *show],
        env={"JOB_COMPLETION_INDEX": "1", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['--config.seed=8', '--workdir=gs://BUCKET/run/trial-1']"


def test_a_failed_sweep_names_a_trial_that_failed_for_good(cluster_backend, api):
    cluster_backend.submit(dataclasses.replace(spec("sweep"), trials=(("--workdir=a",),) * 2))
    api.objects[f"{JOBS}/sweep"]["status"] = {"completedIndexes": "0", "failedIndexes": "1"}
    retried = [pod(0, "Failed", k, terminated=ended(200, second=k)) for k in range(2)]
    for one in (*retried, pod(1, "Failed", terminated=ended(78))):
        one["metadata"]["labels"]["app.kubernetes.io/instance"] = "sweep"
        put(api, one)
    failure = cluster_backend.status("sweep").first_failure
    assert (failure.worker, failure.exit_code) == ("worker 1", 78)
