"""Code is part of the function, and kernels may be: what a run says and refuses of either."""

import json
import sys
import types
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.processes import trainer
from trainer import checkpoint, lineage, version
from trainer.cluster.placement import Placement
from trainer.commands import compare
from trainer.config import TrainConfig
from trainer.config.conversion import to_plain
from trainer.data.info import DatasetInfo, Split
from trainer.monitoring.goodput import Ledger
from trainer.monitoring.phases import Phases
from trainer.monitoring.watchdog import Watchdog
from trainer.plan import Plan
from trainer.report.run_files import RunFiles, read_run
from trainer.run.checkpoints import Checkpoints
from trainer.run.request import Request
from trainer.run.state import RunState

CONFIG = TrainConfig(train_steps=100)
INFO = DatasetInfo(CONFIG.dataset, "source", {}, Split("train", (), 0, 0), None)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a loaded module of the user's."""
    return loaded("mine.nets", tmp_path / "here" / "mine" / "nets.py", monkeypatch)


def loaded(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("width = 8\n")
    made = types.ModuleType(name)
    made.__file__ = str(path)
    monkeypatch.setitem(sys.modules, name, made)
    return path


def test_the_same_code_elsewhere_is_the_same(module, tmp_path, monkeypatch) -> None:
    files = lineage.Code().files()
    loaded("mine.nets", tmp_path / "pod" / "code" / "mine" / "nets.py", monkeypatch)
    assert "mine/nets.py" in files
    assert lineage.Code().changed(files) == []


def test_a_changed_file_is_named_and_an_installed_one_is_nobodys(module) -> None:
    files = lineage.Code().files()
    module.write_text("width = 9\n")
    assert lineage.Code().changed(files) == ["mine/nets.py"]
    assert not [name for name in files if name.startswith(("tensorflow/", "numpy/", "json/"))]


def test_a_run_goes_on_with_what_it_has_loaded(module) -> None:
    code = lineage.Code()
    files = code.files()
    module.write_text("width = 9\n")  # while it runs, for the next one
    assert code.files() == files


def test_what_is_loaded_late_is_compared_where_it_would_be_found(module, monkeypatch) -> None:
    files = lineage.Code().files()
    monkeypatch.delitem(sys.modules, "mine.nets")
    module.write_text("width = 9\n")
    assert lineage.Code().changed(files) == []  # nobody could load it from here
    monkeypatch.syspath_prepend(module.parents[1])
    assert lineage.Code().changed(files) == ["mine/nets.py"]


def test_the_trainer_is_code_as_well(monkeypatch) -> None:
    files = lineage.Code().files()
    assert {"trainer/engine/step.py", "trainer/models/mlp.py", "common/files.py"} <= files.keys()
    assert not [name for name in files if name.startswith("trainer/report/")]
    other = {**files, "trainer/models/mlp.py": "0"}
    assert lineage.Code().changed(other) == ["trainer/models/mlp.py"]
    assert lineage.Code().changed({**other, "trainer": "0.0.9"}) == [
        f"trainer 0.0.9 -> {version.VERSION}"
    ]


def restored(tmp_path: Path, *, accept: bool = False, **meta: dict[str, str]) -> RunState:
    """What a checkpoint of step 40 that was written by other code, or kernels, comes back as."""
    store = checkpoint.Store(tmp_path)
    made = {"code": lineage.Code().files(), "kernels": version.kernels(), **meta}
    progress = RunState(step=40, updated_step=40).to_plain()
    kept = checkpoint.Meta(40, to_plain(CONFIG), INFO.fingerprint(), progress, **made)
    store.save({}, kept, verified=True)
    plan = Plan(100, 1000, 32, 4, 10)
    request = Request(CONFIG, INFO, plan, Placement(), accept_code_change=accept)
    phases = Phases(Watchdog(10, 10), Ledger())
    session = types.SimpleNamespace(
        write_state=lambda _: None,
        task=types.SimpleNamespace(state=dict),
        rate_scale=types.SimpleNamespace(assign=lambda _: None),
    )
    return Checkpoints(request, checkpoint.Saver(store, phases.watchdog), phases).restore(session)


def test_other_code_is_refused_with_its_files(module, tmp_path) -> None:
    code = {**lineage.Code().files(), "mine/nets.py": "0"}
    with pytest.raises(RunError, match=r"changed since: mine/nets\.py.*--accept_code_") as raised:
        restored(tmp_path, code=code)
    assert raised.value.code is ExitCode.BAD_CONFIG


def test_accepted_code_leaves_a_mark_for_good(module, tmp_path, capsys) -> None:
    code = {**lineage.Code().files(), "mine/nets.py": "0"}
    state = restored(tmp_path, code=code, accept=True)
    mark = lineage.Change(40, "code", ("mine/nets.py",))
    assert state.changes == [mark]
    assert "code changed at step 40: mine/nets.py" in capsys.readouterr().err
    plain = json.loads(json.dumps(state.to_plain()))  # what the next checkpoint holds
    assert RunState.from_plain(plain).changes == [mark]


def test_other_kernels_go_on_and_are_said(tmp_path, capsys) -> None:
    kernels = {**version.kernels(), "cpu": "a 486"}
    state = restored(tmp_path, kernels=kernels)
    assert [str(change) for change in state.changes] == [
        f"kernels changed at step 40: cpu: a 486 -> {version.kind_of_cpu()}"
    ]
    assert str(state.changes[0]) in capsys.readouterr().err


def test_the_same_code_and_kernels_leave_no_mark(tmp_path, capsys) -> None:
    assert restored(tmp_path).changes == []
    assert "changed" not in capsys.readouterr().err


def test_an_older_checkpoint_goes_on_and_that_is_said_once(tmp_path, capsys) -> None:
    assert restored(tmp_path, code={}, kernels={}).changes == []
    assert capsys.readouterr().err.count("does not say by which code") == 1


def run_of(name: str, **files: str) -> RunFiles:
    code = {"files": {f"{n}.py": d for n, d in files.items()}}
    return RunFiles(name, {}, {"code": code, "kernels": {"cpu": name}}, {})


def test_compare_shows_the_files_and_facts_that_differ() -> None:
    rows = compare.lineages([run_of("one", a="1", b="2"), run_of("two", a="1", b="3")])
    assert rows == [("b.py", "2", "3"), ("cpu", "one", "two")]


EXPERIMENT = """
from trainer import PartConfig, TrainConfig
from late import rate  # a neighbour

def get_config():
    model = PartConfig("mlp", {"hidden": [8]})
    return TrainConfig(train_steps=6, model=model, checkpoint_every_steps=2, log_every_steps=2)
"""


def test_edited_code_then_the_same_command(tmp_path) -> None:
    """In processes, with the kernels of another processor."""
    (tmp_path / "mine.py").write_text(EXPERIMENT)
    (tmp_path / "late.py").write_text("rate = 0.1\n")
    run = tmp_path / "run"
    command = (f"--config={tmp_path / 'mine.py'}", f"--workdir={run}")
    stopped = trainer(*command, environment={"LOCKSTEP_FAILPOINT": "loop.boundary:term@2"})
    assert stopped.code == 143, stopped.stderr
    (tmp_path / "late.py").write_text("rate = 0.2\n")
    refused = trainer(*command)
    assert refused.code == 78
    assert "(changed since: late.py)" in refused.last_line
    accepted = trainer(*command, "--accept_code_change", environment={"TF_ENABLE_ONEDNN_OPTS": "0"})
    assert accepted.code == 0, accepted.stderr
    summary = read_run(run).summary
    assert summary["code"]["files"].keys() == {
        "late.py", "mine.py", f"trainer {version.VERSION}",
    }  # fmt: skip
    assert [change["what"] for change in summary["changes"]][:1] == ["code"]
    for text in (accepted.stderr, (run / "report.html").read_text()):
        assert "code changed at step 1: late.py" in text
