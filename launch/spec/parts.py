"""The parts of a job that are more than a word or a number, and how their flags are written."""

import dataclasses
import ipaddress
import re
from pathlib import Path
from typing import Literal

from common.cluster_description import INDEX_VARIABLE, JOB_VARIABLE, VARIABLE
from launch.spec.user_input import bad_flag, read_text

_SET_BY_LAUNCHER = {VARIABLE, INDEX_VARIABLE, JOB_VARIABLE}
MountKind = Literal["pvc", "gcs"]
MOUNT_FLAGS = (
    ("mount_pvc", "persistent volume claim to mount, CLAIM:/PATH"),
    ("mount_gcs", "bucket to mount, BUCKET:/PATH"),
)


@dataclasses.dataclass(frozen=True)
class SecretVariable:
    """An environment variable that Kubernetes fills from a Secret; the value never passes here."""

    name: str
    secret: str
    key: str


@dataclasses.dataclass(frozen=True)
class Mount:
    """A persistent volume claim or a bucket, and the folder where the worker sees it."""

    kind: MountKind
    source: str
    path: str


@dataclasses.dataclass(frozen=True)
class Toleration:
    """A taint of nodes that the pods accept.

    Attributes:
        key: of the taint.
        value: of the taint, or "" for any.
        effect: NoSchedule, PreferNoSchedule, NoExecute, or "" for all.
    """

    key: str
    value: str = ""
    effect: str = ""


@dataclasses.dataclass(frozen=True)
class Egress:
    """Where the pods may connect to besides storage: a proxy, a registry, an index of packages."""

    cidr: str
    port: int


@dataclasses.dataclass(frozen=True)
class Resource:
    """What each worker asks of its node under the name that the device's plugin gives it."""

    name: str
    count: int


@dataclasses.dataclass(frozen=True)
class Requirements:
    """The text of a requirements file: packages with versions and hashes."""

    text: str

    @property
    def pins(self) -> list[tuple[str, str]]:
        """Name and version of each package."""
        found = map(_PINNED.match, _lines(self.text))
        return [(pin["name"], pin["version"]) for pin in found if pin]


@dataclasses.dataclass(frozen=True)
class CodeBundle:
    """The files of --code.

    Attributes:
        digest: SHA-256 over names and contents, hexadecimal; of the zip where there is a `url`.
        files: pairs of relative path and content.
        url: where the zip of the files is put when they do not fit into a ConfigMap, else "".
    """

    digest: str
    files: tuple[tuple[str, bytes], ...] = ()
    url: str = ""


def read_pair(flag: str, text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    return _split(flag, text, "=", "NAME=VALUE")


def read_variable(flag: str, text: str) -> tuple[str, str]:
    """NAME=VALUE of an environment variable."""
    name, value = read_pair(flag, text)
    _check_variable(flag, name)
    return name, value


def read_secret(flag: str, text: str) -> SecretVariable:
    """NAME=SECRET/KEY."""
    name, reference = _split(flag, text, "=", "NAME=SECRET/KEY")
    _check_variable(flag, name)
    return SecretVariable(name, *_split(flag, reference, "/", "NAME=SECRET/KEY"))


def read_mount(flag: str, text: str) -> Mount:
    """SOURCE:/PATH of the flag `mount_KIND`."""
    source, path = _split(flag, text, ":", "SOURCE:/PATH")
    if not path.startswith("/"):
        raise bad_flag(f"--{flag}={text}: the path must start with /")
    kind: MountKind = "pvc" if flag == "mount_pvc" else "gcs"
    return Mount(kind, source, path.rstrip("/") or "/")


_EFFECTS = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")


def read_toleration(flag: str, text: str) -> Toleration:
    """KEY[=VALUE][:EFFECT]."""
    taint, _, effect = text.partition(":")
    key, _, value = taint.partition("=")
    if not key or effect not in _EFFECTS:
        raise bad_flag(
            f"--{flag}={text!r} must have the form KEY[=VALUE][:EFFECT], "
            f"with an effect of {', '.join(_EFFECTS[1:])}"
        )
    return Toleration(key, value, effect)


def read_egress(flag: str, text: str) -> Egress:
    """CIDR:PORT; an address alone is a network of one."""
    address, _, port = text.rpartition(":")
    try:
        network = ipaddress.ip_network(address.replace("[", "").replace("]", ""))
    except ValueError:
        raise bad_flag(
            f"--{flag}={text!r} must have the form ADDRESS[/BITS]:PORT; a policy knows addresses, "
            "no names"
        ) from None
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise bad_flag(f"--{flag}={text!r}: the port must be 1 to 65535")
    return Egress(str(network), int(port))


def read_resource(flag: str, text: str) -> Resource:
    """NAME:COUNT, for example amd.com/gpu:4."""
    name, count = _split(flag, text, ":", "NAME:COUNT")
    domain, _, kind = name.partition("/")
    if not domain or not kind or not count.isdecimal() or not int(count):
        raise bad_flag(
            f"--{flag}={text!r} must name a device as its plugin does, and at least one: "
            "amd.com/gpu:4"
        )
    return Resource(name, int(count))


_MAX_REQUIREMENTS_BYTES = 100_000  # one argument of a Linux process holds 128 KiB
_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?==(?P<version>[^\s;]+).*--hash=sha256:[0-9a-f]{64}"
)


def read_requirements(flag: str, text: str) -> Requirements:
    """A requirements file; every package in it has one version and its hashes."""
    content = read_text(Path(text), f"--{flag}={text}")
    for line in _lines(content):
        if not _PINNED.match(line):
            raise bad_flag(
                f"--{flag}={text}: {line[:80]!r} is no NAME==VERSION with "
                "--hash=sha256:...; `pip-compile --generate-hashes` writes such a file"
            )
    if len(content.encode()) > _MAX_REQUIREMENTS_BYTES:
        raise bad_flag(f"--{flag}={text} is too long for a pod; build an image with its packages")
    return Requirements(content)


def _lines(text: str) -> list[str]:
    """The lines of a requirements file that ask for a package, each in one piece."""
    lines = map(str.strip, text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _split(flag: str, text: str, separator: str, form: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not (left and found and right):
        raise bad_flag(f"--{flag}={text!r} must have the form {form}")
    return left, right


def _check_variable(flag: str, name: str) -> None:
    if not (name.isascii() and name.isidentifier()) or name in _SET_BY_LAUNCHER:
        raise bad_flag(f"--{flag}={name}=...: not a variable name, or one that launch sets itself")
