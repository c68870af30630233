"""Installs packages before the trainer starts: target folder, then texts of requirements files.

What the image has in the same version is left out; in another one it is refused, for one process
would import either of them.
"""

import importlib.metadata
import pathlib
import re
import subprocess
import sys

target, *texts = sys.argv[1:]
lines = [line for text in texts for line in text.replace("\\\n", " ").splitlines()]
wanted = []
for line in lines:
    if found := re.match(r"([A-Za-z0-9._-]+)(?:\[.*?\])?==([^\s;]+)", line):
        name, version = found.groups()
        try:
            there = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wanted.append(line)
            continue
        if there != version:
            sys.exit(f"--requirements: {name}=={version}, and the image has {there}: pin that one")
file = pathlib.Path("/tmp/requirements.txt")  # noqa: S108 - the pod's own emptyDir
file.write_text("\n".join(wanted) + "\n")
# The environment of the image has no pip of its own: that of its base writes into a folder.
base = pathlib.Path(sys.base_prefix, "bin", "python3")
pip = [str(base), "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-cache-dir"]
command = [*pip, "--disable-pip-version-check", f"--target={target}", "-r", str(file)]
sys.exit(subprocess.run(command, check=False).returncode if wanted else 0)  # noqa: S603
