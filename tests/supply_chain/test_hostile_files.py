"""Files that run code in other programs are refused here, and what they carry does not run."""

import hashlib
import io
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

from launch.__main__ import main as launch
from trainer.__main__ import prepare
from trainer.checkpoint import folder as checkpoint
from trainer.exit_codes import ExitCode, RunError

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


def test_a_keras_file_with_code_is_refused(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "evil.keras"
    inputs = keras.Input((1,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save(path)
    for flag in _FLAGS:
        assert _refused(f"{flag}{path}", tmp_path / "run"), flag


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
    program = ROOT / "launch" / "programs" / "fetch_code.py"
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
