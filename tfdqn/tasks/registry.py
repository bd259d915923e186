"""Tasks by id: finds the suite that has a task, and has it make the task; every failure is an error of one line."""

from contextlib import suppress

from msgspec import structs

from tfdqn.config import Task
from tfdqn.config.own_code import require_function, require_name
from tfdqn.config.user_modules import import_user_module
from tfdqn.errors import EnvironmentFailedError, TaskError
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.adapters.learning_signal import LearningSignal
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium
from tfdqn.tasks.suites.atari import AtariSuite
from tfdqn.tasks.suites.envpool import EnvPoolSuite
from tfdqn.tasks.suites.gymnasium import GymnasiumSuite
from tfdqn.tasks.suites.suite import Suite, TaskEntry

_GYMNASIUM = "gymnasium"  # the suite of every id that belongs to no other
SUITES: dict[str, Suite] = {_GYMNASIUM: GymnasiumSuite(), "ALE": AtariSuite(), "envpool": EnvPoolSuite()}

_METHODS = {"check": ["task"], "describe": ["task"], "environments": ["task", "render_mode"], "installed": []}


def register_suite(name: str, suite: Suite) -> None:
    """Adds a suite, which has the ids that begin with "name/" and all tasks with `task.suite = "name"`.

    Raises OwnCodeError for a name that no task can have, and for an object that lacks a method of `Suite`.
    """
    require_name(name, "register_suite")
    for method, parameters in _METHODS.items():
        require_function(getattr(suite, method, None), f'register_suite("{name}").{method}', *parameters)
    SUITES[name] = suite


def check_task(config: Task) -> None:
    """Raises TaskError if there is no such task or it doesn't take these keyword arguments; makes no environment.

    Raises PackageMissingError, a TaskError, if its package is not installed, so that this can't be known here.
    """
    suite_of(config).check(config)


def require_learnable(config: Task) -> TaskSpec | None:
    """As `check_task`, and raises `TaskError` if DQN can't learn what one environment, made and closed, is like.

    Returns its specification; None if the environment has raised. That is left to the processes that are to train: what
    they keep has its traceback.
    """
    check_task(config)
    with suppress(EnvironmentFailedError):
        return resolve_spec(config)
    return None


def make_task(
    config: Task, *, num_envs: int | None = None, render_mode: str | None = None, restarts: Restarts | None = None
) -> BatchedTask:
    """Makes the task, ready to be reset.

    Args:
      num_envs: how many environments; None: `config.num_envs`, or one where there is a render mode.
      render_mode: one of gymnasium's, such as "rgb_array", whose environments are all in this process; None: the task
        will not be rendered.
      restarts: counts and limits how often environments that fail are made anew; None: never.

    Raises TaskError, one line, for anything that is wrong with the task or its keys.
    """
    if render_mode is not None:
        config = structs.replace(config, vectorization="sync", num_envs=num_envs or 1)
    elif num_envs is not None:
        config = structs.replace(config, num_envs=num_envs)
    spec, make = suite_of(config).environments(config, render_mode)
    return BatchedTask(make, spec, restarts or Restarts(), LearningSignal(config))


def resolve_spec(config: Task) -> TaskSpec:
    """The task's `TaskSpec`. One environment may be made for that, and is closed. Raises TaskError."""
    return suite_of(config).describe(config)


def installed_tasks() -> list[TaskEntry]:
    """The tasks of all suites whose packages are installed, sorted by id."""
    return sorted(entry for suite in SUITES.values() for entry in suite.installed())


def suite_of(config: Task) -> Suite:
    """The suite that has the task. Raises TaskError for an unknown `task.suite`, or a module that can't be imported.

    A module before the id's colon is imported first, since it may register the suite or the task.
    """
    module, _, name = config.id.rpartition(":")
    if module:
        with quiet_gymnasium():
            import_user_module(module, config.id, TaskError)
    if config.suite == "auto":
        return SUITES.get(name.partition("/")[0], SUITES[_GYMNASIUM])
    if config.suite not in SUITES:
        raise TaskError(f'task.suite = "{config.suite}": must be one of {", ".join(["auto", *SUITES])}')
    return SUITES[config.suite]
