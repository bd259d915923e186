"""The table of systems in which runs can be tracked, and checks that what they need is there.

Each system's package is imported only in a process of its own (`tracker_process.py`): these packages handle signals,
patch streams and delay the exit of the process.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tfdqn.config import Tracking
from tfdqn.errors import ConfigError
from tfdqn.system.shell_commands import install_extra
from tfdqn.system.subprocesses import last_error, run_captured

NOT_LOGGED_IN_STATUS = 3  # exit status of `python -m tfdqn.tracking.wandb`
_LOGIN_SECONDS = 60.0
_NO_FOLDERS = ("", "databricks", "databricks-uc", "uc")  # tracking URIs that MLflow gives a meaning
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)((?!:|file:)[^?]+)(.*)")  # of a file: before it, its path, its options


def _require_wandb_login(config: Tracking) -> None:
    if config.wandb_mode == "offline" or os.environ.get("WANDB_API_KEY"):
        return
    command = [sys.executable, "-P", "-m", "tfdqn.tracking.wandb", config.wandb_mode]
    with suppress(subprocess.TimeoutExpired):  # the tracker itself will report the problem
        done = run_captured(command, _LOGIN_SECONDS)
        if done.returncode == NOT_LOGGED_IN_STATUS:
            raise ConfigError(
                "tracking.wandb = true: not logged in to Weights & Biases: run `wandb login`, set WANDB_API_KEY, or "
                'give tracking.wandb_mode = "offline"'
            )
        if done.returncode:
            raise ConfigError(f"tracking.wandb = true: wandb can't be used: {last_error(done)}")


def mlflow_tracking_uri(config: Tracking, store: str = "") -> str | None:
    """The server's URL, or that of an SQLite file, or a folder's path; paths are absolute, as `absolute` makes them.

    None: as MLflow's own variable says, else its default. A relative path refers to `store`, where the run is kept so
    far ("": nowhere), from whatever directory the run is resumed. A folder or file that isn't there any more may have
    been moved, with the run.
    """
    if store and (not (path := _path_of(store)) or os.path.exists(path)):
        return store
    return None if config.mlflow_tracking_uri is None else absolute(config.mlflow_tracking_uri)


def _mlflow_place(config: Tracking) -> str:
    uri = (
        os.environ.get("MLFLOW_TRACKING_URI", "") if config.mlflow_tracking_uri is None else config.mlflow_tracking_uri
    )
    return f"{os.path.expanduser(uri)} {config.mlflow_experiment}"


def absolute(uri: str) -> str:
    """A tracking URI of MLflow's, with the absolute path of what it names.

    If the URI is a path itself, "~" in it is the home directory.
    """
    if found := _SQLITE.fullmatch(uri):
        return f"{found[1]}{os.path.abspath(found[2])}{found[3]}"
    return os.path.abspath(folder) if "://" not in uri and (folder := _path_of(uri)) else uri


def _path_of(uri: str) -> str:
    """The folder, or the SQLite file, that a tracking URI of MLflow's names; "" if it names something else."""
    if found := _SQLITE.fullmatch(uri):
        return found[2]
    if uri.startswith("file:"):
        return unquote(urlsplit(uri).path)
    return "" if ":" in uri or uri in _NO_FOLDERS else os.path.expanduser(uri)


class System(NamedTuple):
    """A tracking system. Its key in `[tracking]`, its package and its extra all have its name."""

    tracker: str  # its `ExternalRun`, as module:class
    place: Callable[[Tracking], str]  # where the run is to be kept there, in the user's words, such as a project
    require: Callable[[Tracking], None]  # raises ConfigError if the system can't be used, for want of a login say


SYSTEMS = {
    "wandb": System(
        "tfdqn.tracking.wandb:WandB",
        lambda config: f"{config.wandb_entity or ''}/{config.wandb_project}",
        _require_wandb_login,
    ),
    "mlflow": System("tfdqn.tracking.mlflow:MLflow", _mlflow_place, lambda config: None),
}


def wanted_systems(config: Tracking) -> list[str]:
    """The names of the systems that a configuration asks for."""
    return [name for name in SYSTEMS if getattr(config, name)]


def require_systems(config: Tracking) -> None:
    """Raises ConfigError if a system that the configuration asks for lacks its package or its login."""
    for name in wanted_systems(config):
        package = find_spec(name)
        if package is None or package.origin is None:  # no origin: a folder `wandb/` in the current directory
            raise ConfigError(f"tracking.{name} = true needs {name}, which is not installed: {install_extra(name)}")
        SYSTEMS[name].require(config)
