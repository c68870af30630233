"""The trainer with a planted bug: a check that does not fail on it checks nothing.

`python -m tests.chaos.sabotaged NAME --workdir=...`; NAME is a function of this file, or a fault of
`device_faults`.
"""

import dataclasses
import os
import signal
import sys

from tests.chaos import device_faults


def forgets_optimizer() -> None:
    """Restore weights and leave the optimizer's slots as they were created."""
    from trainer.run.session import Session

    def write_state(self, state):
        for name, variable in self.task.state().items():
            if not name.startswith("optimizer/"):
                variable.assign(state[name])

    Session.write_state = write_state


def commits_before_it_writes() -> None:
    """Trust any folder with the right name."""
    from trainer.checkpoint import folder

    folder.damage = lambda _: None


def swallows_signals() -> None:
    from trainer.monitoring.stop import StopSignal

    StopSignal._take = lambda *_: None


def dies_of_a_second_signal() -> None:
    from common.exit_codes import ExitCode
    from trainer.monitoring.stop import StopSignal

    real = StopSignal._take

    def take(self, name):
        if self.requested():
            os._exit(ExitCode.STOPPED)
        real(self, name)

    StopSignal._take = take


def forgets_the_stop_save() -> None:
    from trainer.run.checkpoints import Checkpoints

    Checkpoints.save_last = lambda *_: None


def applies_every_update() -> None:
    """Leave out the guard: a step that is not finite is written as well."""
    import tensorflow as tf

    from trainer.engine import step

    real = tf.math.is_finite
    step.tf.math.is_finite = lambda x: tf.logical_or(real(x), True)


def sees_no_spike() -> None:
    import tensorflow as tf

    from trainer.optimizers.loss_spike import LossSpike

    LossSpike.is_spike = lambda *_: tf.constant(False)


def never_barks() -> None:
    from trainer.monitoring.watchdog import Watchdog

    Watchdog.check = lambda _: None


def seeds_from_the_clock() -> None:
    """Make a run a function of when it was started."""
    import time

    from trainer.run import loop

    real = loop.open_session

    def open_session(request):
        config = dataclasses.replace(request.config, seed=time.time_ns() % 2**31)
        return real(dataclasses.replace(request, config=config))

    loop.open_session = open_session


def numbers_microbatches_by_replica() -> None:
    """Number the microbatches of every replica from zero, as if each were alone."""
    import tensorflow as tf

    from trainer.engine.step import Microbatches

    real = Microbatches.inputs

    def inputs(self, plan, call):
        return real(dataclasses.replace(self, first=tf.zeros_like(self.first)), plan, call)

    Microbatches.inputs = inputs


def stops_alone() -> None:
    """Ask nobody else whether to stop."""
    from trainer.cluster.consensus import Consensus

    real = Consensus.at_boundary

    def at_boundary(self, *, stop, secs_per_step):
        _, secs = real(self, stop=False, secs_per_step=secs_per_step)
        return stop, secs

    Consensus.at_boundary = at_boundary


def names_nobody() -> None:
    from trainer.cluster import peers

    peers._who = lambda *_: "a worker"


def waits_for_ever() -> None:
    """Take a lost worker for one that is late."""
    import time

    from trainer.cluster import peers

    never_barks()
    peers._who = lambda *_: time.sleep(10**6)


def meets_without_a_deadline() -> None:
    from trainer.cluster import rendezvous

    real = rendezvous.meet
    rendezvous.meet = lambda cluster, config, _, **data: real(cluster, config, 10.0**6, **data)


def leaves_first() -> None:
    """Let the chief take down the service that the others still use, in the interpreter's way."""
    import time

    from trainer.cluster import peers

    def leave(cluster):
        if not cluster.is_chief:
            time.sleep(8)

    peers.wait_until_gone = leave


def never_prunes() -> None:
    from trainer.checkpoint.store import Store

    Store._prune = lambda *_: None


def saves_slowly() -> None:
    """Take far longer for the first save than a step is learnt to take; no bug, a slow store."""
    import itertools
    import time

    from trainer.checkpoint.store import Store
    from trainer.monitoring import watchdog

    watchdog.FLOOR_SECS, watchdog._FACTOR = 5.0, 2.0  # a loaded machine makes slow steps
    real, waits = Store.save, itertools.chain([25], itertools.repeat(0))

    def save(self, *args, **options):
        time.sleep(next(waits))
        real(self, *args, **options)

    Store.save = save


def learns_of_everything() -> None:
    """Wait for nobody longer than for oneself."""
    from trainer.monitoring.watchdog import Watchdog

    saves_slowly()
    Watchdog.never_learn = lambda *_: None


def keeps_memory() -> None:
    """Forget nothing that was ever saved."""
    from trainer.checkpoint.store import Store

    real, kept = Store.save, []

    def save(self, *args, **options):
        kept.append(os.urandom(1 << 19))
        real(self, *args, **options)

    Store.save = save


def hides_a_failed_save() -> None:
    """End well although the disk refused."""
    import contextlib

    from common.exit_codes import RunError
    from trainer.checkpoint.store import Store

    real = Store.save

    def save(self, *args, **options):
        with contextlib.suppress(RunError):
            real(self, *args, **options)

    Store.save = save


def trusts_the_bucket() -> None:
    """Bring whatever files lie there, committed or not."""
    from trainer import storage
    from trainer.checkpoint import folder
    from trainer.checkpoint.store import Store

    def bring(self, name):
        for file in storage.list_files(f"{self._url}/{name}/*"):
            path = self.folder / name / file.url.rpartition("/")[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            storage.download(file.url, path)

    Store._bring = bring
    folder.damage = lambda _: None


if __name__ == "__main__":
    # A planted bug may import TensorFlow, whose threads must not take the signals of the run.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    name = sys.argv.pop(1)
    {**vars(device_faults), **globals()}[name]()
    from trainer.__main__ import main

    code = main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
