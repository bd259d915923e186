"""`train_checked`: a whole run, from its checked configuration to its summary; an earlier run there is resumed.

It runs in this process; a strategy that divides the updates has further processes.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from tfdqn.acting.blas_threads import one_blas_thread
from tfdqn.cluster.local_workers import own_share, share_gpus
from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import Config
from tfdqn.coordination.sudden_end import told_of_sudden_end
from tfdqn.coordination.watchdog import GOES_ON, Watchdog
from tfdqn.errors import EnvironmentFailedError, FaultyTaskError, TaskError, UserError
from tfdqn.learning.devices import learning_devices, use_threads
from tfdqn.learning.strategies.chief import Chief
from tfdqn.learning.strategies.other_processes import OtherProcesses, start_processes
from tfdqn.records import EpisodeScores, Progress, Summary
from tfdqn.storage.completion import finished_summary
from tfdqn.storage.failures import (
    claimed_to_train,
    failures_are_reported,
    keep_interruption,
    keep_sudden_end,
    unsaved_end,
)
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.fork_server import ForkServer
from tfdqn.system.output import native_output_to
from tfdqn.system.processors import visible_gpus
from tfdqn.system.signals import heard_signal
from tfdqn.training import loops
from tfdqn.training.caller_errors import CallerErrors
from tfdqn.training.finish import run_to_end
from tfdqn.training.local_parts import LocalParts, local_session
from tfdqn.training.monitor import TrainingMonitor, begin_tracking
from tfdqn.training.session import Session


def train_checked(
    config: Config,
    cluster: Cluster | None,
    run: RunDir,
    show: Callable[[Progress], None],
    tell: Callable[[str], None],
    profile: bool,
    interrupted: Callable[[], bool],
    server: ForkServer | None,
) -> Summary:
    """Trains as `call.train` does, with a configuration that is checked, said, and has its cluster's keys.

    What `prerequisites` can refuse was refused. `server` is the result of `fork_server_of_workers`.
    """
    gpus = {} if cluster else share_gpus(config, visible_gpus(), tell)
    devices = learning_devices(config, own_share(config, gpus))
    errors = CallerErrors()
    show, tell = errors.taken_from(show, None), errors.taken_from(tell, None)
    with errors, claimed(config, run), native_output_to(run.native_log), one_blas_thread():
        must_stop = errors.taken_from(interrupted, True)

        def must_end() -> bool:  # an error alone doesn't end the caller's process, however long it takes to stop
            return must_stop() and (errors.first is None or bool(heard_signal()))

        with Watchdog("the run", config.health, tell, must_end, stalled=GOES_ON) as watchdog:
            say_if_left(run, tell, run.native_log)
            if (earlier := finished_already(config, run)) is not None:
                if cluster is None:
                    return earlier
                waiting = "the cluster's other processes are told so once all have met"
                tell(f"{run.path} has finished already: {earlier.reason}; {waiting}")
            use_threads(config)
            if cluster is None:
                others = start_processes(config, run, gpus, server, must_stop)
            else:
                others = OtherProcesses(config, cluster)
            for each in () if others is None else others.required_peers():
                watchdog.require(*each)
            chief = Chief(config, devices, tell, others)
            return train_claimed(config, run, chief, watchdog, show, tell, profile, must_stop)


def finished_already(config: Config, run: RunDir) -> Summary | None:
    """The summary of a claimed run that has finished before, which keeps its configuration; None: it hasn't."""
    earlier = finished_summary(run, config, has_evaluator=True)
    if earlier is not None:
        run.restore_config()
    return earlier


@contextmanager
def claimed(config: Config, run: RunDir) -> Iterator[None]:
    """Claims the run until the block ends, and reports what ends its training."""
    told = told_of_sudden_end(partial(keep_sudden_end, run))
    with failures_are_reported(run), claimed_to_train(run, config), told:
        yield


def train_claimed(
    config: Config,
    run: RunDir,
    chief: Chief,
    watchdog: Watchdog,
    show: Callable[[Progress], None],
    tell: Callable[[str], None],
    profile: bool,
    interrupted: Callable[[], bool],
) -> Summary:
    """Trains a claimed run, unless it has finished before; returns its summary and closes `chief`. See `call`."""

    def show_and_watch(progress: Progress) -> None:
        watchdog.state = progress.phase
        show(progress)

    with closing(chief), chief.lost_peers_as_cluster_error():
        try:
            watchdog.state = "training"
            with closing(local_session(config, run, chief, tell, interrupted, watchdog.work)) as session:
                summary = _train_to_end(session, show_and_watch, interrupted, profile)
                if summary.status == "interrupted":
                    keep_interruption(run, is_saved=run.has_checkpoint)
                return summary
        finally:
            watchdog.release_peers()


def _train_to_end(
    session: Session[LocalParts], show: Callable[[Progress], None], interrupted: Callable[[], bool], profile: bool
) -> Summary:
    """Trains the session to its end, unless the run has finished before; returns the summary."""
    if (earlier := finished_already(session.config, session.run_dir)) is not None:
        return earlier
    session.run_dir.cluster_file.unlink(missing_ok=True)  # of a job that has trained the run before
    trackers = begin_tracking(session, session.parts.evaluations.kept_env_steps)
    with closing(TrainingMonitor(session, trackers, show, interrupted, profile)) as monitor:

        def final_scores() -> EpisodeScores:
            monitor.show("final evaluation")
            return session.parts.evaluations.final_scores()

        try:
            return run_to_end(session, monitor, lambda: _train(session, monitor), monitor.show, final_scores)
        except (EnvironmentFailedError, FaultyTaskError) as error:
            session.work.finish()
            raise _save_before(error, session, monitor) from error


def _train(session: Session[LocalParts], monitor: TrainingMonitor) -> str:
    """Trains until a condition to stop holds, and returns it. If all steps were taken, evaluates the last weights."""
    overlaps = session.config.learner.schedule == "overlap"
    reason = (loops.overlap if overlaps else loops.alternate)(session, monitor)
    parts = session.parts
    if _lacks_last_evaluation(session):
        session.work.finish()  # nothing acts or learns any more, which is no stall
        monitor.evaluated(parts.evaluate(on_step=partial(session.record_progress, "evaluation")))
        return monitor.reason_to_stop() or reason
    return reason


def _lacks_last_evaluation(session: Session[LocalParts]) -> bool:
    """Whether all steps were taken, and the last weights are still to be evaluated."""
    parts = session.parts
    return parts.ratio.acting_is_done() and parts.evaluations.evaluated_train_steps != session.learner.train_steps


def say_if_left(run: RunDir, say: Callable[[str], None], native_log: Path) -> None:
    """Tells the user, by `say`, if the run's previous process ended without releasing its claim.

    `native_log` is the file that takes the output of C++ libraries.
    """
    if run.left_by is not None:
        say(unsaved_end(f"{run.left_by}, which trained here before,", native_log))


def _save_before(error: TaskError, session: Session[LocalParts], monitor: TrainingMonitor) -> TaskError:
    """Saves what came before an environment's failure; returns the error with that in its message."""
    try:
        session.save(monitor.seconds)
        how = f"saved at {session.env_steps:,} environment steps" if session.env_steps else "nothing was saved yet"
    except UserError as why:
        how = f"not saved: {why}"
    line = f"{error}; {how}"
    if isinstance(error, EnvironmentFailedError):
        return EnvironmentFailedError(line, error.traceback)
    return type(error)(line)
