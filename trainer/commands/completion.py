"""`python -m trainer completion SHELL`: a script that completes flags, configs and fields."""

from collections.abc import Sequence

from trainer import commands
from trainer.commands import Parser
from trainer.config import TrainConfig, experiment_file, flags
from trainer.config.conversion import leaves

_SCRIPT = """\
# Completes `python -m trainer`. Try it: source <(python -m trainer completion {shell})
{prepare}_lockstep() {{
  local line="${{COMP_LINE:0:$COMP_POINT}}" word
  local -a words
  local cur="${{line##* }}"
  COMPREPLY=()
  case "$line" in
    *"-m trainer "*) ;;
    *) return ;;
  esac
  case "$cur" in
    --config.*) words=({fields}) ;;
    --config=*) words=({configs}) ;;
    --strategy=*) words=({strategies}) ;;
    -*) words=({flags}) ;;
    *) [ "${{line%"$cur"}}" = "${{line%%-m trainer *}}-m trainer " ] && words=({commands}) ;;
  esac
  for word in "${{words[@]}}"; do
    case "$word" in "$cur"*) COMPREPLY+=("$word") ;; esac
  done
  # bash ends a word at "=" and wants only what comes after it
  case "$cur" in
    *=*) [ -n "$COMP_WORDBREAKS" ] && COMPREPLY=("${{COMPREPLY[@]#*=}}") ;;
  esac
  case "${{COMPREPLY[*]}}" in
    *=) compopt -o nospace 2>/dev/null ;;
  esac
}}
complete -o bashdefault -o default -F _lockstep python python3
"""
_PREPARE = {"bash": "", "zsh": "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n"}


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("completion", "Print a completion script for your shell.")
    parser.add_argument("shell", choices=_PREPARE)
    print(script(parser.parse_args(args).shell), end="")


def script(shell: str) -> str:
    """Return the script for `shell`, with the names that this version knows."""
    names = [name for group in flags.GROUPS.values() for name in group]
    strategies = flags.FLAGS["strategy"].parser.enum_values
    return _SCRIPT.format(
        shell=shell,
        prepare=_PREPARE[shell],
        fields=" ".join(f"--config.{field}=" for field in leaves(TrainConfig)),
        configs=" ".join(f"--config={name}" for name in experiment_file.names()),
        strategies=" ".join(f"--strategy={name}" for name in strategies),
        flags=" ".join(["--help", "--version", *map(_flag, names)]),
        commands=" ".join(commands.COMMANDS),
    )


def _flag(name: str) -> str:
    return f"--{name}" if flags.FLAGS[name].boolean else f"--{name}="
