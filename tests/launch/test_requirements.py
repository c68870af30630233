"""`--requirements`: packages with hashes, installed before the trainer starts, asked for here."""

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fake_cluster import ended, first_failure, pod

from common.exit_codes import RunError
from launch.code import programs
from launch.local.prepare import prepare
from launch.spec import parts
from launch.spec.causes import Cause
from launch.spec.job import JobSpec
from launch.spec.parts import Requirements

ZEROS = f"--hash=sha256:{'0' * 64}"


@pytest.fixture
def wheels(tmp_path: Path) -> tuple[Path, str]:
    """A folder with one wheel, and the line that asks for it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "lockstep_hello-1.0-py3-none-any.whl"
    info = "lockstep_hello-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("lockstep_hello.py", "WORD = 'hello'\n")
        head = "Metadata-Version: 2.1\nName: lockstep-hello\nVersion: 1.0\n"
        wheel.writestr(f"{info}/METADATA", head)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return folder, f"lockstep-hello==1.0 \\\n    --hash=sha256:{digest}"


def install(folder: Path, target: Path, *texts: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", programs.source("install_packages"), str(target), *texts]
    env = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_packages_are_installed_with_their_hashes_from_a_folder_of_wheels(tmp_path, wheels):
    folder, line = wheels
    done = install(folder, tmp_path / "there", f"# ours\n{line}\n")
    assert done.returncode == 0, done.stderr
    env = os.environ | {"PYTHONPATH": str(tmp_path / "there")}
    code = "import lockstep_hello; print(lockstep_hello.WORD)"
    assert subprocess.check_output([sys.executable, "-c", code], env=env) == b"hello\n"
    assert install(folder, tmp_path / "other", f"lockstep-hello==1.0 {ZEROS}\n").returncode
    assert not (tmp_path / "other" / "lockstep_hello.py").exists()


def test_what_the_image_has_is_left_out_in_its_version_and_refused_in_another(tmp_path):
    there = importlib.metadata.version("numpy")
    assert install(tmp_path, tmp_path / "there", f"numpy=={there} {ZEROS}").returncode == 0
    done = install(tmp_path, tmp_path / "there", f"numpy==0.1 {ZEROS}")
    assert done.returncode == 1
    assert done.stderr == f"--requirements: numpy==0.1, and the image has {there}: pin that one\n"


@pytest.mark.parametrize("line", ["six", "six>=1 " + ZEROS, "six==1.0", "-e .", "git+https://x/y"])
def test_a_package_without_version_or_hash_is_refused(tmp_path, line):
    (tmp_path / "r.txt").write_text(f"# fine\n\nsix==1.0 \\\n  {ZEROS}\n{line}\n")
    with pytest.raises(RunError, match="is no NAME==VERSION with --hash"):
        parts.read_requirements("requirements", str(tmp_path / "r.txt"))


def test_a_requirements_file_is_sent_as_it_is_and_not_without_end(tmp_path):
    text = f"# fine\n\nsix[extra]==1.0 ; python_version > '3' \\\n  {ZEROS}\n"
    (tmp_path / "r.txt").write_text(text)
    assert parts.read_requirements("requirements", str(tmp_path / "r.txt")).text == text
    (tmp_path / "r.txt").write_text(text + "#" * 100_000)
    with pytest.raises(RunError, match="too long for a pod"):
        parts.read_requirements("requirements", str(tmp_path / "r.txt"))


def test_here_packages_are_asked_for_and_never_installed(tmp_path):
    def job(line: str) -> JobSpec:
        return JobSpec("job", requirements=(Requirements(line),))

    there = importlib.metadata.version("numpy")
    prepare(job(f"numpy=={there} {ZEROS}"), tmp_path)
    for line, found in ((f"numpy==0.1 {ZEROS}", there), (f"no-such==1 {ZEROS}", "not installed")):
        with pytest.raises(RunError, match=f"here it is {found}"):
            prepare(job(line), tmp_path)


def test_a_failed_installation_is_told_with_what_to_look_at():
    lost = pod(0, "Failed", waiting={"reason": "PodInitializing"})
    state = {"terminated": ended(1, message="ERROR: THESE PACKAGES DO NOT MATCH THE HASHES")}
    lost["status"]["initContainerStatuses"] = [{"name": "install-packages", "state": state}]
    found = first_failure([lost])
    assert found.reason.startswith("install-packages failed before the trainer started")
    assert (found.cause, found.last_lines) == (Cause.IMAGE, (state["terminated"]["message"],))
    assert "--egress" in found.advice
