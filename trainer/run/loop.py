"""A run, read from top to bottom: open, restore, the loop, finish.

Between two boundaries the host does nothing: one call of the inner loop makes many steps. Whatever
has an effect happens at a boundary, in the order that is numbered in `train`. `RunState` says of
each effect at which step it was done, so that what a signal or a kill cut off is still due after a
restart, and nothing is done twice.
"""

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from trainer import failpoints
from trainer.cluster import peers
from trainer.cluster.consensus import Consensus
from trainer.monitoring.metric_writer import Writers, make_writers
from trainer.monitoring.metrics_port import port_of
from trainer.monitoring.phases import Phases, StepTimes
from trainer.monitoring.profile import Profiler
from trainer.monitoring.stop import StopSignal, stopped
from trainer.run import (
    child,
    evaluation,
    longer,
    steps,
    stopping,
    summary,
    workdir,
    workdir_lock,
)
from trainer.run.boundaries import Asked, Boundary
from trainer.run.checkpoints import Checkpoints, open_checkpoints
from trainer.run.corruption import Comparison
from trainer.run.request import Request
from trainer.run.session import Session, cores_without_work, open_session
from trainer.run.state import RunState
from trainer.run.workdir import Workdir


def run(request: Request, where: str, *, stop: StopSignal, phases: Phases) -> dict[str, Any]:
    """Train to the last step, or go on from the newest checkpoint in the workdir `where`.

    Args:
        request: what to train, and on what.
        where: folder of the run, or its URL.
        stop: signals of this process.
        phases: deadlines and booked seconds of this process.

    Returns:
        What `summary.json` says.

    Raises:
        RunError: with the exit code of the process.
    """
    with contextlib.ExitStack() as stack:
        # Open.
        with phases.phase("start"):
            check_lock, folder, session = start(request, where, phases, stack)
            consensus = Consensus(session.strategy, request.placement.cluster)
            # Until here there was nothing to save, and a signal ended the process at once.
            stop.defer()

        # Restore.
        checkpoints = open_checkpoints(request, folder, phases, check_lock)
        if session.shards.stored:
            checkpoints.of_any = consensus.of_any
        stack.callback(checkpoints.saver.close)
        state = restore(session, checkpoints, consensus, folder)

        # Train. Seconds are booked as training from here on.
        phases.ledger.begin(state.step)
        writers, profiler = open_outputs(request, checkpoints, folder, stack)
        boundary = Boundary(
            stop,
            consensus,
            StepTimes(phases),
            check_lock,
            3600 * request.config.stop.max_hours,
            checkpoints.time_has_come,
        )
        comparison = Comparison(session, checkpoints, consensus, state.step)
        state = train(
            session, state, checkpoints, boundary, comparison, writers=writers, profiler=profiler
        )

        if state.is_over(request.plan):
            steps.refuse_idle(state, request.config)
        comparison.confirm(state)

        # Finish. Leave together when the result is safe.
        report = finish(session, state, checkpoints, boundary.times, writers=writers, folder=folder)
        leave_together(consensus, phases)
    if report["status"] == "stopped":
        raise stopped(state.step, request.plan.total_steps, folder.shown)
    return report


def start(
    request: Request, where: str, phases: Phases, stack: contextlib.ExitStack
) -> tuple[Callable[[], None], Workdir, Session]:
    """Return the check of the lock, the folder and the session; `stack` gives them back."""
    is_chief = request.is_chief
    if not is_chief:
        # Its steps also wait for what the chief alone does: saves that wait for an upload.
        phases.watchdog.never_learn("step", "compile")
    # The lock before the files are read: whoever holds it may still be writing them. The folder
    # before the session: the workdir of another run is refused before a device is used.
    check_lock = stack.enter_context(workdir_lock.held(where, is_chief=is_chief))
    folder = stack.enter_context(workdir.opened(where))
    longer.check_workdir(folder, request)
    with folder.claimed(request.config, is_chief=is_chief):
        if is_chief:
            phases.ledger.open(folder.path / "goodput.json")
            stack.callback(phases.ledger.write)
        failpoints.reach("strategy.before")
        return check_lock, folder, open_session(request)


def restore(
    session: Session, checkpoints: Checkpoints, consensus: Consensus, folder: Workdir
) -> RunState:
    """Return the state to go on from, and clear away what the run noted after it."""
    request = session.request
    with checkpoints.phases.phase("restore"):
        restored = child.restore_or_begin(session, checkpoints, consensus, folder)
        state = restored or RunState()
        # All workers have to stand at one step before the chief clears away what is later.
        consensus.same_step(state.step)
        if request.is_chief:
            folder.rewind(state.noted_step if restored else -1)
            if not state.is_over(request.plan):
                folder.drop_summary()
            checkpoints.saver.store.sweep()
            # Only where it can still be chosen: a run goes on with the config that it began with.
            if not state.step and (idle := cores_without_work(request)):
                print(f"CPU cores without work: {idle}", file=sys.stderr, flush=True)
    return state


