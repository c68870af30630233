"""`--debug`: two steps and an evaluation as plain Python, then compared with the compiled ones."""

import bdb
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer import build, checkpoint, user_code
from trainer.cluster import strategy
from trainer.engine import eager
from trainer.engine.forward_step import make_eval_step
from trainer.engine.inner_loop import InnerLoop
from trainer.engine.step import Microbatches, Sums, make_train_step
from trainer.run import child, chosen, parents, workdir
from trainer.run.request import Request
from trainer.run.session import Session, open_session, refuse_several

STEPS = 2
_TOLERANCE, _TOLERANCE_OF_16_BITS = 1e-5, 1e-2


@dataclasses.dataclass(frozen=True)
class Made:
    """What was computed as Python.

    Attributes:
        name: "step 0", or "evaluation".
        step: its number; of an evaluation None.
        state: that it began with.
        loss: mean over the global batch.
    """

    name: str
    step: int | None
    state: dict[str, np.ndarray]
    loss: float


def debug(request: Request, where: str) -> Iterator[str]:
    """Make two steps and evaluate a batch as Python, on one replica, then compiled; write nothing.

    The compiled step starts each time from the state that the other one started with, so that what
    an optimizer makes of the last bits of a gradient does not add up.

    Args:
        request: what to train.
        where: workdir of a run, whose newest checkpoint is started from; empty, or without one: the
            beginning.

    Yields:
        What to say.

    Raises:
        RunError: BAD_FLAG for more than one replica; BAD_CONFIG where the step cannot be compiled,
            or computes another loss then.
    """
    refuse_several("debug", strategy.count_replicas(request.placement))
    made = []
    try:
        for one in _as_python(request, where):
            yield f"{one.name}: loss {one.loss:.7g}, as Python"
            made.append(one)
    except bdb.BdbQuit:
        yield "debug: the debugger was left; nothing was compared"
        return
    is_whole = request.config.precision == "float32"
    tolerance = _TOLERANCE if is_whole else _TOLERANCE_OF_16_BITS
    for one, loss in zip(made, _as_compiled(request, made), strict=True):
        _refuse_other(one, loss, tolerance)
    how, count = request.config.execution, len(made)
    yield f"debug: {count} losses as Python and as compiled (execution={how}) agree to {tolerance}"


def _as_python(request: Request, where: str) -> Iterator[Made]:
    # Not of the whole loop: nothing is compiled, and the random numbers follow from the plan alone.
    config = dataclasses.replace(request.config, execution="graph")
    session = open_session(dataclasses.replace(request, config=config), is_eager=True)
    plan, task = build.step_plan(request.config), session.task
    first = _begin(session, where)
    train = make_train_step(task, plan)
    for step in range(first, min(first + STEPS, request.plan.total_steps)):
        yield _made(session, train, session.train, step, f"step {step}")
    if session.evaluate:
        yield _made(session, make_eval_step(task, plan), session.evaluate, None, "evaluation")


def _begin(session: Session, where: str) -> int:
    """Bring the session to where a run would begin or go on; return its step.

    Raises:
        RunError: BAD_FLAG where the run is at its end.
    """
    config, total = session.request.config, session.request.plan.total_steps
    with workdir.opened(where) as folder:
        if where and checkpoint.Store(folder.path / "checkpoints", folder.checkpoints_url).steps():
            state, meta = chosen.read(folder, "newest", "--workdir")
            checkpoint.match(state, session.task.state(), where)
            if meta.step >= total:
                raise RunError(
                    ExitCode.BAD_FLAG,
                    f"--debug: the run in --workdir={where} has made all {total} steps; leave "
                    "--workdir out to begin with the first",
                )
            session.write_state(state)
            session.rate_scale.assign(meta.progress["plateau"]["scale"])
            return meta.step
    if config.init.from_:
        found = parents.find(config.init, session.task.models)
        session.write_state(child.started(session.task, session.read_state(), found, config.init))
    return 0


def _made(
    session: Session,
    function: Callable[[Microbatches], Sums],
    loop: InnerLoop,
    step: int | None,
    name: str,
) -> Made:
    state, microbatches = session.read_state(), loop.microbatches(step or 0)
    with eager.functions_eager():
        sums = session.strategy.run(function, args=(microbatches,))
    return Made(name, step, state, _mean(sums))


def _as_compiled(request: Request, made: Sequence[Made]) -> list[float]:
    try:
        with eager.muted():
            session = open_session(request)
            return [_compiled(session, one) for one in made]
    except RunError:
        raise
    except Exception as error:  # whatever a graph does not allow
        what = user_code.mistake(error) or user_code.reason_of(error)
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{what}; --debug runs the step as Python, and training compiles it: a tensor has no "
            "value there for Python (.numpy(), float(), if); take that out before you train",
        ) from error


def _compiled(session: Session, one: Made) -> float:
    session.write_state(one.state)
    loop = session.evaluate if one.step is None else session.train
    assert loop is not None  # noqa: S101 - it was evaluated as Python
    return _mean({name: x[0] for name, x in loop(one.step or 0, 1).each.items()})


def _mean(sums: Mapping[str, Any]) -> float:
    return float(sums["loss"]) / float(sums["weight"])


def _refuse_other(one: Made, loss: float, tolerance: float) -> None:
    are_nan = math.isnan(one.loss) and math.isnan(loss)
    if are_nan or math.isclose(one.loss, loss, rel_tol=tolerance):
        return
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"--debug: {one.name}: loss {one.loss:.9g} as Python, and {loss:.9g} compiled: Python runs "
        "once when a step is compiled; look for what it decides or counts (if on a tensor, random, "
        "NumPy, a list that grows), and for tensors that are kept between calls",
    )
