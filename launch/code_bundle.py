"""The user's own files: collected, digested, and `--config` rewritten to where they land."""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from launch import trainer_args
from launch.spec import CODE_DIR, CodeBundle

# A ConfigMap holds 1 MiB with everything around the files.
MAX_CONFIG_MAP_BYTES = 700_000
MAX_BYTES = 200_000_000
_SKIPPED = {"__pycache__", "node_modules", "venv"}


def collect(place: str, args: Sequence[str]) -> tuple[CodeBundle, tuple[str, ...]]:
    """The files of a folder, or one file, and the arguments with `--config` pointing at its copy.

    Hidden files, caches and links that leave the folder stay behind.

    Raises:
        RunError: BAD_FLAG where there is nothing, or more than can travel.
    """
    root, paths = _paths(Path(place))
    files = tuple((path.relative_to(root).as_posix(), path.read_bytes()) for path in paths)
    size = sum(len(content) for _, content in files)
    if not files or size > MAX_BYTES:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--code={place} holds {size} bytes in {len(files)} files; "
            f"1 to {MAX_BYTES} bytes can travel",
        )
    return CodeBundle(_digest(files), files), _rewrite_config(place, root, paths, tuple(args))


def _paths(place: Path) -> tuple[Path, list[Path]]:
    """The folder that becomes the root of the copy, and the files that travel."""
    if place.is_file():
        return place.parent, [place]
    if not place.is_dir():
        raise RunError(ExitCode.BAD_FLAG, f"--code={place} is neither a file nor a folder")
    found = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return place, [path for path in found if _travels(path.relative_to(place), path, place)]


def fits_config_map(code: CodeBundle) -> bool:
    """Whether the files fit into a ConfigMap; others are put into the workdir's bucket."""
    return sum(4 * len(content) // 3 + len(path) for path, content in code.files) <= (
        MAX_CONFIG_MAP_BYTES
    )


def archive(code: CodeBundle) -> bytes:
    """A zip of the files, the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for path, content in code.files:
            target.writestr(zipfile.ZipInfo(path), content)
    return buffer.getvalue()


def _travels(relative: Path, path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") or part in _SKIPPED for part in relative.parts)
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
        raise RunError(
            ExitCode.BAD_FLAG, f"--config={config} is outside --code={place} and would stay behind"
        )
    return trainer_args.replace(args, "config", f"{CODE_DIR}/{found}")