def open_outputs(
    request: Request, checkpoints: Checkpoints, folder: Workdir, stack: contextlib.ExitStack
) -> tuple[Writers, Profiler]:
    """Return what writes the numbers of the run, and what traces it; `stack` closes both."""
    writers = make_writers(
        folder.path,
        request.plan.total_steps,
        is_chief=request.is_chief,
        metrics_port=port_of(request.metrics_port, request.placement.cluster),
        counts=checkpoints.counts,
        trackers=request.config.trackers,
        final_step=checkpoints.final_step,
    )
    stack.callback(writers.close)
    profiler = Profiler(request.profile, folder.path / "tensorboard")
    stack.callback(profiler.close)
    return writers, profiler


def train(
    session: Session,
    state: RunState,
    checkpoints: Checkpoints,
    boundary: Boundary,
    comparison: Comparison,
    *,
    writers: Writers,
    profiler: Profiler,
) -> RunState:
    """Go from boundary to boundary, until the last step or a signal; return the state there."""
    request, times, phases = session.request, boundary.times, boundary.times.phases
    while True:
        # 1. Ask for a stop. First, so that a signal costs no more than the call it came in. All
        #    workers get one answer and leave after the same step. Hours that are over end the run
        #    as its last step does.
        if (asked := boundary.ask(state.step)) is Asked.STOP:
            return state
        stopping.note_end(state, request.plan, time_is_up=asked is Asked.TIME_IS_UP)

        # 2. Compare the replicas. Before anything is written of a state that one of them may have
        #    spoiled.
        if comparison.is_due(state):
            writers.note(state.step, comparison.digests(state))

        # 3. Log. Before the evaluation: a metric of it may move the rate that this line shows.
        if summary.log_is_due(session, state):
            writers.write(state.step, summary.log_line(session, state, times))

        # 4. Evaluate. Before the save, which then holds what follows from the numbers: the best
        #    step, and the rate. A signal ends it half way; after the restart it is still due.
        if evaluation.is_due(session, state):
            with phases.phase("evaluate"):
                values = evaluation.evaluate(session, state.step, boundary)
            if values is None:
                return state
            evaluation.take_note(request.config, state, values)
            session.rate_scale.assign(state.plateau.scale)
            evaluation.publish(session, state, values, writers)
            if state.ended:
                continue  # the step that became the last one is logged like any other

        # 5. Save. After all that changes the state at this step, so that nothing is done twice. The
        #    replicas are compared before: those of regular saves were, in 2.
        comparison.confirm_save(state, by_time=asked is Asked.SAVE)
        checkpoints.save_if_due(session, state, by_time=asked is Asked.SAVE)

        # 6. End. Only here: the last step is logged and evaluated like any other.
        if state.is_over(request.plan) or 0 < request.until <= state.step:
            return state

        # 7. Train up to the next boundary: the one call in which the devices work.
        skipped = steps.advance(session, state, times, profiler)

        #    Who was frozen in it for long may have been taken for dead: it writes nothing more.
        boundary.check_lock()

        # 8. Say which steps were left out, before a rollback may end the run for them.
        if skipped.reasons and request.is_chief:
            steps.report(skipped.reasons, request, writers.workdir)
        if skipped.too_many:
            state = steps.roll_back(session, state, checkpoints, boundary.consensus)

        # 9. Show how far the run is. Last, for it shows the state that was just reached.
        if (loss := state.mean_loss) is not None:
            writers.progress(state.step, loss, times.steps_per_second)
        if profiler.has_ended():
            writers.write(state.step, summary.profile_line(session, times))


def finish(
    session: Session,
    state: RunState,
    checkpoints: Checkpoints,
    times: StepTimes,
    *,
    writers: Writers,
    folder: Workdir,
) -> dict[str, Any]:
    """Save, then write the summary: it vouches for a state that can be restored."""
    failpoints.reach("loop.before_last_save")
    checkpoints.save_last(session, state)
    with times.phases.phase("end", book="save"):
        report = summary.summarize(session, state, times, checkpoints.code)
        if report["status"] != "stopped":
            times.phases.ledger.end()
        with session.averages_in_place():
            if session.request.is_chief:
                summary.publish(report, session, folder, writers)
                folder.publish()
    return report


def leave_together(consensus: Consensus, phases: Phases) -> None:
    """Wait for all: the chief hosts the service whose end the others would complain about."""
    with phases.phase("leave", book="peers"):
        consensus.wait_for_all()
        peers.wait_until_gone(consensus.cluster)
