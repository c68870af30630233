"""Downloads the user's files before the trainer starts: URL, SHA-256 of the zip, target folder."""

import hashlib
import io
import os
import pathlib
import sys
import zipfile

# Before the import: else gcsfs asks over gRPC what kind of bucket it has, and waits for the answer.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
import fsspec

url, digest, target = sys.argv[1:]
# aiohttp asks for no proxy unless it is told to look for one.
options = {"session_kwargs": {"trust_env": True}} if url.startswith(("gs://", "gcs://")) else {}
with fsspec.open(url, "rb", **options) as remote:
    data = remote.read()
if hashlib.sha256(data).hexdigest() != digest:
    sys.exit(f"{url}: the files changed after the job was submitted; submit it again")
root = pathlib.Path(target).resolve()
with zipfile.ZipFile(io.BytesIO(data)) as archive:
    for name in archive.namelist():
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            sys.exit(f"{url}: {name!r} leaves the target folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.read(name))
