"""`train`, which is `tfdqn.train`: refuses what can be refused before TensorFlow is imported, then trains."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfdqn.cluster.checks import cluster_for, cluster_overrides, given_keys, require_chief, unused_values
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.cluster.local_workers import fork_server_of_workers
from tfdqn.cluster.tf_config import VARIABLE
from tfdqn.config import Config, toml
from tfdqn.config.headline import headline
from tfdqn.config.own_code import require_function
from tfdqn.errors import ConfigError, RunDirError
from tfdqn.records import Progress, Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.signals import interruptions, unhandled_signals
from tfdqn.tasks.suites.processes import require_main_has_begun
from tfdqn.training.prerequisites import require_trainable


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
    run = _run_of(config, run_dir)
    _require_functions(on_progress, say, interrupted)
    show, tell = on_progress or (lambda progress: None), say or (lambda line: None)
    named, unused = cluster_of_environment(), dict[str, str]()
    given, config = config, toml.checked(config, cluster_overrides(named), unused, VARIABLE)
    cluster = cluster_for(config, named)
    for line in [] if cluster is None else unused_values(_without_defaults(given), cluster):
        tell(f"warning: {line}")
    run.refuse_unused(given_keys(unused, named), tell)
    tell(headline(config))
    require_chief(cluster)
    require_trainable(config)
    run.refuse_early(config)
    with _interruptions(interrupted) as must_stop, fork_server_of_workers(config, cluster, begins=False) as server:
        from tfdqn.training.train import train_checked  # late: it imports TensorFlow, which takes seconds

        return train_checked(config, cluster, run, show, tell, profile, must_stop, server)


@contextmanager
def _interruptions(interrupted: Callable[[], bool] | None) -> Iterator[Callable[[], bool]]:
    """Yields what says whether to stop: a signal that the caller does not handle, or its own function `interrupted`."""
    numbers = unhandled_signals() if interrupted else None
    with interruptions(_keyboard_interrupt, numbers=numbers) as asked:
        yield lambda: asked() or bool(interrupted and interrupted())


def _keyboard_interrupt() -> None:
    """Raises KeyboardInterrupt, but not while TensorFlow is imported: in this process that could not be done again."""
    if hasattr(sys.modules.get("tfdqn.training.train"), "train_checked"):
        raise KeyboardInterrupt


def _run_of(config: Any, run_dir: RunDir | Path | str | None) -> RunDir:
    """The run. Raises ConfigError for no Config, RunDirError for no path, and what `require_main_has_begun` does."""
    require_main_has_begun()
    if not isinstance(config, Config):
        raise ConfigError(f"config: a tfdqn.Config is needed (tfdqn.load_config reads one), not {config!r}")
    if run_dir is None:
        raise RunDirError(
            f'run_dir: give a directory for the run, such as "runs/my-run-seed{config.seed}"; a Config knows no '
            "file, after which `tfdqn train` names one"
        )
    return RunDir.at(run_dir)


def _require_functions(on_progress: Any, say: Any, interrupted: Any) -> None:
    """Raises OwnCodeError for what is no such function."""
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
