"""The `--config.FIELD=VALUE` of a command line."""

from collections.abc import Sequence

from common.exit_codes import ExitCode, RunError

_PREFIX = "--config."
_UNITS = ("train_steps", "epochs")


def take(args: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return what is asked of the config, for `config_values.override`, and all other arguments.

    The length of a run is given in one of two units: one that is asked for takes the other back.

    Raises:
        RunError: BAD_FLAG where a value is missing.
    """
    settings = [arg.removeprefix(_PREFIX) for arg in args if arg.startswith(_PREFIX)]
    for setting in settings:
        if "=" not in setting:
            raise RunError(ExitCode.BAD_FLAG, f"{_PREFIX}{setting}: write --config.FIELD=VALUE")
    pairs = [(name, value) for name, _, value in (s.partition("=") for s in settings)]
    if len(given := {name for name, _ in pairs if name in _UNITS}) == 1:
        pairs += [(unit, "0") for unit in _UNITS if unit not in given]
    return pairs, [arg for arg in args if not arg.startswith(_PREFIX)]
