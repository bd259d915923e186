"""Tasks by id: which suite has it, and the task made by that suite; every way in which that can fail is one line."""

from contextlib import suppress

from msgspec import structs

from tfdqn import config as configuration
from tfdqn.config.user_modules import import_user_module
from tfdqn.errors import EnvironmentFailedError, TaskError
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.adapters.learning_signal import learning_signal
from tfdqn.tasks.adapters.restarts import Restarts
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium
from tfdqn.tasks.suites.atari import AtariSuite
from tfdqn.tasks.suites.envpool import EnvPoolSuite
from tfdqn.tasks.suites.gymnasium import GymnasiumSuite
from tfdqn.tasks.suites.suite import Suite, TaskEntry

_GYMNASIUM = "gymnasium"  # has every id that no other has
SUITES: dict[str, Suite] = {_GYMNASIUM: GymnasiumSuite(), "ALE": AtariSuite(), "envpool": EnvPoolSuite()}


def register_suite(name: str, suite: Suite) -> None:
    """Ids that begin with "name/" are the suite's from now on, and those with `task.suite = "name"`."""
    SUITES[name] = suite


def check_task(config: configuration.Task) -> None:
    """Raises `TaskError` if the task is not registered or takes no such keyword arguments; makes nothing.

    PackageMissingError where that can't be known here.
    """
    suite_of(config).check(config)


def require_learnable(config: configuration.Task) -> None:
    """As `check_task`, and raises `TaskError` if DQN can't learn what one environment, made and closed, is like.

    One that raises is left to the processes that are to train: what they keep has its traceback.
    """
    check_task(config)
    with suppress(EnvironmentFailedError):
        resolve_spec(config)


def make_task(
    config: configuration.Task,
    *,
    num_envs: int | None = None,
    render_mode: str | None = None,
    restarts: Restarts | None = None,
) -> BatchedTask:
    """The task, ready to be reset. With a `render_mode`, one environment in this process unless told.

    Args:
      config: of the task.
      num_envs: None: as the configuration says.
      render_mode: as gymnasium has it; None: it will not be rendered.
      restarts: says whether environments that fail are made anew; None: a failure is raised.

    Raises `TaskError`, one line, for all that can be wrong with the task or its keys.
    """
    if render_mode is not None:
        config = structs.replace(config, vectorization="sync", num_envs=num_envs or 1)
    elif num_envs is not None:
        config = structs.replace(config, num_envs=num_envs)
    spec, make = suite_of(config).environments(config, render_mode)
    return BatchedTask(make, spec, restarts or Restarts(), learning_signal(config))


def resolve_spec(config: configuration.Task) -> TaskSpec:
    """What the task looks like, from one environment that is made and closed. Raises `TaskError`."""
    return suite_of(config).describe(config)


def installed_tasks() -> list[TaskEntry]:
    """The tasks of all suites that are installed here, by id."""
    return sorted(entry for suite in SUITES.values() for entry in suite.installed())


def suite_of(config: configuration.Task) -> Suite:
    """Whose the id is; a module before its colon is imported first, which may register a suite or a task."""
    module, _, name = config.id.rpartition(":")
    if module:
        with quiet_gymnasium():
            import_user_module(module, config.id, TaskError)
    if config.suite == "auto":
        return SUITES.get(name.partition("/")[0], SUITES[_GYMNASIUM])
    if config.suite not in SUITES:
        raise TaskError(f'task.suite = "{config.suite}": must be one of {", ".join(["auto", *SUITES])}')
    return SUITES[config.suite]
