"""Prepares a TFDS dataset: the only place that may ask the network for data."""

import pathlib

from common.exit_codes import ExitCode, RunError


def prepare(name: str, data_dir: pathlib.Path) -> pathlib.Path:
    """Download and prepare a dataset unless it is there; shows its progress.

    Args:
        name: of the TFDS catalogue, with a config and a version if needed.
        data_dir: folder of all prepared datasets.

    Returns:
        the folder of the dataset.

    Raises:
        RunError: BAD_CONFIG for an unknown name, or data that have to be downloaded by hand before;
            TRANSIENT where the download fails; BAD_DATA where it is not what TFDS expects.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    try:
        # try_gcs would ask a bucket first, and stall for minutes where there is no network.
        builder = tfds.builder(name, data_dir=data_dir, try_gcs=False, file_format="tfrecord")
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(ExitCode.BAD_CONFIG, f"--name={name}: {reason}") from error
    try:
        builder.download_and_prepare()
    except (OSError, tfds.download.DownloadError) as error:
        advice = "correct the network or the disk and start again"
        raise _failed(ExitCode.TRANSIENT, name, data_dir, error, advice) from error
    except NonMatchingChecksumError as error:
        advice = "its source may have changed: try another version, or a newer tensorflow-datasets"
        raise _failed(ExitCode.BAD_DATA, name, data_dir, error, advice) from error
    except AssertionError as error:  # so TFDS tells of files that have to be downloaded by hand
        advice = "do as it says and start again"
        raise _failed(ExitCode.BAD_CONFIG, name, data_dir, error, advice) from error
    return pathlib.Path(str(builder.data_path))


def _failed(
    code: ExitCode, name: str, data_dir: pathlib.Path, error: Exception, advice: str
) -> RunError:
    reason = " ".join(str(error).split())
    where = f"--name={name} --data_dir={data_dir}"
    return RunError(code, f"{where}: {type(error).__name__}: {reason}; {advice}")
