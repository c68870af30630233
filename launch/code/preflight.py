"""The preflight of a job: the trainer's checks of its config, before it is sent."""

import tempfile
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from launch.spec import trainer_args
from launch.spec.job import JobSpec
from launch.spec.judged import judge
from launch.spec.labels import CODE_DIR


def check(spec: JobSpec) -> None:
    """Refuse a job whose config the trainer would refuse; what cannot be checked here passes.

    Raises:
        RunError: BAD_FLAG or BAD_CONFIG, with the trainer's message.
    """
    if spec.command[-2:] != JobSpec.command[-2:] or not trainer_args.is_run(spec.args):
        return
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        for path, content in spec.code.files if spec.code else ():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_bytes(content)
        # On this machine the backend adds it; on a cluster a run without one is refused.
        is_given = spec.workdir or spec.command == JobSpec.command
        own = [] if is_given else [f"--workdir=runs/{spec.name}"]
        own += [f"--config.train_steps={rule.train_steps}" for rule in spec.halving]
        trials = [[*spec.args, *own, *trial] for trial in spec.trials or [()]]
        lines = [[arg.replace(CODE_DIR, folder) for arg in args] for args in trials]
        judged = judge([(args, {}) for args in lines], folder)
    for code, refusal, _ in judged:
        if code:
            reason = refusal.replace(folder, "")
            said = f"{reason} (nothing was sent; --nocheck sends it all the same)"
            raise RunError(next(known for known in ExitCode if known == code), said)
