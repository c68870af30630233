"""What a failed storage call means: try again, tell the user, or a bug."""

import contextlib
import errno
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from common.exit_codes import ExitCode, RunError

TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
ADVICE = {
    401: "the credentials are missing or have expired: give the job a service account that is "
    "bound to a cloud identity, or log in on this machine",
    403: "let this job's account read the bucket (roles/storage.objectViewer), and write it "
    "(roles/storage.objectAdmin) if it is the workdir",
    404: "correct the bucket and the object name",
}
_PAYS = (
    "the bucket lets the requester pay, and no project was named: set FSSPEC_GS_REQUESTER_PAYS="
    "PROJECT (s3: FSSPEC_S3_REQUESTER_PAYS=true) in the environment of the job"
)
_BOTO_TRANSIENT = ("botocore.exceptions.HTTPClientError", "botocore.exceptions.ConnectionError")
_BOTO_CREDENTIALS = (
    "botocore.exceptions.NoCredentialsError",
    "botocore.exceptions.PartialCredentialsError",
    "botocore.exceptions.ProfileNotFound",
    "botocore.exceptions.NoAuthTokenError",
)
PERMANENT_LOCAL = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EEXIST,  # a file stands where a folder is to be made
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)


class MissingError(RunError):
    """The bucket or the object does not exist (404, 410)."""


def scrub(url: str) -> str:
    """Return a URL that may be printed: without user, password, query string and fragment."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def describe(url: str) -> str:
    """Name bucket and object of a URL for an error line."""
    if "://" not in url:
        return f"file {url!r}"
    parts = urlsplit(scrub(url))
    return f"{parts.scheme} bucket {parts.netloc!r}, object {parts.path.lstrip('/')!r}"


def status_of(error: BaseException) -> int | None:
    """Find the HTTP status behind an exception of an fsspec filesystem, if it has one."""
    if isinstance(error, FileNotFoundError):
        return 404
    # gcsfs has no class of its own for 403, only this text.
    if isinstance(error, PermissionError) or str(error).startswith("Forbidden"):
        return 403
    if type(error).__name__ == "ProxyError":  # so gcsfs reports a 502
        return 502
    for name in ("code", "status"):
        value = getattr(error, name, None)
        if isinstance(value, int | str) and str(value).isdecimal():
            return int(value)
    # s3fs makes an OSError of what botocore raised, by its kind.
    answer = getattr(error.__cause__ or error, "response", None)
    if isinstance(answer, dict):
        return answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return None


def is_renewal(error: BaseException | None) -> bool:
    """Whether credentials could not be renewed because the network or the issuer failed.

    gcsfs asks for a token in the middle of any request, and on Google's machines reports a failure
    of that as a 401 of the store.
    """
    from google.auth.exceptions import GoogleAuthError, TransportError

    while error is not None:
        if isinstance(error, TransportError):
            # An answer comes with the error: 404 is a machine without an identity.
            answer = getattr(error.args[-1] if error.args else None, "status", None)
            return answer is None or answer in TRANSIENT_STATUS
        if isinstance(error, GoogleAuthError) and error.retryable:
            return True
        error = error.__cause__
    return False


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed when it is made again."""
    import aiohttp
    import requests

    if is_renewal(error):
        return True
    status = status_of(error)
    if status is not None:
        return status in TRANSIENT_STATUS
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    # A failed name look-up and a broken response are an aiohttp.ClientError.
    if isinstance(error, aiohttp.ClientError | requests.ConnectionError | requests.Timeout):
        return True
    if any(kind in _BOTO_TRANSIENT for kind in _kinds(error)):
        return True
    return bool(getattr(error, "retryable", False))


def _kinds(error: BaseException) -> list[str]:
    return [f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__]


def phrase(status: int) -> str:
    """Return a status with its standard meaning, like "503 Service Unavailable"."""
    known = status in {s.value for s in HTTPStatus}
    return f"{status} {HTTPStatus(status).phrase}" if known else str(status)


def reason(error: BaseException) -> str:
    """Say in a few words what failed; the text of the exception may hold signed URLs and tokens."""
    if is_renewal(error):
        return "the credentials could not be renewed"
    status = status_of(error)
    return type(error).__name__ if status is None else phrase(status)


def permanent(error: BaseException, url: str, doing: str) -> RunError | None:
    """Turn an HTTP refusal into the line that the user reads; None for what is not a refusal.

    The text of the original exception is left out: it may hold signed URLs and tokens.
    """
    if any(kind in _BOTO_CREDENTIALS for kind in _kinds(error)):
        return RunError(
            ExitCode.BAD_CONFIG,
            f"{doing} {describe(url)}: no credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY; public data need none: set FSSPEC_S3_ANON=true",
        )
    status = status_of(error)
    if status is None:
        return None
    advice = ADVICE.get(status, "the request was refused; check the URL and the bucket's settings")
    if "requester pays" in str(error).lower():
        advice = _PAYS
    kind = MissingError if status in (404, 410) else RunError
    return kind(ExitCode.BAD_CONFIG, f"{doing} {describe(url)}: {phrase(status)}; {advice}")


@contextlib.contextmanager
def local_read(url: str) -> Iterator[None]:
    """Turn a failure to read a local file of the data inside the block into one line.

    Raises:
        RunError: BAD_DATA where the file is not there or may not be read, TRANSIENT where the disk
            or the mount failed.
    """
    try:
        yield
    except OSError as error:
        permanent = error.errno in (errno.ENOENT, *PERMANENT_LOCAL)
        code = ExitCode.BAD_DATA if permanent else ExitCode.TRANSIENT
        raise RunError(code, f"{url}: {error.strerror or type(error).__name__}") from error


@contextlib.contextmanager
def local_io(path: Path, flag: str) -> Iterator[None]:
    """Turn a failure of the local disk inside the block into one line.

    Args:
        path: what is being written.
        flag: the flag or field that chose its place, for the advice.

    Raises:
        RunError: BAD_CONFIG for a full or read-only disk or a missing permission, TRANSIENT for
            any other failure of the disk.
    """
    try:
        yield
    except OSError as error:
        code = ExitCode.BAD_CONFIG if error.errno in PERMANENT_LOCAL else ExitCode.TRANSIENT
        raise RunError(
            code,
            f"cannot write {str(path)!r}: {error.strerror or type(error).__name__}; "
            f"free space, correct the permissions or choose another place with {flag}",
        ) from None
