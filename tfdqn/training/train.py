"""`train`: a whole run, from its configuration to its summary; an earlier run in the directory is resumed.

It runs in this process; a strategy that divides the updates has further processes.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tfdqn.acting.blas_threads import one_blas_thread
from tfdqn.cluster.checks import cluster_for, cluster_overrides, given_keys, require_chief, unused_values
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.cluster.local_workers import fork_server_of_workers, own_share, share_gpus
from tfdqn.cluster.tf_config import VARIABLE, Cluster
from tfdqn.config import Config, toml
from tfdqn.config.headline import headline
from tfdqn.config.own_code import require_function
from tfdqn.coordination.sudden_end import told_of_sudden_end
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.errors import ConfigError, EnvironmentFailedError, FaultyTaskError, RunDirError, TaskError, UserError
from tfdqn.learning.devices import learning_devices, use_threads
from tfdqn.learning.strategies.chief import Chief
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
from tfdqn.system.signals import heard_signal, interruptions, unhandled_signals
from tfdqn.tasks.suites.processes import require_main_has_begun
from tfdqn.training import loops
from tfdqn.training.caller_errors import CallerErrors
from tfdqn.training.finish import run_to_end
from tfdqn.training.local_parts import LocalParts, local_session
from tfdqn.training.monitor import TrainingMonitor, begin_figures
from tfdqn.training.prerequisites import require_trainable
from tfdqn.training.session import Session


def train(
    config: Config,
    run_dir: RunDir | Path | str | None = None,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] | None = None,
    profile: bool = False,
    interrupted: Callable[[], bool] | None = None,
) -> Summary:
    """Trains the run that `config` describes, or resumes it. All results are written under `run_dir`.

    SIGINT, SIGTERM and SIGHUP save a checkpoint and return a summary with status "interrupted"; calling `train` again
    resumes. A second SIGINT raises KeyboardInterrupt. In two cases the whole process ends, and the last checkpoint
    remains: with status 75 (`errors.RESTART_STATUS`) if its work stalls, or another process of the cluster stays away,
    for longer than `config.health` allows; with status 143 if it can't save within 20 seconds of being asked to stop.

    Args:
      config: the whole configuration.
      run_dir: created if it does not exist; from then on it belongs to this configuration. It must be given: a Config
        doesn't know its file, after which `tfdqn train` names the directory.
      on_progress: called a few times a second with the present state.
      say: shows one line ("resumed at …").
      profile: record a profiler trace of the first seconds of learning, for TensorBoard.
      interrupted: returns whether to stop; several threads call it. With it, the caller's own signal handlers stay.

    Training also ends, and a checkpoint is saved first, if an environment breaks its contract, or fails more often than
    `task.restarts` allows; and if `on_progress`, `say` or `interrupted` raises an Exception or SystemExit, in any
    thread: `train` raises that very exception and calls none of the three again; it is no failure of the run. While the
    processes of a cluster wait for one another, only a signal ends training.

    Raises UserError (ConfigError, TaskError, RunDirError, CheckpointError, NotFiniteError, OwnCodeError) for problems
    that the user can correct.
    """
    _require_arguments(config, on_progress, say, interrupted)
    if run_dir is None:
        raise RunDirError(
            f'run_dir: give a directory for the run, such as "runs/my-run-seed{config.seed}"; a Config knows no '
            "file, after which `tfdqn train` names one"
        )
    run = RunDir.at(run_dir)
    show, tell = on_progress or (lambda progress: None), say or (lambda line: None)
    named, unused = cluster_of_environment(), dict[str, str]()
    given, config = config, toml.checked(config, cluster_overrides(named), unused, VARIABLE)
    cluster = cluster_for(config, named)
    for line in [] if cluster is None else unused_values(_without_defaults(given), cluster):
        tell(f"warning: {line}")
    run.refuse_unused(given_keys(unused, named), tell)
    tell(headline(config))
    with fork_server_of_workers(config, cluster, begins=False) as server:
        return train_checked(config, cluster, run, show, tell, profile, interrupted, server)


def _require_arguments(config: Any, on_progress: Any, say: Any, interrupted: Any) -> None:
    """Raises ConfigError for no Config, OwnCodeError for no such function, and what `require_main_has_begun` does."""
    require_main_has_begun()
    if not isinstance(config, Config):
        raise ConfigError(f"config: a tfdqn.Config is needed (tfdqn.load_config reads one), not {config!r}")
    if on_progress is not None:
        require_function(on_progress, "on_progress", "progress")
    if say is not None:
        require_function(say, "say", "line")
    if interrupted is not None:
        require_function(interrupted, "interrupted")


def _without_defaults(config: Config) -> dict[str, Any]:
    """The keys, by path, that have other values than a new configuration."""
    defaults = toml.flat(Config())
    return {key: value for key, value in toml.flat(config).items() if value != defaults.get(key)}


def train_checked(
    config: Config,
    cluster: Cluster | None,
    run: RunDir,
    show: Callable[[Progress], None],
    tell: Callable[[str], None],
    profile: bool,
    interrupted: Callable[[], bool] | None,
    server: ForkServer | None,
) -> Summary:
    """Trains as `train` does, with a configuration that is checked, said, and has the keys that its cluster decides.

    `server` is the result of `fork_server_of_workers`.
    """
    require_chief(cluster)
    require_trainable(config)
    gpus = {} if cluster else share_gpus(config, visible_gpus(), tell)
    devices = learning_devices(config, own_share(config, gpus))
    errors = CallerErrors()
    show, tell = errors.taken_from(show, None), errors.taken_from(tell, None)
    numbers = unhandled_signals() if interrupted else None
    with (
        errors,
        claimed(config, run),
        native_output_to(run.native_log),
        one_blas_thread(),
        interruptions(_keyboard_interrupt, numbers=numbers) as asked,
    ):
        must_stop = errors.taken_from(lambda: asked() or bool(interrupted and interrupted()), True)

        def must_end() -> bool:  # an error alone doesn't end the caller's process, however long it takes to stop
            return must_stop() and (errors.first is None or bool(heard_signal()))

        with Watchdog("the run", config.health, tell, must_end) as watchdog:
            say_if_left(run, tell, run.native_log)
            if (earlier := finished_already(config, run)) is not None:
                if cluster is None:
                    return earlier
                waiting = "the cluster's other processes are told so once all have met"
                tell(f"{run.path} has finished already: {earlier.reason}; {waiting}")
            use_threads(config)
            chief = Chief(config, run, cluster, devices, tell, must_stop, watchdog.require, gpus, server)
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
    """Trains a claimed run, unless it has finished before; returns its summary and closes `chief`. See `train`."""

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
    trackers = begin_figures(session, session.parts.evaluations.kept_env_steps)
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


def _keyboard_interrupt() -> None:
    raise KeyboardInterrupt
