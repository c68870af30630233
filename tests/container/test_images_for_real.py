"""The images, built and run: no network, a read-only root, a user id that nobody gave a name."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.container.engine import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
_RUN = ("--config=digits", "--config.epochs=12", "--config.checkpoint_every_steps=100")
_HOME = "/root"  # of the image's builder
_TRACES = (
    "/install.sh",
    "/opt/venv/bin/pip",
    "/requirements.lock",
    f"{_HOME}/.cache",
    "/run/secrets/certificates",
    "/var/cache/pip/http",
)


def _summary(workdir: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((workdir / "summary.json").read_text())
    return loaded


def _in_image(images: Engine, image: str, program: str) -> str:
    """What a Python program prints inside the image."""
    command = images.run(image, "-c", program, options=("--entrypoint=python",))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_killed_and_resumed_inside_equals_untouched_outside(
    images: Engine, cpu: str, source: Path, tmp_path: Path
) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    inside.mkdir(mode=0o777)
    inside.chmod(0o777)
    command = [sys.executable, "-m", "trainer", *_RUN, f"--workdir={outside}"]
    subprocess.run(command, cwd=source, capture_output=True, check=True)

    mount = ("--volume", f"{inside}:/runs", "--name=lockstep-killed")
    command = images.run(cpu, *_RUN, "--workdir=/runs/digits", options=mount)
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    metrics = inside / "digits" / "metrics.jsonl"
    deadline = time.monotonic() + 300
    while not (metrics.exists() and metrics.read_text()) and time.monotonic() < deadline:
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.05)
    subprocess.run(images.podman("kill", "--signal=TERM", "lockstep-killed"), check=True)
    errors = killed.communicate(timeout=120)[1]
    assert killed.returncode == 143, errors
    # Killed too late, the run would have nothing left to resume and this would show nothing.
    stopped = re.search(r"after step (\d+) of (\d+); state saved", errors)
    assert stopped, errors
    assert 0 < int(stopped[1]) < int(stopped[2])

    subprocess.run(command, capture_output=True, check=True)
    assert _summary(inside / "digits")["status"] == "done"
    assert (inside / "digits" / "report.html").is_file()
    assert _summary(inside / "digits")["state_digest"] == _summary(outside)["state_digest"]


def test_a_signal_during_the_start_is_heard(images: Engine, cpu: str, tmp_path: Path) -> None:
    # Process 1 has no default actions: until Python installs a handler, SIGTERM does nothing.
    tmp_path.chmod(0o777)
    mount = ("--volume", f"{tmp_path}:/runs", "--name=lockstep-early")
    command = images.run(cpu, *_RUN, "--workdir=/runs/digits", options=mount)
    started = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    kill = images.podman("kill", "--signal=TERM", "lockstep-early")
    while subprocess.run(kill, capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline
    time.sleep(2)
    subprocess.run(kill, capture_output=True, check=False)
    errors = started.communicate(timeout=120)[1]
    assert started.returncode == 143, errors


@pytest.mark.timeout(4 * 3600)
def test_the_test_image_trains_and_tests_itself(images: Engine, test_image: str) -> None:
    done = subprocess.run(
        images.run(test_image),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout[-6000:])
    assert done.returncode == 0


@pytest.mark.parametrize("accelerator", ["gpu", "tpu"], indirect=True)
def test_an_accelerator_image_is_built_and_trains_on_a_cpu(
    images: Engine, accelerator: str, source: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    # Without it libtpu asks Google's network where it runs, for minutes.
    options = ("--volume", f"{tmp_path}:/runs", "--env=TPU_SKIP_MDS_QUERY=1")
    short = ("--config=digits", "--config.epochs=2")
    on_cpu = (*short, "--strategy=cpu", "--workdir=/runs/a")
    command = images.run(accelerator, *on_cpu, options=options)
    subprocess.run(command, capture_output=True, check=True)
    assert _summary(tmp_path / "a")["status"] == "done"
    if accelerator.endswith("gpu"):  # the same version of TensorFlow, another wheel
        outside = [sys.executable, "-m", "trainer", *short, f"--workdir={tmp_path / 'b'}"]
        subprocess.run(outside, cwd=source, capture_output=True, check=True)
        digests = [_summary(tmp_path / name)["state_digest"] for name in "ab"]
        assert digests[0] == digests[1]
        # No GPU is here: it is said, and nothing is trained on the CPU instead.
        mirrored = (*short, "--strategy=mirrored", "--workdir=/runs/c")
        command = images.run(accelerator, *mirrored, options=options)
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert refused.returncode == 78
        assert "--strategy=mirrored: TensorFlow sees no GPU here" in refused.stderr


def test_the_bill_in_the_image_lists_what_is_installed(images: Engine, cpu: str) -> None:
    program = (
        "import json, importlib.metadata as m;"
        "bill = json.load(open('/opt/venv/sbom.json'))['components'];"
        "print(json.dumps([sorted(c['name'] + c['version'] for c in bill),"
        " sorted(d.metadata['Name'].lower().replace('_', '-').replace('.', '-') + d.version"
        " for d in m.distributions() if str(d.locate_file('')).startswith('/opt/venv'))]))"
    )
    listed, installed = json.loads(_in_image(images, cpu, program))
    assert listed == installed
    assert len(listed) > 50
    bill = _in_image(images, cpu, "print(open('/opt/venv/sbom.json').read())")
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(bill) is None


def test_the_image_holds_no_installers_and_no_caches(images: Engine, cpu: str) -> None:
    traces = [*_TRACES, "/app/tests", "/app/.git"]
    program = (
        "import os, shutil;"
        "print([name for name in ('gcc', 'g++', 'make', 'git') if shutil.which(name)]"
        f" + [path for path in {traces!r} if os.path.lexists(path)])"
    )
    assert _in_image(images, cpu, program).strip() == "[]"


def test_the_image_says_what_it_is(images: Engine, cpu: str, revision: str) -> None:
    shown = subprocess.run(
        images.run(cpu, "--version"), capture_output=True, text=True, check=False
    )
    assert re.search(r"^tensorflow +\d", shown.stdout, re.MULTILINE), shown.stderr
    config = json.loads(images.buildah("inspect", "--type=image", cpu))["OCIv1"]["config"]
    assert config["Labels"]["org.opencontainers.image.revision"] == revision
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["python", "-m", "trainer"]
