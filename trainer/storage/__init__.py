"""The one place that moves bytes between this host and remote URLs.

A URL is anything fsspec names (`gs://`, `s3://`, `memory://`) or a local path. TensorFlow itself
only ever touches local files.
"""

from trainer.storage.checksum import FileSum
from trainer.storage.failures import MissingError, scrub
from trainer.storage.filesystems import close, is_remote
from trainer.storage.listing import RemoteFile, forget, list_files, stat
from trainer.storage.mirror import (
    list_mirrors,
    mirror_delete,
    mirror_down,
    mirror_up,
    read_marker,
)
from trainer.storage.retry import Retry
from trainer.storage.stage_dir import Lease, StageDir
from trainer.storage.transfer import (
    create_bytes,
    delete_file,
    delete_tree,
    download,
    read_bytes,
    upload,
    write_bytes,
)

__all__ = [
    "FileSum",
    "Lease",
    "MissingError",
    "RemoteFile",
    "Retry",
    "StageDir",
    "close",
    "create_bytes",
    "delete_file",
    "delete_tree",
    "download",
    "forget",
    "is_remote",
    "list_files",
    "list_mirrors",
    "mirror_delete",
    "mirror_down",
    "mirror_up",
    "read_bytes",
    "read_marker",
    "scrub",
    "stat",
    "upload",
    "write_bytes",
]
