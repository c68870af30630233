"""The files of --code inside the pod: a ConfigMap when small, else a zip fetched at the start."""

from collections.abc import Sequence

from launch.code import programs
from launch.spec.documents import Document
from launch.spec.labels import CODE_DIR, PACKAGES_DIR
from launch.spec.parts import CodeBundle, Requirements


def config_map(code: CodeBundle, metadata: Document) -> Document:
    """The files, one key each; keys hold no slashes, so the volume maps them back to paths."""
    import base64

    data: dict[str, str] = {}
    binary: dict[str, str] = {}
    for index, (_, content) in enumerate(code.files):
        try:
            data[_key(index)] = content.decode()
        except UnicodeDecodeError:
            binary[_key(index)] = base64.b64encode(content).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**metadata, "name": f"{metadata['name']}-code"},
        "immutable": True,
        **({"data": data} if data else {}),
        **({"binaryData": binary} if binary else {}),
    }


def volume(name: str, code: CodeBundle) -> Document:
    """The volume that holds the files."""
    if code.url:
        return {"name": "code", "emptyDir": {"sizeLimit": "1Gi"}}
    items = [{"key": _key(index), "path": path} for index, (path, _) in enumerate(code.files)]
    return {"name": "code", "configMap": {"name": f"{name}-code", "items": items}}


def fetch_container(code: CodeBundle, image: str) -> Document:
    """The init container that downloads and checks the zip."""
    return {
        "name": "fetch-code",
        "image": image,
        "command": ["python", "-c", programs.source("fetch_code")],
        "args": [code.url, code.digest, CODE_DIR],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "code", "mountPath": CODE_DIR},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }


def install_container(files: Sequence[Requirements], image: str) -> Document:
    """The init container that installs the packages of requirements files."""
    return {
        "name": "install-packages",
        "image": image,
        "command": ["python", "-c", programs.source("install_packages")],
        "args": [PACKAGES_DIR, *(file.text for file in files)],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "packages", "mountPath": PACKAGES_DIR},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }


def _key(index: int) -> str:
    return f"file-{index}"
