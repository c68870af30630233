"""The trainer's flags: where and how a run happens, and the fields of the config that it changes.

What is trained is said by the config alone: `--config.FIELD=VALUE` is a value of it, not a flag.
"""

import textwrap
from collections.abc import Sequence

from absl import flags

from common.exit_codes import ExitCode, RunError

FLAGS = flags.FLAGS

flags.DEFINE_string("config", "digits", "a name in trainer/configs/, or a Python file")
flags.DEFINE_string("workdir", "", "folder of the run; the same one goes on")
flags.DEFINE_bool("accept_code_change", False, "go on though the code is not the checkpoint's")

flags.DEFINE_bool("dry_run", False, "print the plan and stop")
flags.DEFINE_bool("fast_dev_run", False, "two steps through every code path; leaves nothing")
flags.DEFINE_bool("debug", False, "two steps as Python, where breakpoint() works")
flags.DEFINE_bool("debug_nan", False, "end at the first number that is not finite; say where")
flags.DEFINE_integer(
    "overfit_batches", 0, "train and evaluate on so many batches only", lower_bound=0
)
flags.DEFINE_string("assume_topology", "", "with --dry_run --strategy=tpu: compile without a TPU")

flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "cpu", "mirrored", "multi_worker", "tpu"],
    "what is there, this CPU, all GPUs, TF_CONFIG's workers, a TPU",
)
flags.DEFINE_integer("cpu_replicas", 0, "replicas on this CPU", lower_bound=0)
flags.DEFINE_string("tpu", "", "local, or grpc://host:8470")

flags.DEFINE_string("stage_dir", "", "folder for copies of remote data; or a temporary one")
flags.DEFINE_integer(
    "stage_bytes", 0, "most bytes of those copies; 0: most of the free disk", lower_bound=0
)
flags.DEFINE_string("compile_cache", "", "folder that keeps XLA's programs for the next start")
flags.DEFINE_string("log_examples", "", "file for step<TAB>microbatch<TAB>example id lines")
flags.register_validator("log_examples", lambda path: "://" not in path, "name a local file")

flags.DEFINE_string("profile", "", "START:STEPS, traced for TensorBoard into the workdir")
flags.DEFINE_integer("metrics_port", 0, "serve /metrics for Prometheus; 0: nowhere", 0, 65000)
flags.DEFINE_float("startup_deadline_secs", 600, "until workers meet, and training begins", 1)
flags.DEFINE_float("hang_deadline_secs", 1800, "longest that any later phase may take", 1)

GROUPS = {
    "what": ("config", "workdir", "accept_code_change"),
    "try it first": (
        "dry_run",
        "fast_dev_run",
        "debug",
        "debug_nan",
        "overfit_batches",
        "assume_topology",
    ),
    "where": ("strategy", "cpu_replicas", "tpu"),
    "data and traces": ("stage_dir", "stage_bytes", "compile_cache", "log_examples", "profile"),
    "monitoring": ("metrics_port", "startup_deadline_secs", "hang_deadline_secs"),
}
_FIELD = "--config."
_UNITS = ("train_steps", "epochs")
_WIDTH, _INDENT = 80, 27


def take_fields(args: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return what is asked of the config, for `conversion.override`, and all other arguments.

    The length of a run is given in one of two units: one that is asked for takes the other back.

    Raises:
        RunError: BAD_FLAG where a value is missing.
    """
    settings = [arg.removeprefix(_FIELD) for arg in args if arg.startswith(_FIELD)]
    for setting in settings:
        if "=" not in setting:
            raise RunError(ExitCode.BAD_FLAG, f"{_FIELD}{setting}: write --config.FIELD=VALUE")
    pairs = [(name, value) for name, _, value in (s.partition("=") for s in settings)]
    if len(given := {name for name, _ in pairs if name in _UNITS}) == 1:
        pairs += [(unit, "0") for unit in _UNITS if unit not in given]
    return pairs, [arg for arg in args if not arg.startswith(_FIELD)]


def help_text(commands: str) -> str:
    """Return what `--help` prints: it fits a screen, and names every flag.

    Args:
        commands: the verbs, one a line.
    """
    groups = "".join(f"{title}:\n{''.join(map(_line, names))}" for title, names in GROUPS.items())
    return (
        "python -m trainer --config=NAME_OR_FILE --workdir=DIR [--config.FIELD=VALUE ...]\n"
        f"or one of these, each with --help:\n{commands}{groups}\n"
        "  --version                of Lockstep and what it runs on\n"
    )


def _line(name: str) -> str:
    flag = FLAGS[name]
    default = f" [{flag.default:g}]" if isinstance(flag.default, float) else f" [{flag.default}]"
    says = f"{flag.help}{default if flag.default else ''}"
    start = f"  --{name}".ljust(_INDENT)
    return textwrap.fill(says, _WIDTH, initial_indent=start, subsequent_indent=" " * _INDENT) + "\n"
