"""Entry point: flags -> config -> plan -> run -> exit code."""

import dataclasses
import functools
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from common import processes, redaction
from common.cluster_description import Cluster, read_cluster
from common.exit_codes import ExitCode, RunError
from trainer import commands, failpoints, user_code, version
from trainer.cluster import placement, rendezvous
from trainer.config import TrainConfig, checks, conversion, experiment_file, parts
from trainer.config.flags import FLAGS, help_text, take_fields
from trainer.data.info import DatasetInfo
from trainer.data.records.files import Stage
from trainer.monitoring import goodput, profile
from trainer.monitoring.phases import Phases
from trainer.monitoring.stop import StopSignal
from trainer.monitoring.watchdog import Watchdog
from trainer.plan import Plan, make_plan, microbatches_per_replica
from trainer.run.expected_time import expected_time
from trainer.run.fast_dev_run import fast_dev_run, few_batches
from trainer.runtime import compile_cache, quiet, xla_flags


@dataclasses.dataclass(frozen=True)
class Request:
    """A run that was asked for and may be started: everything is known to fit together."""

    config: TrainConfig
    info: DatasetInfo
    plan: Plan
    cluster: Cluster


def main(argv: Sequence[str]) -> ExitCode:
    """Run the command line; every failure ends in one line and its exit code."""
    # TensorFlow's notes would bury our lines; its errors stay.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    xla_flags.fix_gpu_bits(os.environ)
    code = ExitCode.DONE
    try:
        if (command := commands.find(argv)) is not None:
            command(argv[2:])
            return ExitCode.DONE
        if {"-h", "--help"} & set(argv):
            print(help_text(commands.usage()), end="")
            return ExitCode.DONE
        if "--version" in argv:
            print(version.version_text(), end="")
            return ExitCode.DONE
        code = ExitCode.TRANSIENT  # of a run whose log nobody takes any more
        with StopSignal() as stop:
            with quiet.loading():
                request = prepare(argv, os.environ)
            lines = _dry_run(request) if FLAGS.dry_run else _train(request, stop)
        code = ExitCode.DONE
        for line in lines:
            print(line)
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing may be written at exit either.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except RunError as error:
        redaction.complain(error.code.last_line(error.reason))
        return error.code
    except Exception as error:
        return user_code.tell(error)
    return code


def prepare(argv: Sequence[str], environment: Mapping[str, str]) -> Request:
    """Check all that can be checked before TensorFlow is imported.

    Raises:
        RunError: with the first thing that is wrong.
    """
    config = _parse(argv)
    checks.refuse_secrets(argv, conversion.to_plain(config))
    cluster = read_cluster(environment)
    _check_placement(config, cluster)
    parts.check_names(config)
    profile.parse(FLAGS.profile)
    from trainer.data import sources  # NumPy starts threads; signals have to be blocked by then

    info = sources.describe(config.dataset, _stage(cluster))
    for line in info.skipped:
        print(f"skipped: {line}", file=sys.stderr)
    if FLAGS.overfit_batches:
        info = few_batches(info, FLAGS.overfit_batches, config.global_batch_size)
    plan = make_plan(config, info)
    if FLAGS.fast_dev_run and cluster.num_workers > 1:
        raise RunError(ExitCode.BAD_FLAG, "--fast_dev_run is for one process; unset TF_CONFIG")
    if not (FLAGS.workdir or FLAGS.dry_run or FLAGS.fast_dev_run):
        raise RunError(ExitCode.BAD_FLAG, "--workdir is missing: the folder of the run")
    return Request(config, info, plan, cluster)


def _stage(cluster: Cluster) -> Stage:
    """Return where this host stages remote data; every process reads two splits at a time."""
    return Stage(FLAGS.stage_dir, FLAGS.stage_bytes, 2 * cluster.num_on_host)


