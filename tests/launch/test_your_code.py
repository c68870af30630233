"""The user's own files travel with the job."""

import dataclasses
import hashlib
import io
import json
import random
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from command_line import RENDER, TRAINER, container, refused, rendered
from fake_cluster import JOBS

from common.exit_codes import RunError
from launch.cli.main import main
from launch.cli.views import check_paths
from launch.code import programs, upload
from launch.spec import documents
from launch.spec.job import CodeBundle, JobSpec
from launch.spec.labels import CODE_DIR
from tests.storage.emulator import running_emulator


def folder(tmp_path: Path) -> Path:
    root = tmp_path / "mine"
    (root / "sub").mkdir(parents=True)
    (root / "experiment.py").write_text("print('config')\n")
    (root / "sub" / "data.bin").write_bytes(b"\xff\x00")
    (root / ".git").mkdir()
    (root / ".git" / "secret").write_text("canary")
    return root


def test_your_files_travel_in_a_config_map_and_the_config_finds_them(capsys, tmp_path):
    root = folder(tmp_path)
    config = f"--config={root / 'experiment.py'}"
    parsed = rendered(capsys, *RENDER, f"--code={root}", "--", config, "--workdir=gs://BUCKET/run")
    [config_map] = [one for one in parsed if one["kind"] == "ConfigMap"]
    assert config_map["data"] == {"file-0": "print('config')\n"}
    assert list(config_map["binaryData"]) == ["file-1"]
    assert "canary" not in json.dumps(parsed)
    assert container(parsed)["args"][-1] == f"--config={CODE_DIR}/experiment.py"
    digest = parsed[-1]["metadata"]["labels"]["lockstep/code-digest"]
    (root / "experiment.py").write_text("print('changed')\n")
    changed = rendered(capsys, *RENDER, f"--code={root}", "--", config, "--workdir=gs://BUCKET/run")
    assert changed[-1]["metadata"]["labels"]["lockstep/code-digest"] != digest


def test_only_what_is_in_the_folder_travels_and_nothing_hidden(tmp_path):
    tmp_path = tmp_path / ".work" / "venv"  # names above the folder hide nothing in it
    root = folder(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.py").write_text("canary")
    (tmp_path / "mine2").mkdir()
    (tmp_path / "mine2" / "secret.py").write_text("canary")  # a name that begins like the folder's
    for place in (
        ".env",
        ".cache/a.py",
        "sub/.hidden/deep/a.py",
        "sub/__pycache__/a.pyc",
        "venv/a.py",
        "node_modules/a.js",
    ):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text("canary")
    (root / "sub" / "deep").mkdir()
    (root / "sub" / "deep" / "b.py").write_text("deep")
    (root / "venv.py").write_text("a file whose name only begins so")
    (root / "out.py").symlink_to(tmp_path / "elsewhere" / "secret.py")
    (root / "beside.py").symlink_to(tmp_path / "mine2" / "secret.py")
    (root / "outside").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "gone.py").symlink_to(root / "nothing")
    (root / "inside.py").symlink_to(root / "sub" / "deep" / "b.py")
    bundle, _ = upload.collect(str(root), ())
    assert dict(bundle.files) == {
        "experiment.py": b"print('config')\n",
        "inside.py": b"deep",
        "sub/data.bin": b"\xff\x00",
        "sub/deep/b.py": b"deep",
        "venv.py": b"a file whose name only begins so",
    }


