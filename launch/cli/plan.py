"""The preview of `submit`: hardware, image, time, cost, interruptions."""

import sys
from argparse import Namespace

from launch.code import remote_files
from launch.render.manifest import remark
from launch.render.placement import resources
from launch.spec import halving, trainer_args
from launch.spec.figures import Figures, of_run
from launch.spec.job import JobSpec


def must_ask(values: Namespace) -> bool:
    """Whether to ask: on a terminal, without --yes."""
    return not values.yes and sys.stdin.isatty() and sys.stderr.isatty()


def ask() -> bool:
    """Ask for confirmation; whether the answer is yes."""
    print("submit? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show(spec: JobSpec, values: Namespace) -> None:
    """Prints the preview on stderr, apart from the output of the verb."""
    # A bucket is looked into only where a run is named.
    earlier = values.like or (spec.workdir if values.backend == "local" else "")
    figures = of_run(earlier, remote_files.read_text) if earlier else None
    page = lines(spec, figures, values.price_per_hour, local=values.backend == "local")
    print("\n".join(page), file=sys.stderr, flush=True)


def lines(
    spec: JobSpec, figures: Figures | None, price_per_hour: float, *, local: bool
) -> list[str]:
    """The preview as rows of text.

    Args:
        spec: the job.
        figures: of an earlier run, or None.
        price_per_hour: of one worker; 0: unknown.
        local: whether it runs on this machine.
    """
    rows = [
        ("job", spec.name),
        ("hardware", _hardware(spec, local)),
        ("image", "" if local else spec.image),
        ("microbatches", _microbatches(spec)),
        ("trials", f"{len(spec.trials)}, {spec.parallel_trials} at a time" if spec.trials else ""),
        ("rungs", _rungs(spec)),
        ("workdir", spec.workdir),
        ("time", _time(spec, figures)),
        ("cost", _cost(spec, figures, price_per_hour)),
        ("remark", "" if local else remark(spec)),
        ("interruption", _interruption(figures) if spec.spot else ""),
    ]
    return [f"  {label:<14}{value}" for label, value in rows if value]


def _rungs(spec: JobSpec) -> str:
    found = [rung for rule in spec.halving for rung in halving.rungs(rule, len(spec.trials))]
    return ", ".join(f"{rung.trials} to step {rung.steps}" for rung in found)


def _hardware(spec: JobSpec, local: bool) -> str:
    if local:
        return f"{spec.workers} worker process{'es' * (spec.workers > 1)} on this machine"
    asked = resources(spec)["requests"]
    each = f"{asked['cpu']} CPU, {asked['memory']}"
    others = [f"{name}:{count}" for name, count in asked.items() if "/" in name]
    if spec.slice:
        device = f"{spec.device.title} {spec.slice.topology}, {spec.slice.hosts} host(s)"
    else:
        device = f"{spec.workers} x {spec.device.title}"
    where = ["spot machines" * spec.spot, f"queue {spec.queue}" if spec.queue else ""]
    said = [device, *others, f"{each} each", f"namespace {spec.namespace}", *where]
    return ", ".join(filter(None, said))


def _microbatches(spec: JobSpec) -> str:
    asked = trainer_args.whole_number(spec.args, "config.virtual_replicas")
    if asked is None:
        return f"those of the config, over {spec.replicas} replica(s)"
    return f"{asked} over {spec.replicas} replica(s), {asked // spec.replicas} each"


def _time(spec: JobSpec, figures: Figures | None) -> str:
    most = f"at most {spec.deadline_hours} h (--deadline_hours)"
    if figures is None:
        return f"unknown, {most}; --like=WORKDIR names an earlier run to go by"
    step = f"{1e3 * figures.secs_per_step:.3g} ms a step in {figures.workdir}"
    if not figures.hours:
        return f"{step}, its length is not known yet; {most}"
    on = f" on {figures.replicas} replica(s)"
    other = "" if figures.replicas == spec.replicas else f"; on {spec.replicas} not measured"
    return f"{step}: {figures.steps} steps take {_span(figures.hours)}{on}{other}; {most}"


def _cost(spec: JobSpec, figures: Figures | None, price_per_hour: float) -> str:
    if not price_per_hour:
        return ""
    units = min(spec.parallel_trials, len(spec.trials)) or (
        spec.slice.hosts if spec.slice else spec.workers
    )
    hourly = units * price_per_hour
    most = f"at most {hourly * spec.deadline_hours:,.2f}"
    if figures is None or not figures.hours or figures.replicas != spec.replicas or spec.trials:
        return f"{hourly:,.2f} an hour, {most}"
    # Time that is not in steps is paid for too.
    expected = hourly * figures.hours / max(figures.goodput, 0.01)
    return f"{hourly:,.2f} an hour, about {expected:,.2f} at the measured goodput, {most}"


def _interruption(figures: Figures | None) -> str:
    if figures is None:
        return "costs a start; the run is saved on SIGTERM and goes on bit for bit"
    return (
        f"costs about {figures.start_secs:.0f} s to start again; the run is saved on SIGTERM and "
        f"goes on bit for bit; measured goodput {figures.goodput:.0%}"
    )


def _span(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.0f} min" if hours > 0.05 else f"{3600 * hours:.0f} s"