def _train(request: Request, stop: StopSignal) -> list[str]:
    """Run with everything that ends a run early; return what is said at its end."""
    failpoints.check()
    ledger = goodput.Ledger(started=processes.started_at())
    deadlines = (FLAGS.startup_deadline_secs, FLAGS.hang_deadline_secs)
    compile_cache.keep_programs(FLAGS.compile_cache, os.environ)
    gc.disable()  # what the start makes stays
    with Watchdog(*deadlines) as watchdog:
        with ledger.spend("peers"):
            rendezvous.meet(request.cluster, conversion.to_plain(request.config), deadlines[0])
        phases = Phases(watchdog, ledger, started=_collect_garbage_again)
        with phases.phase("start"), quiet.loading():
            from trainer.cluster import peers, strategy
            from trainer.run import loop
        cluster = request.cluster
        placement = strategy.Placement(
            FLAGS.strategy, FLAGS.cpu_replicas, FLAGS.tpu, cluster,
            stage=_stage(cluster), log_examples=FLAGS.log_examples,
            profile=profile.parse(FLAGS.profile),
        )  # fmt: skip
        run = functools.partial(loop.run, stop=stop, phases=phases)
        with peers.naming_lost(cluster):
            if FLAGS.fast_dev_run:
                summary = fast_dev_run(
                    request.config,
                    request.info,
                    lambda config, info, plan, where: run(config, info, plan, placement, where),
                )
            else:
                summary = run(request.config, request.info, request.plan, placement, FLAGS.workdir)
    return [_last_line(summary)] if cluster.is_chief else []


def _collect_garbage_again() -> None:
    """End the start: what it made stays for the whole run and need not be looked at any more."""
    gc.freeze()
    gc.enable()


def _dry_run(request: Request) -> list[str]:
    with quiet.loading():
        from trainer.cluster import strategy
        from trainer.run import dry_run

    config, info, plan = request.config, request.info, request.plan
    where = strategy.Placement(FLAGS.strategy, FLAGS.cpu_replicas, FLAGS.tpu, request.cluster)
    num_replicas = strategy.count_replicas(where)
    strategy.let_memory_grow()
    rows = dry_run.rows(config, info, plan, num_replicas, request.cluster)
    rows.append(("time", expected_time(FLAGS.workdir, FLAGS.config, plan.total_steps)))
    if FLAGS.assume_topology:
        rows += dry_run.check_tpu(config, info, plan, FLAGS.assume_topology)
    return [f"{name:30}{value}" for name, value in rows]


def _parse(argv: Sequence[str]) -> TrainConfig:
    """Return the config that the command line asks for; placement stays in FLAGS."""
    settings, others = take_fields(argv)
    try:
        rest = FLAGS(others)
    except flags.Error as error:
        raise RunError(ExitCode.BAD_FLAG, str(error)) from error
    if len(rest) > 1:
        raise RunError(ExitCode.BAD_FLAG, f"{rest[1]!r} is not a flag; flags begin with --")
    return conversion.override(experiment_file.load(FLAGS.config), settings)


def _check_placement(config: TrainConfig, cluster: Cluster) -> None:
    """Refuse placement flags that contradict each other, the cluster or the config."""
    asked = FLAGS.strategy
    placement.refuse(asked, FLAGS.cpu_replicas, FLAGS.tpu)
    if FLAGS.assume_topology and not (asked == "tpu" and FLAGS.dry_run):
        raise RunError(ExitCode.BAD_FLAG, "--assume_topology needs --dry_run --strategy=tpu")
    if asked == "multi_worker" and cluster.num_workers == 1:
        raise RunError(
            ExitCode.BAD_CONFIG,
            "--strategy=multi_worker: TF_CONFIG names no workers; set it, or use another strategy",
        )
    if cluster.num_workers > 1 and (FLAGS.tpu or asked not in ("auto", "multi_worker")):
        other = f"--tpu={FLAGS.tpu}" if FLAGS.tpu else f"--strategy={asked}"
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"TF_CONFIG names {cluster.num_workers} workers and {other} uses one "
            "process; unset TF_CONFIG, or use --strategy=multi_worker",
        )
    if FLAGS.cpu_replicas > 1 and cluster.num_workers > 1:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--cpu_replicas={FLAGS.cpu_replicas} with {cluster.num_workers} workers: every "
            "worker is one replica; leave it out",
        )
    if FLAGS.cpu_replicas or cluster.num_workers > 1:
        microbatches_per_replica(
            config.virtual_replicas, max(1, FLAGS.cpu_replicas) * cluster.num_workers
        )


def _last_line(summary: Mapping[str, Any]) -> str:
    shown = {f"held-out {name}": value for name, value in summary["eval"].items()}
    shown = shown or {f"training {name}": value for name, value in summary["train"].items()}
    values = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
    return f"done: {summary['step']} steps, {values}, state {summary['state_digest'][:16]}"


if __name__ == "__main__":
    code = main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    # TensorFlow's threads print errors while the interpreter takes itself down, after our last
    # line, and may hang there when a worker is gone. Everything of ours is closed by now.
    os._exit(code)
