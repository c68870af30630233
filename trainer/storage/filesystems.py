"""One fsspec filesystem per scheme and process, with one retry layer: ours."""

import atexit
import contextlib
import functools
import io
import os
import threading
from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer.storage.failures import MissingError
from trainer.storage.retry import Retry

CONNECT_TIMEOUT_SECS = 10.0
# Between two reads of one response, not for the whole of it: a large object may take minutes.
READ_TIMEOUT_SECS = 30.0
# A multiple of 256 KiB, as resumable uploads ask.
CHUNK_BYTES = 16 << 20

_filesystems: dict[str, Any] = {}
_lock = threading.Lock()


def is_remote(url: str) -> bool:
    """Whether a URL names another store than the local disk."""
    return scheme_of(url) != "file"


def scheme_of(url: str) -> str:
    """Return the scheme of a URL; "file" for a plain path."""
    return url.split("://", 1)[0] if "://" in url else "file"


def open_url(url: str) -> tuple[Any, str]:
    """Return the filesystem of a URL and the name of the object in it.

    Listings are cached by the caller, not by the filesystem, so that a checkpoint written by
    another process is never hidden.
    """
    scheme = scheme_of(url)
    with _lock:
        if scheme not in _filesystems:
            _filesystems[scheme] = _make_filesystem(scheme)
        filesystem = _filesystems[scheme]
    return filesystem, filesystem._strip_protocol(url)


def url_of(scheme: str, name: str) -> str:
    """Return the URL of an object from the name that its filesystem uses."""
    return name if scheme == "file" else f"{scheme}://{name.lstrip('/')}"


def _make_filesystem(scheme: str) -> Any:
    import fsspec

    # What is set in the environment comes on top: FSSPEC_GS_REQUESTER_PAYS, FSSPEC_S3_PROFILE, ...
    options = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme in ("gs", "gcs"):
        return _make_gcs(options)
    if scheme in ("s3", "s3a"):
        return _make_s3(options)
    if scheme == "file":
        options["auto_mkdir"] = True
    try:
        return fsspec.filesystem(scheme, **options)
    except (ImportError, ValueError) as error:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{scheme}:// is not available here ({error}); use gs:// or a local folder",
        ) from error


def _make_gcs(options: dict[str, Any]) -> Any:
    import aiohttp
    import fsspec
    from fsspec.asyn import sync

    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=CONNECT_TIMEOUT_SECS, sock_read=READ_TIMEOUT_SECS
    )
    set_by_user = {**fsspec.config.conf.get("gcs", {}), **fsspec.config.conf.get("gs", {})}
    # The usual search of Google credentials, which may ask the network; gcsfs on its own would end
    # it by asking the store without any, and repeat the refusals.
    default = "anon" if os.environ.get("STORAGE_EMULATOR_HOST") else "google_default"
    os.environ.setdefault("GCE_METADATA_DETECT_RETRIES", "2")  # 3 s each, where none is there
    from google.auth.exceptions import DefaultCredentialsError

    options["token"] = set_by_user.get("token", default)
    # aiohttp asks for no proxy unless it is told to look for one.
    options["session_kwargs"] = {"trust_env": True}
    try:
        filesystem = _gcs_class()(requests_timeout=timeout, **options)
    except DefaultCredentialsError as error:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"gs://: no credentials ({str(error).split('. ')[0]}); give the job a service account "
            "that is bound to a cloud identity, or log in on this machine; public data need none: "
            "set FSSPEC_GS_TOKEN=anon",
        ) from error
    # At exit the last registered goes first. gcsfs registers a close of its own with the session,
    # which is never awaited: so open the session now and close it before gcsfs tries to.
    sync(filesystem.loop, filesystem._set_session)
    atexit.register(_close_session, filesystem)
    return filesystem


def _make_s3(options: dict[str, Any]) -> Any:
    import fsspec

    timeouts = {"connect_timeout": CONNECT_TIMEOUT_SECS, "read_timeout": READ_TIMEOUT_SECS}
    once = {"retries": {"total_max_attempts": 1}}
    try:
        filesystem = fsspec.filesystem("s3", config_kwargs={**timeouts, **once}, **options)
    except ImportError as error:
        raise RunError(
            ExitCode.BAD_CONFIG, "s3:// needs the extra `s3`: pip install 'lockstep[s3]'"
        ) from error
    filesystem.retries = 1  # as for Cloud Storage: they would multiply with ours
    return filesystem


@functools.cache
def _gcs_class() -> Any:
    # Otherwise gcsfs asks over gRPC what kind of bucket it has: 60 s per bucket on an emulator.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    from gcsfs.core import GCSFileSystem

    class OneRetryGCS(GCSFileSystem):
        """gcsfs without its own six attempts a request: they would multiply with ours."""

        async def _request(self, *args: Any, data: Any = None, **options: Any) -> Any:
            # aiohttp warns of large bytes that are not wrapped in a file.
            body = io.BytesIO(data) if isinstance(data, bytes) else data
            return await GCSFileSystem._request.__wrapped__(self, *args, data=body, **options)

        _get_file_request = GCSFileSystem._get_file_request.__wrapped__

    return OneRetryGCS


def put_file(filesystem: Any, path: Path, name: str, url: str, retry: Retry) -> None:
    """Send one local file; on Cloud Storage a fault costs one chunk, not the whole file."""
    if path.stat().st_size <= CHUNK_BYTES:
        data = path.read_bytes()
        retry.run(lambda: filesystem.pipe_file(name, data), url, "writing")
    elif scheme_of(url) in ("gs", "gcs"):
        _put_chunks(filesystem, path, name, url, retry)
    else:
        retry.run(lambda: filesystem.put_file(str(path), name), url, "writing")


def _put_chunks(filesystem: Any, path: Path, name: str, url: str, retry: Retry) -> None:
    from fsspec.asyn import sync
    from gcsfs.core import initiate_upload, upload_chunk

    bucket, key, _ = filesystem.split_path(name)
    loop, kind, size = filesystem.loop, "application/octet-stream", path.stat().st_size
    session = retry.run(
        lambda: sync(loop, initiate_upload, filesystem, bucket, key, kind), url, "writing"
    )
    # A lost answer to the last chunk: the store has the object and no longer knows the session.
    # The caller compares what is stored with what was sent.
    with contextlib.suppress(MissingError), path.open("rb") as file:
        for offset in range(0, size, CHUNK_BYTES):
            send = functools.partial(
                sync, loop, upload_chunk, filesystem, session, file.read(CHUNK_BYTES), offset
            )
            retry.run(functools.partial(send, size, kind), url, "writing")


def close() -> None:
    """Close all connections of this process; the next call opens new ones."""
    with _lock:
        filesystems = list(_filesystems.values())
        _filesystems.clear()
    for filesystem in filesystems:
        _close_session(filesystem)


def _close_session(filesystem: Any) -> None:
    session = getattr(filesystem, "_session", None)
    if session is not None and not session.closed:
        from fsspec.asyn import sync

        sync(filesystem.loop, session.close, timeout=5)
