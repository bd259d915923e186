"""The packages that tasks come from: how to install them, and how to have them register their tasks."""

import contextlib
import importlib
import importlib.util
import io
import re
import sys
from typing import NamedTuple

from gymnasium.envs.registration import EnvSpec

from tfdqn.errors import first_line
from tfdqn.system.shell_commands import install_extra, pip_install
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium


class Package(NamedTuple):
    """A package that registers its tasks with gymnasium when it is imported."""

    module: str
    extra: str  # the extra of setup.cfg that installs it
    ids: str  # a regular expression that matches the beginning of its tasks' ids
    register: str = ""  # "module:function" to call, where importing the package is not enough
    has_own_suite: bool = False  # whether a suite other than gymnasium's lists its tasks
    has_variants: bool = False  # whether versions of a task are variants, of which none replaces another


PACKAGES = (
    Package("tfdqn", "", r"tfdqn/", register="tfdqn.tasks.fields.registration:register"),
    Package("ale_py", "atari", r"ALE/|\w+(NoFrameskip|Deterministic)-v\d|\w+-ram", has_own_suite=True),
    Package("minatar", "minatar", r"MinAtar/", register="minatar.gym:register_envs", has_variants=True),
    Package(
        "highway_env",
        "driving",
        r"(highway|merge|roundabout|parking|intersection|racetrack|exit|two-way|u-turn|lane-keeping)-",
    ),
    Package(
        "gymnasium_robotics", "robotics", r"Fetch|HandReach|HandManipulate|AdroitHand|PointMaze|AntMaze|FrankaKitchen"
    ),
    Package("gym_anytrading", "trading", r"(forex|stocks)-"),
    Package("gym_trading_env", "trading", r"(MultiDataset)?TradingEnv"),
    Package("or_gym_inventory", "scheduling", r"or_gym_inventory/"),
)

# gymnasium's extras, by the folder of `gymnasium.envs` whose tasks need them.
_GYMNASIUM_EXTRAS = {"box2d": "box2d", "classic_control": "classic-control", "toy_text": "toy-text"}
_OF_JAX = ("phys2d", "tabular")


def package_of(task_id: str) -> Package | None:
    """The known package whose ids `task_id` matches; None if there is none."""
    return next((package for package in PACKAGES if re.match(package.ids, task_id)), None)


def has_own_suite(env_spec: EnvSpec) -> bool:
    """Whether a suite other than gymnasium's lists the task, by the package that it comes from."""
    return any(
        package.has_own_suite and str(env_spec.entry_point).startswith(f"{package.module}.") for package in PACKAGES
    )


def has_variants(task_id: str) -> bool:
    """Whether versions of the task are variants, such as MinAtar's with all six actions and with the fewest."""
    package = package_of(task_id)
    return package is not None and package.has_variants


def is_installed(package: Package) -> bool:
    """Whether the package can be imported, as far as is known without importing it."""
    return importlib.util.find_spec(package.module) is not None


def register(package: Package) -> None:
    """Imports an installed package, which registers its tasks, without its banner. Raises what the package raises."""
    discarded = io.StringIO()
    with quiet_gymnasium(), contextlib.redirect_stdout(discarded), contextlib.redirect_stderr(discarded):
        importlib.import_module(package.module)
        if package.register:
            module, _, function = package.register.partition(":")
            getattr(importlib.import_module(module), function)()


def import_without_banner(task_id: str) -> None:
    """Imports the known package of a task if this process has not yet, as one that steps environments has not.

    A task of the user's may have an id like a package's, which need not be installed for it.
    """
    package = package_of(task_id)
    if package is not None and package.module not in sys.modules and is_installed(package):
        register(package)


def install_hint(env_spec: EnvSpec, error: ImportError | Exception) -> str:
    """What to install for a task whose import or constructor failed with `error`."""
    entry_point = str(env_spec.entry_point or env_spec.vector_entry_point)
    folder = re.split("[.:]", entry_point)[2] if entry_point.startswith("gymnasium.envs.") else ""
    if folder == "mujoco":
        return install_extra("mujoco")
    if folder in _OF_JAX:
        return "JAX, of which no version can be installed beside TensorFlow 2.15"
    if folder in _GYMNASIUM_EXTRAS:
        return pip_install(f"gymnasium[{_GYMNASIUM_EXTRAS[folder]}]")
    missing = (getattr(error, "name", None) or "").partition(".")[0]
    extra = next((package.extra for package in PACKAGES if package.module == missing), "")
    if extra:
        return install_extra(extra)
    return pip_install(missing) if missing else first_line(error)
