"""From the command line to a request: flags, the cluster's description, and nothing else."""

from collections.abc import Mapping, Sequence

from absl import flags

from common.cluster_description import read_cluster
from common.exit_codes import ExitCode, RunError
from trainer.cluster.placement import Placement, check_modes
from trainer.config import TrainConfig, checks, conversion, experiment_file
from trainer.config.flags import FLAGS, take_fields
from trainer.data.records.files import Stage
from trainer.monitoring import profile
from trainer.run.request import Request, make_request
from trainer.runtime.early import EarlySetUp

_OF_ONE_PROCESS = ("fast_dev_run", "debug", "debug_nan")
_WITHOUT_WORKDIR = ("dry_run", "fast_dev_run", "debug")


def prepare(argv: Sequence[str], environment: Mapping[str, str]) -> Request:
    """Check all that can be checked before TensorFlow is imported.

    Raises:
        RunError: with the first thing that is wrong.
    """
    config = _parse(argv)
    # Before any other check: what the others say may repeat a secret.
    checks.refuse_secrets(argv, conversion.to_plain(config))
    placement = _placement(environment)
    check_modes(
        placement,
        assume_topology=FLAGS.assume_topology,
        is_dry_run=FLAGS.dry_run,
        trials=[flag for flag in _OF_ONE_PROCESS if FLAGS[flag].value],
    )
    request = make_request(
        config,
        placement,
        overfit_batches=FLAGS.overfit_batches,
        log_examples=FLAGS.log_examples,
        profile=profile.parse(FLAGS.profile),
        accept_code_change=FLAGS.accept_code_change,
        metrics_port=FLAGS.metrics_port,
        debug_nan=FLAGS.debug_nan,
    )
    check_workdir()
    return request


def check_workdir() -> None:
    """Refuse a run that has no folder, and needs one.

    Raises:
        RunError: BAD_FLAG.
    """
    if not (FLAGS.workdir or any(FLAGS[flag].value for flag in _WITHOUT_WORKDIR)):
        raise RunError(ExitCode.BAD_FLAG, "--workdir is missing: the folder of the run")


def read_flags(argv: Sequence[str]) -> list[tuple[str, str]]:
    """Return what is asked of the config; the flags of the run stay in FLAGS.

    Raises:
        RunError: BAD_FLAG.
    """
    settings, others = take_fields(argv)
    try:
        rest = FLAGS(others)
    except flags.Error as error:
        raise RunError(ExitCode.BAD_FLAG, str(error)) from error
    if len(rest) > 1:
        raise RunError(ExitCode.BAD_FLAG, f"{rest[1]!r} is not a flag; flags begin with --")
    return settings


def _parse(argv: Sequence[str]) -> TrainConfig:
    """Return the config that the command line asks for."""
    settings = read_flags(argv)
    # The experiment may use TensorFlow as soon as it is imported: what the command line tells is
    # known then; what the config tells, only behind that.
    told = dict(settings)
    threads = told.get("intra_op_threads", "")
    set_up = EarlySetUp(
        int(threads) if threads.isdecimal() else TrainConfig(epochs=1).intra_op_threads,
        "portable" if told.get("kernels") == "portable" else "native",
        FLAGS.cpu_replicas,
    )
    config = conversion.override(experiment_file.load(FLAGS.config), settings)
    set_up.settle(config.intra_op_threads, config.kernels)
    return config


def _placement(environment: Mapping[str, str]) -> Placement:
    cluster = read_cluster(environment)
    # Every process of this host reads two splits at a time, through one folder.
    stage = Stage(
        FLAGS.stage_dir, FLAGS.stage_bytes, 2 * cluster.num_on_host, cluster.num_workers > 1
    )
    return Placement(FLAGS.strategy, FLAGS.cpu_replicas, FLAGS.tpu, cluster, stage)
