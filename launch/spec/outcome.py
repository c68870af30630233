"""Whether a job whose workers ended with 0 has finished its run: then it has written a summary.

Exit code 0 alone proves nothing: any line of the user's code can end a process with it.
"""

from collections.abc import Callable, Sequence

from launch.spec import trainer_args

# With these the trainer writes no summary, as with a verb in place of the flags.
_NO_RUN = {"dry_run", "fast_dev_run", "debug", "help", "h", "version"}
EARLY = "ended with 0 before the run's end"
ADVICE = "look for exit() in the experiment and in what it imports"


def doubt(args: Sequence[str], modified: Callable[[str], float], since: float) -> str:
    """Why a command that ended with 0 has not finished its run; "" where it has, or trains nothing.

    Args:
        args: what the trainer was given.
        modified: when a file was written, in Unix seconds; raises OSError where there is none.
        since: when the job was submitted; a summary of an earlier run says nothing of this one.

    Raises:
        OSError: the store does not tell; where it is out of reach, the exit codes have to do.
    """
    workdir = trainer_args.value(args, "workdir")
    names = {arg.lstrip("-").partition("=")[0] for arg in args if arg.startswith("-")}
    if not workdir or not trainer_args.is_run(args) or names & _NO_RUN:
        return ""
    path = f"{workdir.rstrip('/')}/summary.json"
    try:
        if modified(path) >= since:
            return ""
    except FileNotFoundError:
        pass
    return f"every worker ended with 0, and {path} was not written: {EARLY}; {ADVICE}"