def test_the_digest_tells_names_contents_and_where_files_end(tmp_path):
    def digest(**files: str) -> str:
        root = Path(tempfile.mkdtemp(dir=tmp_path))
        for name, content in files.items():
            (root / name).write_text(content)
        return upload.collect(str(root), ())[0].digest

    digests = [
        digest(a="x", b="y"),
        digest(a="y", b="x"),
        digest(a="x", c="y"),
        digest(a="xb", b="y"),
        digest(a="xy"),
        digest(a="x"),
        digest(ab="x"),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(b="y", a="x") == digests[0]


@pytest.mark.parametrize(("size", "fits"), [(524_000, True), (526_000, False)])
def test_files_fit_into_a_config_map_by_their_size_in_base64(size, fits):
    files = (("a.bin", bytes(size // 2)), ("b.bin", bytes(size - size // 2)))
    assert upload._fits_config_map(CodeBundle("ab" * 32, files)) == fits


def test_one_file_travels_alone(capsys, tmp_path):
    config = folder(tmp_path) / "experiment.py"
    argv = [*RENDER, f"--code={config}", "--", f"--config={config}", "--workdir=gs://BUCKET/run"]
    parsed = rendered(capsys, *argv)
    [config_map] = [one for one in parsed if one["kind"] == "ConfigMap"]
    assert (config_map["data"], "binaryData" in config_map) == (
        {"file-0": "print('config')\n"},
        False,
    )
    assert container(parsed)["args"][-1] == f"--config={CODE_DIR}/experiment.py"


@pytest.mark.parametrize("code", [[], ["--code=mine/sub"]], ids=["no code", "other code"])
def test_a_config_that_would_stay_behind_is_refused(capsys, tmp_path, monkeypatch, code):
    folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    trainer = ["--", "--config=mine/experiment.py", "--workdir=gs://BUCKET/run"]
    assert "is not in the image" in refused(capsys, *RENDER, *code, *trainer)[1]


def test_a_folder_called_trainer_is_not_that_of_the_image(capsys, tmp_path, monkeypatch):
    config = ["--", "--config=trainer/configs/digits.py", "--workdir=gs://BUCKET/run"]
    monkeypatch.chdir(Path(__file__).parents[2])
    assert main([*RENDER, *config]) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    Path("trainer/configs").mkdir(parents=True)
    Path("trainer/configs/digits.py").write_text("")
    assert "is not in the image" in refused(capsys, *RENDER, *config)[1]


def test_large_files_travel_through_the_bucket(capsys, tmp_path):
    root = folder(tmp_path)
    (root / "big.txt").write_bytes(b"x" * 800_000)
    assert main([*RENDER, f"--code={root}", *TRAINER]) == 0
    shown = capsys.readouterr()
    parsed = documents.load(shown.out)
    [fetch] = parsed[-1]["spec"]["template"]["spec"]["initContainers"]
    assert fetch["args"][0].startswith("gs://BUCKET/run/code/")
    assert fetch["args"][0] in shown.err, "nobody is told that only `submit` puts it there"
    assert fetch["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert [one["kind"] for one in parsed] == ["NetworkPolicy", "Job"]


@pytest.mark.parametrize("workdir", ["gs://BUCKET/run", "gs://BUCKET/run/"])
def test_the_zip_is_called_by_its_digest_below_the_workdir(workdir):
    files = (("a.bin", random.Random(0).randbytes(800_000)),)
    job = JobSpec("run", args=(f"--workdir={workdir}",), code=CodeBundle("ab" * 32, files))
    planned = upload.plan(job).code
    digest = hashlib.sha256(upload.archive(job.code)).hexdigest()
    assert planned == CodeBundle(digest, files, f"gs://BUCKET/run/code/{digest}.zip")
    small = dataclasses.replace(job, code=CodeBundle("ab" * 32, (("a", b"x"),)))
    assert upload.plan(small) == small


def test_files_too_large_for_a_config_map_need_a_bucket():
    code = CodeBundle("ab" * 32, (("a.bin", bytes(800_000)),))
    with pytest.raises(RunError, match="is no bucket to upload it to"):
        upload.plan(JobSpec("run", args=("--workdir=/data/run",), code=code))


def test_the_same_files_make_the_same_zip():
    code = CodeBundle("", (("a/b.py", b"x = 1\n"), ("c.bin", b"\xff")))
    data = upload.archive(code)
    assert data == upload.archive(code)
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert {name: found.read(name) for name in found.namelist()} == dict(code.files)


def test_the_fetched_zip_is_checked_and_stays_in_its_folder(tmp_path):
    def fetch(data: bytes, digest: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "code.zip").write_bytes(data)
        command = [sys.executable, "-c", programs.source("fetch_code")]
        arguments = [f"file://{tmp_path}/code.zip", digest, str(tmp_path / "out")]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    bundle, _ = upload.collect(str(folder(tmp_path)), [])
    data = upload.archive(bundle)
    assert fetch(data, hashlib.sha256(data).hexdigest()).returncode == 0
    assert (tmp_path / "out" / "sub" / "data.bin").read_bytes() == b"\xff\x00"
    assert "changed after the job was submitted" in fetch(data + b"x", "0" * 64).stderr
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as evil:
        evil.writestr("../escaped", "x")
    evil_data = buffer.getvalue()
    assert "leaves the target" in fetch(evil_data, hashlib.sha256(evil_data).hexdigest()).stderr
    assert not (tmp_path / "escaped").exists()


def test_a_config_outside_the_folder_is_refused(tmp_path):
    other = tmp_path / "other.py"
    other.write_text("")
    with pytest.raises(RunError, match="is not in the image"):
        upload.collect(str(folder(tmp_path)), [f"--config={other}"])


def test_local_workers_import_the_copy_that_was_submitted(backend, job, tmp_path, lines):
    root = folder(tmp_path)
    (root / "mymodule.py").write_text("VALUE = 'submitted'\n")
    bundle, _ = upload.collect(str(root), [])
    program = "import mymodule, time; print(mymodule.VALUE)"
    spec = dataclasses.replace(job("copy"), command=(sys.executable, "-c", program), code=bundle)
    backend.submit(spec)
    (root / "mymodule.py").write_text("VALUE = 'edited later'\n")
    backend.follow("copy", lines.append)
    assert "[worker 0] submitted" in lines


def test_large_code_is_put_into_the_bucket_and_fetched_from_it(
    cluster_backend, api, tmp_path, capfd
):
    root = folder(tmp_path)
    (root / "big.bin").write_bytes(random.Random(0).randbytes(900_000))
    bundle, args = upload.collect(
        str(root), [f"--config={root / 'experiment.py'}", "--workdir=gs://runs/mine"]
    )
    job = JobSpec("mine", args=args, image="lockstep:0.1.0-cpu", code=bundle)
    with running_emulator("runs") as emulator:
        cluster_backend.submit(job)
        stored = api.objects[f"{JOBS}/mine"]
        [fetch] = stored["spec"]["template"]["spec"]["initContainers"]
        url, digest, _ = fetch["args"]
        assert [f"gs://runs/{name}" for name in emulator.names("runs")] == [url]
        program = [sys.executable, "-c", programs.source("fetch_code"), url, digest]
        subprocess.run([*program, str(tmp_path / "out")], check=True)
        assert [check.ok for check in check_paths(["gs://runs/mine/code", "gs://runs/no"])] == [
            True,
            False,
        ]
        with emulator.proxy.faults(lambda *_: 401):
            with pytest.raises(RunError, match="cannot write gs://runs/mine/code") as refused:
                cluster_backend.submit(dataclasses.replace(job, name="other"))
            [check] = check_paths(["gs://runs/mine/code"])
    for path, content in bundle.files:
        assert (tmp_path / "out" / path).read_bytes() == content
    assert not check.ok
    assert "401" in refused.value.reason + check.detail
    assert f"{JOBS}/other" not in api.objects
    assert capfd.readouterr().err == ""
