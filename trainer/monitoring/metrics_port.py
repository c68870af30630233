"""`--metrics_port`: the numbers of a worker for Prometheus, as they were at the last log line.

The loop sets a few gauges where it logs; a scrape is answered by another thread and does not
reach the loop.
"""

from collections.abc import Callable, Mapping

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError

Counts = Callable[[], Mapping[str, float]]
_GAUGES = {
    "step": "Updates so far.",
    "loss": "Mean training loss since the epoch began.",
    "learning_rate": "Of optimizer main, for the next update.",
    "epoch": "Passes over the training data so far.",
    "examples_per_second": "Over all replicas, since the line before.",
    "saves": "Checkpoints that this process has begun to write.",
    "restarts": "Processes that worked on this run before this one; only the chief knows.",
    "skipped_updates": "Left out since the epoch began.",
    "goodput": "Share of the time in updates that are in the final state.",
}
_STEP_TIMES = {"step_ms_p50": "p50", "step_ms_p99": "p99", "data_ms": "data", "host_ms": "host"}


class MetricsPort:
    """Serves /metrics of this process, and takes the numbers of a step as writers do.

    Args:
        port: of all interfaces, as a pod is scraped from outside of it.
        counts: () -> name -> number, of "saves", "restarts", "goodput" and "seconds/BUCKET".

    Raises:
        RunError: BAD_FLAG where the port is taken.
    """

    def __init__(self, port: int, counts: Counts) -> None:
        # Half a second that only a run with the flag pays.
        from prometheus_client import (
            CollectorRegistry,
            Gauge,
            ProcessCollector,
            start_http_server,
        )

        self._counts = counts
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, CPU, open files
        self._gauges = {n: Gauge(f"lockstep_{n}", h, registry=registry) for n, h in _GAUGES.items()}
        metric, time, spent = "lockstep_metric", "lockstep_step_time_seconds", "lockstep_seconds"
        self._metrics = Gauge(metric, "Of training and evaluation.", ["name"], registry=registry)
        self._times = Gauge(time, "Of one step: median, p99, waits.", ["part"], registry=registry)
        self._seconds = Gauge(spent, "Of the run, by what it did.", ["bucket"], registry=registry)
        try:
            self._server, self._thread = start_http_server(port, registry=registry)
        except OSError as error:
            raise RunError(
                ExitCode.BAD_FLAG, f"--metrics_port={port}: {error.strerror}; name another"
            ) from error

    def progress(self, step: int, loss: float) -> None:
        """Note how far the run is."""
        self._gauges["step"].set(step)
        self._gauges["loss"].set(loss)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Note the numbers of a step."""
        self._gauges["step"].set(step)
        for name, value in {**values, **self._counts()}.items():
            kind, _, rest = name.partition("/")
            if kind in ("train", "eval"):
                self._metrics.labels(name).set(value)
            elif kind == "time" and rest in _STEP_TIMES:
                self._times.labels(_STEP_TIMES[rest]).set(value / 1e3)
            elif kind == "seconds":
                self._seconds.labels(rest).set(value)
            elif name in self._gauges:
                self._gauges[name].set(value)
        if "train/loss" in values:
            self._gauges["skipped_updates"].set(values.get("train/skipped_steps", 0))

    def close(self) -> None:
        """Free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def port_of(port: int, cluster: Cluster) -> int:
    """Return the port of this worker: those of one host take one after another; 0: none."""
    if not port or not cluster.workers:
        return port
    hosts = [address.rpartition(":")[0] for address in cluster.workers[: cluster.index + 1]]
    return port + hosts[:-1].count(hosts[-1])
