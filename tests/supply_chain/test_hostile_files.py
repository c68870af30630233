"""Files that run code in other programs are refused here, and what they carry does not run."""

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from absl.testing import flagsaver
from PIL import EpsImagePlugin, Image

from common.exit_codes import ExitCode, RunError
from launch.cli.main import main as launch
from trainer.__main__ import prepare
from trainer.checkpoint import folder as checkpoint
from trainer.commands import predict_input
from trainer.config import DatasetConfig
from trainer.config.conversion import to_plain
from trainer.configs import digits
from trainer.data.info import Feature
from trainer.run import parents

ROOT = Path(__file__).parents[2]
_FLAGS = ("--config=", "--config.model.name=", "--config.dataset.name=")


class _Payload:
    """Pickled, it makes a file where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def _object_array(mark: Path) -> np.ndarray:
    array = np.empty(1, dtype=object)
    array[0] = _Payload(mark)
    return array


def _zip(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _tar(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _hostile(kind: str, mark: Path) -> bytes:
    pickled = pickle.dumps(_Payload(mark))
    if kind in {"tar", "zip"}:
        return {"tar": _tar, "zip": _zip}[kind]({f"../{mark.name}": pickled, str(mark): pickled})
    if kind == "yaml":
        return f'!!python/object/apply:os.mkdir ["{mark}"]\n'.encode()
    if kind == "keras":
        return _zip({"config.json": b'{"class_name": "Lambda"}', "model.weights.h5": pickled})
    if kind == "npy":
        buffer = io.BytesIO()
        np.save(buffer, _object_array(mark), allow_pickle=True)
        return buffer.getvalue()
    return pickled


def test_the_payload_would_run(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(_Payload(tmp_path / "mark")))  # noqa: S301 - our own bytes
    assert (tmp_path / "mark").exists()


def _refused(argument: str, workdir: Path) -> bool:
    """Whether a run is refused for its config, model or data."""
    with flagsaver.flagsaver(), pytest.raises(RunError) as error:
        prepare(["trainer", f"--workdir={workdir}", argument], {})
    return error.value.code in {ExitCode.BAD_CONFIG, ExitCode.BAD_DATA}


@pytest.mark.parametrize("kind", ["pkl", "h5", "keras", "npy", "yaml", "pb", "tar", "zip"])
@pytest.mark.parametrize("flag", _FLAGS)
def test_a_hostile_config_model_or_dataset_is_refused(flag: str, kind: str, tmp_path: Path) -> None:
    mark, folder = tmp_path / "mark", tmp_path / "data"
    folder.mkdir()
    path = folder / f"evil.{kind}"
    path.write_bytes(_hostile(kind, mark))
    assert _refused(f"{flag}{path}", tmp_path / "run")
    assert not mark.exists()
    assert list(folder.iterdir()) == [path]


def _saved_model(folder: Path, mark: Path) -> None:
    import tensorflow as tf

    class Evil(tf.Module):
        @tf.function(input_signature=[])
        def __call__(self) -> tf.Tensor:
            with tf.control_dependencies([tf.io.write_file(str(mark), "was here")]):
                return tf.constant(1)

    tf.saved_model.save(Evil(), str(folder))


def test_a_saved_model_that_writes_files_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    mark, folder = tmp_path / "mark", tmp_path / "model"
    _saved_model(folder, mark)
    for flag in _FLAGS:
        assert _refused(f"{flag}{folder}", tmp_path / "run"), flag
    assert not mark.exists()
    tf.saved_model.load(str(folder))()
    assert mark.exists(), "the payload would not have run anyway"


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_a_keras_file_with_code_is_refused(kind: str, tmp_path: Path) -> None:
    import keras

    mark, path = tmp_path / "mark", tmp_path / f"evil.{kind}"
    name, inputs = str(mark), keras.Input((1,))
    code = keras.layers.Lambda(lambda x: (__import__("os").makedirs(name, exist_ok=True), x)[1])
    keras.Model(inputs, code(inputs)).save(path)
    mark.rmdir()
    for flag in _FLAGS:
        assert _refused(f"{flag}{path}", tmp_path / "run"), flag
    if kind == "keras":
        with pytest.raises(RunError, match="cannot be read"):
            parents.of_file(path, str(path), {})
    assert not mark.exists()
    keras.saving.load_model(path, safe_mode=False)
    assert mark.exists(), "the payload would not have run anyway"


def _run_of_others(folder: Path, dataset: dict[str, object]) -> Path:
    """A workdir with a whole checkpoint and a config.json that names a function."""
    plain = to_plain(digits.get_config())
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**plain, "dataset": dataset}))
    checkpoint.write(folder / "checkpoints", {"w": np.zeros(1)}, checkpoint.Meta(1))
    return folder


@pytest.mark.parametrize("vouched", [False, True], ids=["nobody", "another experiment"])
def test_a_run_of_others_does_not_choose_what_is_run(vouched: bool, tmp_path: Path) -> None:
    from trainer.commands.restored import restore_task

    mark = tmp_path / "mark"
    run = _run_of_others(tmp_path / "run", {"name": "os:mkdir", "args": {"path": str(mark)}})
    own = tmp_path / "experiment_of_hostile_files.py"
    own.write_text("from trainer.configs.digits import get_config\n")
    with pytest.raises(RunError, match=r"config\.dataset\.name='os:mkdir'.*vouches"):
        restore_task(str(run), str(own) if vouched else "")
    assert not mark.exists()


def test_the_named_experiment_vouches_for_its_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.commands.restored import restore_task, strategy

    # Tests before this one have used TensorFlow, with threads of their own.
    monkeypatch.setattr(strategy, "configure_runtime", lambda *_, **__: None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    run = _run_of_others(tmp_path / "run", {"name": "trusted_by_hostile_files:data"})
    own = tmp_path / "trusted_by_hostile_files.py"
    own.write_text(
        "from trainer.configs.digits import get_config\n"
        "def data(): raise KeyError('this code ran')\n"
    )
    with pytest.raises(KeyError, match="this code ran"):
        restore_task(str(run), str(own))


def test_a_picture_is_not_handed_to_other_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, images, programs = tmp_path / "mark", tmp_path / "images", tmp_path / "programs"
    images.mkdir()
    programs.mkdir()
    (images / "evil.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    )
    ghostscript = programs / "gs"
    ghostscript.write_text(f"#!/bin/sh\nmkdir -p '{mark}'\nexit 1\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    image = Feature((8, 8, 1), "uint8")
    with pytest.raises(RunError, match=r"evil\.png is no image"):
        predict_input.of_data(DatasetConfig(), {"image": image}, str(images))
    assert not mark.exists()
    with Image.open(images / "evil.png") as picture, pytest.raises(subprocess.CalledProcessError):
        picture.load()
    assert mark.exists(), "the payload would not have run anyway"


def test_names_in_a_checkpoint_lead_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "step_000000001"
    folder.mkdir(parents=True)
    weights = io.BytesIO()
    np.save(weights, np.zeros(1))
    names = ["../outside.npy", f"{tmp_path}/outside.npy"]
    (folder / "state.npz").write_bytes(_zip(dict.fromkeys(names, weights.getvalue())))
    (folder / "meta.json").write_text('{"step": 1}')
    before = sorted(tmp_path.rglob("*"))
    state, _ = checkpoint.read(folder)
    assert len(state) == len(names)
    assert checkpoint.damage(folder), "nobody committed it"
    assert sorted(tmp_path.rglob("*")) == before


def test_objects_in_a_checkpoint_are_not_made(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    np.savez(tmp_path / "state.npz", weights=_object_array(mark))
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(ValueError, match="allow_pickle"):
        checkpoint.read(tmp_path)
    assert not mark.exists()


def test_objects_in_a_sweep_file_are_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"
    path = tmp_path / "sweep.yaml"
    path.write_text(f'list:\n- !!python/object/apply:os.mkdir ["{mark}"]\n')
    arguments = ["submit", "--dry_run=client", f"--sweep={path}", "--state_dir", str(tmp_path)]
    assert launch([*arguments, "--", "--config=digits", f"--workdir={tmp_path}"]) == 64
    assert "sweep" in capsys.readouterr().err
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/tmp/lockstep-outside"])
def test_code_that_leaves_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    archive = _zip({"inside.py": b"x = 1\n", name: b"x = 2\n"})
    (tmp_path / "code.zip").write_bytes(archive)
    (tmp_path / "target").mkdir()
    program = ROOT / "launch" / "code" / "programs" / "fetch_code.py"
    url, digest = (tmp_path / "code.zip").as_uri(), hashlib.sha256(archive).hexdigest()
    done = subprocess.run(
        [sys.executable, program, url, digest, tmp_path / "target"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "leaves the target folder" in done.stderr
    assert not (tmp_path / "outside").exists()
    assert not Path("/tmp/lockstep-outside").exists()
