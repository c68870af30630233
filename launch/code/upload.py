"""The files of --code: collected, digested, uploaded where a ConfigMap cannot hold them."""

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from launch.code import remote_files
from launch.spec import trainer_args
from launch.spec.job import JobSpec
from launch.spec.labels import CODE_DIR
from launch.spec.parts import CodeBundle
from launch.spec.user_input import bad_flag

# A ConfigMap holds 1 MiB with everything around the files.
MAX_CONFIG_MAP_BYTES = 700_000
MAX_BYTES = 200_000_000
_SKIPPED = {"__pycache__", "node_modules", "venv"}
_TRAINER = Path(__file__).resolve().parents[2] / "trainer"  # it is in every image


def collect(place: str, args: Sequence[str]) -> tuple[CodeBundle, tuple[str, ...]]:
    """The files of a folder, or one file, and the arguments with `--config` pointing at its copy.

    Hidden files, caches and links that leave the folder are left out.

    Raises:
        RunError: BAD_FLAG where there is nothing, or too much.
    """
    root, paths = _paths(Path(place))
    files = tuple((path.relative_to(root).as_posix(), path.read_bytes()) for path in paths)
    size = sum(len(content) for _, content in files)
    if not files or size > MAX_BYTES:
        raise bad_flag(
            f"--code={place} holds {size} bytes in {len(files)} files; "
            f"it must be 1 to {MAX_BYTES} bytes"
        )
    return CodeBundle(_digest(files), files), _rewrite_config(place, root, paths, tuple(args))


def plan(spec: JobSpec) -> JobSpec:
    """The spec with the URL of the files where they are too large for a ConfigMap.

    Raises:
        RunError: they are, and the workdir is no bucket, or the image lacks a file; BAD_FLAG.
    """
    if spec.code is None:
        _check_config(spec)
        return spec
    if _fits_config_map(spec.code):
        return spec
    if "://" not in spec.workdir:
        raise bad_flag(
            f"--code is too large for a ConfigMap, and --workdir={spec.workdir} is no bucket to "
            "upload it to; make it smaller or use --workdir=gs://BUCKET/RUN"
        )
    digest = hashlib.sha256(archive(spec.code)).hexdigest()
    url = f"{spec.workdir.rstrip('/')}/code/{digest}.zip"
    return dataclasses.replace(spec, code=CodeBundle(digest, spec.code.files, url))


def send(spec: JobSpec) -> None:
    """Puts the files where `plan` said.

    Raises:
        RunError: the bucket refuses them; TRANSIENT.
    """
    if spec.code is None or not spec.code.url:
        return
    try:
        remote_files.write(spec.code.url, archive(spec.code))
    except OSError as error:
        raise RunError(
            ExitCode.TRANSIENT, f"cannot write {spec.code.url}: {error} (--workdir, --code)"
        ) from None


def archive(code: CodeBundle) -> bytes:
    """A zip of the files, the same bytes for the same files."""
    # The digest of the zip is rendered before the zip is uploaded: ZipInfo carries no time.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for path, content in code.files:
            target.writestr(zipfile.ZipInfo(path), content)
    return buffer.getvalue()


def _paths(place: Path) -> tuple[Path, list[Path]]:
    """The folder that becomes the root of the copy, and the files in it."""
    if place.is_file():
        return place.parent, [place]
    if not place.is_dir():
        raise bad_flag(f"--code={place} is neither a file nor a folder")
    found = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return place, [path for path in found if _belongs(path, place)]


def _belongs(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    hidden = any(part.startswith(".") or part in _SKIPPED for part in parts)
    return not hidden and path.resolve().is_relative_to(root.resolve())


def _digest(files: Sequence[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for path, content in files:
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _rewrite_config(
    place: str, root: Path, paths: Sequence[Path], args: tuple[str, ...]
) -> tuple[str, ...]:
    config = trainer_args.value(args, "config")
    if not config or not Path(config).is_file():
        return args
    inside = {path.resolve(): path.relative_to(root).as_posix() for path in paths}
    found = inside.get(Path(config).resolve())
    if found is None:
        raise bad_flag(f"--config={config} is not in the image and outside --code={place}")
    return trainer_args.replace(args, "config", f"{CODE_DIR}/{found}")


def _fits_config_map(code: CodeBundle) -> bool:
    """Whether the files fit into a ConfigMap; others are put into the workdir's bucket."""
    size = sum(4 * len(content) // 3 + len(path) for path, content in code.files)  # in base64
    return size <= MAX_CONFIG_MAP_BYTES


def _check_config(spec: JobSpec) -> None:
    config = Path(trainer_args.value(spec.args, "config") or "")
    in_image = config.parts[:1] == ("trainer",) and config.resolve().is_relative_to(_TRAINER)
    if config.is_file() and not in_image:
        raise bad_flag(
            f"--config={config} is not in the image: add --code={config} or --code={config.parent}"
        )
