"""Which package a task comes from: how to install it, and how to have it register its tasks."""

import importlib
import importlib.util
import re
from typing import NamedTuple

from gymnasium.envs.registration import EnvSpec

from tfdqn.errors import first_line
from tfdqn.system.shell_commands import pip_install
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium


class Package(NamedTuple):
    """A package whose tasks gymnasium knows only once it has been imported."""

    module: str
    requirement: str  # pinned where a later version breaks TensorFlow 2.15 or TF-Agents
    ids: str  # a regular expression that its ids match from the start
    register: str = ""  # "module:function" to call, where importing is not enough
    has_own_suite: bool = False  # which lists its tasks
    has_variants: bool = False  # its versions differ in what one can do: none is newer than another


PACKAGES = (
    Package("tfdqn", "tfdqn", r"tfdqn/", register="tfdqn.tasks.fields.registration:register"),
    Package("ale_py", "ale-py==0.12.1", r"ALE/|\w+(NoFrameskip|Deterministic)-v\d|\w+-ram", has_own_suite=True),
    Package("minatar", "minatar==1.0.15", r"MinAtar/", register="minatar.gym:register_envs", has_variants=True),
    Package(
        "highway_env",
        "highway-env==1.11",
        r"(highway|merge|roundabout|parking|intersection|racetrack|exit|two-way|u-turn|lane-keeping)-",
    ),
    Package(
        "gymnasium_robotics",
        "gymnasium-robotics==1.4.2",
        r"Fetch|HandReach|HandManipulate|AdroitHand|PointMaze|AntMaze|FrankaKitchen",
    ),
    Package("gym_anytrading", "gym-anytrading==2.0.0", r"(forex|stocks)-"),
    Package("gym_trading_env", "gym-trading-env==0.3.5", r"TradingEnv"),
)

# gymnasium's own tasks, by the folder of its `envs` that holds them.
_GYMNASIUM_EXTRAS = {
    "box2d": "box2d",
    "classic_control": "classic-control",
    "mujoco": "mujoco",
    "phys2d": "jax",
    "tabular": "jax",
    "toy_text": "toy-text",
}


def package_of(task_id: str) -> Package | None:
    """The known package that registers `task_id`."""
    return next((package for package in PACKAGES if re.match(package.ids, task_id)), None)


def has_own_suite(env_spec: EnvSpec) -> bool:
    """Whether a suite other than gymnasium's lists the task, whatever its id."""
    return any(
        package.has_own_suite and str(env_spec.entry_point).startswith(f"{package.module}.") for package in PACKAGES
    )


def has_variants(task_id: str) -> bool:
    """Whether versions of the task are variants of it, such as MinAtar's with six actions and with the fewest."""
    package = package_of(task_id)
    return package is not None and package.has_variants


def is_installed(package: Package) -> bool:
    return importlib.util.find_spec(package.module) is not None


def register(package: Package) -> None:
    """Imports an installed package so that its tasks are registered; its own errors pass through."""
    with quiet_gymnasium():
        importlib.import_module(package.module)
        if package.register:
            module, _, function = package.register.partition(":")
            getattr(importlib.import_module(module), function)()


def install_hint(env_spec: EnvSpec, error: ImportError | Exception) -> str:
    """What to install for a task whose import or constructor failed with `error`."""
    entry_point = env_spec.entry_point or env_spec.vector_entry_point
    if isinstance(entry_point, str) and entry_point.startswith("gymnasium.envs."):
        extra = _GYMNASIUM_EXTRAS.get(re.split("[.:]", entry_point)[2])
        if extra is not None:
            return pip_install(f"gymnasium[{extra}]")
    known = package_of(env_spec.id)
    if known is not None and not is_installed(known):
        return pip_install(known.requirement)
    missing = getattr(error, "name", None)
    return pip_install(missing.partition(".")[0]) if missing else first_line(error)
