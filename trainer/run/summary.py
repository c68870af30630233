"""What a run says of itself in numbers: a line of the log, a profile, and the end."""

import dataclasses
from pathlib import Path
from typing import Any

from common import files, strict_json
from trainer import checkpoint, failpoints, lineage, version
from trainer.engine import exchange, flops
from trainer.monitoring.metric_writer import Writers
from trainer.monitoring.phases import StepTimes
from trainer.report import write as page
from trainer.run import boundaries, evaluation
from trainer.run.certificate import certificate
from trainer.run.session import Session
from trainer.run.state import RunState
from trainer.run.workdir import Workdir
from trainer.storage.failures import local_io


def log_is_due(session: Session, state: RunState) -> bool:
    """Whether this step is to be logged and was not; also after a restart."""
    config, plan = session.request.config, session.request.plan
    due = state.is_over(plan) or boundaries.log_is_due(config, plan, state.step)
    return due and state.totals is not None and state.logged_step != state.step


def log_line(session: Session, state: RunState, times: StepTimes) -> dict[str, float]:
    """Note the metrics of the training since the epoch began; return them with its pace."""
    assert state.totals is not None  # noqa: S101 - `log_is_due` has seen some
    state.train = evaluation.results(state.totals, session.task.metrics, int(state.totals["steps"]))
    state.logged_step = state.step
    plan = session.request.plan
    timed, rates = times.read(), {}
    if "steps_per_second" in timed:
        rate = timed.pop("steps_per_second") * plan.batch_size
        timed["examples_per_second_per_replica"] = rate / session.strategy.num_replicas_in_sync
        rates["examples_per_second"] = rate
    return {
        **{f"train/{name}": value for name, value in state.train.items()},
        "learning_rate": float(session.task.optimizers["main"].learning_rate),
        "epoch": plan.epochs_done(state.step),
        **rates,
        **{f"time/{name}": value for name, value in timed.items()},
    }


def profile_line(session: Session, times: StepTimes) -> dict[str, float]:
    """Measure where the time of a step goes, once the traced ones are over.

    Every worker has to call it. What is exchanged is measured apart from the steps, so that
    "compute_ms" is what remains.

    Returns:
        "data_ms", "compute_ms", "reduce_ms", "host_ms": of a step of this process so far, the
        first call left out; "gflops_per_second"; "peak_gflops_per_second" that matrix products
        reach here; "utilisation", their ratio; all below "profile/".
    """
    config, plan, ledger = session.request.config, session.request.plan, times.phases.ledger
    num_replicas = session.strategy.num_replicas_in_sync
    num_steps = max(1, times.num_steps - 1)
    booked = {name: ledger.seconds(name) / num_steps for name in ("step", "data", "other", "peers")}
    num_microbatches = config.virtual_replicas // num_replicas
    reduce = exchange.exchange_secs(
        session.strategy, session.task, num_microbatches, config.reduction
    )
    parts = {
        "data": booked["data"],
        "compute": max(0.0, booked["step"] - reduce),
        "reduce": reduce,
        "host": booked["other"] + booked["peers"],
    }
    graphs = [flops.forward_graph(m, plan.microbatch_size) for m in session.task.models.values()]
    made = flops.step_flops(graphs, config.virtual_replicas) / sum(parts.values())
    peak = flops.peak_flops_per_second(config.precision, num_replicas)
    values = {f"{name}_ms": 1e3 * secs for name, secs in parts.items()}
    values["gflops_per_second"] = made / 1e9
    values["peak_gflops_per_second"] = peak / 1e9
    values["utilisation"] = made / peak
    return {f"profile/{name}": value for name, value in values.items()}


def summarize(
    session: Session, state: RunState, times: StepTimes, code: lineage.Code
) -> dict[str, Any]:
    """Return what `summary.json` says, of a run that has ended in whatever way."""
    request, ledger = session.request, times.phases.ledger
    is_cut = evaluation.is_due(session, state) or log_is_due(session, state)
    status = "stopped" if is_cut else state.status(request.plan)
    goodput = ledger.report()
    digest = checkpoint.digest(session.read_state(), state.step)
    sources, data = lineage.summarized(code.files()), request.info.fingerprint()
    return {
        "step": state.step,
        "status": status,
        "ended_by": {"done": "", "stopped": "signal"}.get(status, state.ended),
        "train": state.train,
        "eval": state.evaluation,
        "state_digest": digest,
        "examples_per_second": times.steps_per_second * request.plan.batch_size,
        "replicas": session.strategy.num_replicas_in_sync,
        "virtual_replicas": request.config.virtual_replicas,
        "execution": request.config.execution,
        "seconds": {
            "total": ledger.lived(),
            "train": times.seconds,
        },
        "goodput": goodput,
        "code": sources,
        "certificate": certificate(request.config, sources, data, state.parent, digest),
        "kernels": version.kernels(),
        "parent": state.parent and state.parent.to_plain(),
        "changes": [dataclasses.asdict(change) for change in state.changes],
    }


def publish(summary: dict[str, Any], session: Session, folder: Workdir, writers: Writers) -> None:
    """Write the summary, then the page: the run has ended, whatever becomes of its page."""
    request, step = session.request, summary["step"]
    failpoints.reach("loop.before_summary")
    _write(folder.path, summary)
    if summary["status"] != "stopped":  # which goes on: the ledger follows it
        writers.write(step, _goodput_line(summary["goodput"]))
    folder.publish()
    failpoints.reach("loop.before_report")
    stage = request.placement.stage
    pictures = page.write(folder.path, session.task, request.info, request.plan, stage)
    writers.draw(step, lambda: pictures)


def _goodput_line(goodput: dict[str, Any]) -> dict[str, float]:
    """Return the goodput as scalars; empty buckets are left out."""
    seconds = {f"seconds/{name}": s for name, s in goodput["seconds"].items() if s > 0}
    return {"goodput": goodput["goodput"], **seconds}


def _write(path: Path, summary: dict[str, Any]) -> None:
    """Write `summary.json` into the folder `path`; it appears whole."""
    with local_io(path, "--workdir"):
        text = strict_json.dumps(summary, indent=2) + "\n"
        files.write_text(path / "summary.json", text, durable=True)
