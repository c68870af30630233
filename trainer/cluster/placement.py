"""Placement flags of which one would have to be ignored."""

from common.exit_codes import ExitCode, RunError


def refuse(strategy: str, cpu_replicas: int, tpu: str) -> None:
    """Refuse what names two kinds of devices: neither may win without a word.

    Args:
        strategy: asked for by the flag.
        cpu_replicas: logical CPU devices; 0: not asked for.
        tpu: address of a TPU; empty: not asked for.

    Raises:
        RunError: BAD_FLAG naming both.
    """
    if tpu and strategy not in ("auto", "tpu"):
        raise RunError(ExitCode.BAD_FLAG, f"--tpu={tpu} contradicts --strategy={strategy}")
    other = f"--tpu={tpu}" if tpu else f"--strategy={strategy}"
    if cpu_replicas and (tpu or strategy in ("mirrored", "tpu")):
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--cpu_replicas={cpu_replicas} contradicts {other}: these replicas are on the CPU; "
            "leave one of the two out",
        )
