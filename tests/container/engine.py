"""buildah and podman with storage of their own, so that nothing of the host is touched."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Literal

BASE = "docker.io/library/python:3.11-slim-bookworm"
_PROGRAMS = ("buildah", "podman", "runc", "debootstrap")


def missing() -> str:
    """Why images cannot be built for real here, or "" if they can."""
    if os.geteuid() != 0:
        return "building images for real needs root"
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"building images for real needs {', '.join(absent)}" if absent else ""


class Engine:
    """Builds with buildah and runs with podman, both on one folder.

    Args:
        folder: where images are kept.
        driver: vfs works in a container too, and copies the whole image for every layer; overlay
            keeps what changed, and makes layers worth keeping.
    """

    def __init__(self, folder: Path, driver: Literal["vfs", "overlay"] = "vfs") -> None:
        self.folder = folder
        self._layers = f"--layers={'true' if driver == 'overlay' else 'false'}"
        places = ["--root", f"{folder}/store", "--runroot", f"{folder}/run"]
        self._storage = [*places, "--storage-driver", driver]

    def buildah(self, *arguments: str) -> str:
        """Runs buildah and returns what it prints.

        Raises:
            RuntimeError: with the end of its messages, where it fails.
        """
        done = subprocess.run(
            ["nice", "-n", "10", "buildah", *self._storage, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"buildah {arguments[0]}: {done.stderr[-3000:]}")
        return done.stdout.strip()

    def podman(self, *arguments: str) -> list[str]:
        """The command line of podman on this storage."""
        how = ["--runtime", "runc", "--cgroup-manager", "cgroupfs"]
        return ["podman", *self._storage, *how, *arguments]

    def run(self, image: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        """The command line of a locked-down container: no network, read-only, a stranger's id."""
        limits = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=8192:8192"]
        closed = ["--network=none", "--read-only", "--tmpfs", "/tmp", "--cap-drop=all"]
        closed += ["--security-opt=no-new-privileges", "--user", "54321:54321"]
        return self.podman("run", "--rm", *limits, *closed, *options, image, *arguments)

    def base_digest(self) -> str:
        """The digest of the base of the Dockerfile; it is made where the storage has none."""
        asked = ("inspect", "--type=image", "--format={{.FromImageDigest}}", BASE)
        try:
            return self.buildah(*asked)
        except RuntimeError:
            self._make_base()
            return self.buildah(*asked)

    def _make_base(self) -> None:
        """A Debian with Python, tagged as the base."""
        root = self.folder / "base"
        packages = "python3,python3-venv,python3-pip,ca-certificates"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", root],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        (root / "usr/bin/python").symlink_to("python3")
        # What apt keeps would be counted as weight of the images.
        for kept in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / kept)
        container = self.buildah("from", "scratch")
        self.buildah("copy", "--quiet", container, str(root), "/")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.buildah("config", "--env", path, "--cmd", "python3", container)
        self.buildah("commit", "--quiet", "--rm", container, BASE)
        shutil.rmtree(root)

    def build(self, target: str, base_digest: str, context: Path, revision: str) -> str:
        """Builds one target of the Dockerfile on the base with this digest.

        Returns:
            The name of the image.
        """
        pip_conf = self.folder / "pip.conf"
        pip_conf.write_text("[global]\ncert = /run/secrets/certificates\n")
        name = f"localhost/lockstep:{target}"
        certificates = os.environ.get("PIP_CERT", "/etc/ssl/certs/ca-certificates.crt")
        self.buildah(
            *(
                "bud",
                self._layers,
                "--isolation=chroot",
                "--pull-never",
                f"--target={target}",
                f"--tag={name}",
            ),
            f"--build-arg=BASE_DIGEST={base_digest}",
            f"--build-arg=REVISION={revision}",
            f"--secret=id=pip_conf,src={pip_conf}",
            f"--secret=id=certificates,src={certificates}",
            str(context),
        )
        return name
