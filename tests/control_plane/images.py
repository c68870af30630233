"""Images of the node: the trainer's, from the Dockerfile, and the one that holds a pod."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.container import engine
from tests.control_plane import node
from tests.control_plane.control_plane_build import program

ROOT = Path(__file__).parents[2]
TRAINER = "lockstep:0.1.0-cpu"


def missing() -> str:
    """Why the images cannot be built here, or ""."""
    return engine.missing()


def build(folder: Path) -> list[Path]:
    """Builds both on what FOLDER kept from the last time; returns their archives."""
    made = engine.Engine(folder / "images", driver="overlay")
    made.folder.mkdir(exist_ok=True)
    return [_pause(folder, made), _trainer(folder, made)]


def _trainer(folder: Path, made: engine.Engine) -> Path:
    """The committed and the edited files of this checkout, but none that git ignores."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as source:
        for name in filter(None, files.decode().split("\0")):
            if (ROOT / name).exists():
                (Path(source) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, Path(source) / name)
        name = made.build("cpu", made.base_digest(), Path(source), "working-tree")
    return _archive(folder, made, name, f"docker.io/library/{TRAINER}")


def _pause(folder: Path, made: engine.Engine) -> Path:
    container = made.buildah("from", "scratch")
    made.buildah("copy", "--quiet", container, str(program(folder, "pause")), "/pause")
    made.buildah("config", "--entrypoint", '["/pause"]', "--user", "65535:65535", container)
    made.buildah("commit", "--quiet", "--rm", container, node.PAUSE)
    return _archive(folder, made, node.PAUSE, node.PAUSE)


def _archive(folder: Path, made: engine.Engine, name: str, called: str) -> Path:
    archive = folder / f"{name.rpartition(':')[0].rpartition('/')[2]}.tar"
    archive.unlink(missing_ok=True)  # buildah adds to an archive, or refuses to
    made.buildah("push", "--quiet", name, f"docker-archive:{archive}:{called}")
    return archive
