"""Entry point: command line -> request -> run -> exit code."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import common.first_signal  # noqa: F401 - before all that takes time to import
from common import redaction, stacks
from common.exit_codes import ExitCode, RunError
from trainer import commands, failpoints, user_code, version
from trainer.cluster import rendezvous
from trainer.config import conversion
from trainer.config.flags import FLAGS, help_text
from trainer.monitoring.phases import watched
from trainer.monitoring.stop import StopSignal
from trainer.run.command_line import prepare
from trainer.run.request import Request
from trainer.runtime import quiet, xla


def main(argv: Sequence[str]) -> ExitCode:
    """Run the command line; every failure ends in one line and its exit code."""
    # TensorFlow's notes would bury our lines; its errors stay.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    xla.fix_gpu_bits(os.environ)
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
        with StopSignal() as stop, user_code.refusing_exit():
            stacks.offer()  # for `launch attach`, also while it starts
            with quiet.loading():
                request = prepare(argv, os.environ)
            lines = _made(request, stop)
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


def _made(request: Request, stop: StopSignal) -> list[str]:
    """Do what the flags ask for; return what is said at its end."""
    if FLAGS.dry_run:
        return _dry_run(request)
    return _debug(request) if FLAGS.debug else _train(request, stop)


def _debug(request: Request) -> list[str]:
    # No deadline: whoever is in the debugger takes their time.
    with quiet.loading():
        from trainer.run import debug
    for line in debug.debug(request, FLAGS.workdir):
        print(line, flush=True)
    return []


def _train(request: Request, stop: StopSignal) -> list[str]:
    """Run with everything that ends a run early; return what is said at its end."""
    failpoints.check()
    startup_secs, cluster = FLAGS.startup_deadline_secs, request.placement.cluster
    xla.keep_programs(FLAGS.compile_cache, os.environ)
    with watched(startup_secs, FLAGS.hang_deadline_secs) as phases:
        # Before TensorFlow, which would wait for a missing worker in silence.
        with phases.ledger.spend("peers"):
            rendezvous.meet(
                cluster,
                conversion.to_plain(request.config),
                startup_secs,
                data=request.info.fingerprint(),
            )
        with phases.phase("start"), quiet.loading():
            from trainer.cluster import peers
            from trainer.run import fast_dev_run, loop
        with peers.naming_lost(cluster):
            if FLAGS.fast_dev_run:
                summary = fast_dev_run.fast_dev_run(request, stop=stop, phases=phases)
            else:
                summary = loop.run(request, FLAGS.workdir, stop=stop, phases=phases)
    return [_last_line(summary)] if cluster.is_chief else []


def _dry_run(request: Request) -> list[str]:
    with quiet.loading():
        from trainer.run import dry_run

    return dry_run.lines(
        request,
        workdir=FLAGS.workdir,
        experiment=FLAGS.config,
        topology=FLAGS.assume_topology,
    )


def _last_line(summary: Mapping[str, Any]) -> str:
    from trainer.monitoring.console import first_of

    shown = {f"held-out {name}": value for name, value in first_of(summary["eval"]).items()}
    shown = shown or {f"training {n}": value for n, value in first_of(summary["train"]).items()}
    values = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
    status = summary["status"].replace("_", " ")
    return f"{status}: {summary['step']} steps, {values}, state {summary['state_digest'][:16]}"


if __name__ == "__main__":
    code = main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    # TensorFlow's threads print errors while the interpreter takes itself down, after our last
    # line, and may hang there when a worker is gone. Everything of ours is closed by now.
    os._exit(code)
