"""How the user's files reach the pods: in a ConfigMap, or through the workdir's bucket."""

import dataclasses
import hashlib
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from launch import code_bundle, remote_files, trainer_args
from launch.spec import CodeBundle, JobSpec

_PACKAGE = Path(__file__).resolve().parents[1] / "trainer"  # it is in every image


def plan(spec: JobSpec) -> JobSpec:
    """The spec with the URL of the files where they are too large for a ConfigMap.

    Raises:
        RunError: they are, and the workdir is no bucket, or a file would stay behind; BAD_FLAG.
    """
    if spec.code is None:
        _check_config(spec)
        return spec
    if code_bundle.fits_config_map(spec.code):
        return spec
    if "://" not in spec.workdir:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--code is too large for a ConfigMap, and --workdir={spec.workdir} is no bucket "
            "through which it could travel; make it smaller or use --workdir=gs://BUCKET/RUN",
        )
    digest = hashlib.sha256(code_bundle.archive(spec.code)).hexdigest()
    url = f"{spec.workdir.rstrip('/')}/code/{digest}.zip"
    return dataclasses.replace(spec, code=CodeBundle(digest, spec.code.files, url))


def upload(spec: JobSpec) -> None:
    """Puts the files where `plan` said.

    Raises:
        RunError: the bucket refuses them; TRANSIENT.
    """
    if spec.code is None or not spec.code.url:
        return
    try:
        remote_files.write(spec.code.url, code_bundle.archive(spec.code))
    except OSError as error:
        raise RunError(
            ExitCode.TRANSIENT, f"cannot write {spec.code.url}: {error} (--workdir, --code)"
        ) from None


def _check_config(spec: JobSpec) -> None:
    config = Path(trainer_args.value(spec.args, "config") or "")
    in_image = config.parts[:1] == ("trainer",) and config.resolve().is_relative_to(_PACKAGE)
    if config.is_file() and not in_image:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--config={config} is a file of this machine and would stay behind; "
            f"let it travel: --code={config} or --code={config.parent}",
        )
