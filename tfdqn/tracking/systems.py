"""The table of systems in which runs can be tracked, and checks that what they need is there.

Each system's package is imported only in a process of its own (`tracker_process.py`): these packages handle signals,
patch streams and delay the exit of the process.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import NamedTuple

from tfdqn.config import Tracking
from tfdqn.errors import ConfigError
from tfdqn.system.shell_commands import install_extra

NOT_LOGGED_IN_STATUS = 3  # exit status of `python -m tfdqn.tracking.wandb`
_LOGIN_SECONDS = 60.0


def _require_wandb_login(config: Tracking) -> None:
    if config.wandb_mode == "offline" or os.environ.get("WANDB_API_KEY"):
        return
    command = [sys.executable, "-P", "-m", "tfdqn.tracking.wandb", config.wandb_mode]
    with suppress(subprocess.TimeoutExpired):  # the tracker itself will report the problem
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=_LOGIN_SECONDS)
        if done.returncode == NOT_LOGGED_IN_STATUS:
            raise ConfigError(
                "tracking.wandb = true: not logged in to Weights & Biases: run `wandb login`, set WANDB_API_KEY, or "
                'give tracking.wandb_mode = "offline"'
            )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise ConfigError(f"tracking.wandb = true: wandb can't be used: {last}")


def mlflow_tracking_uri(config: Tracking) -> str | None:
    """The server's URL, or a folder, in which "~" is the home directory; None: as MLflow's own variable says."""
    uri = config.mlflow_tracking_uri
    return None if uri is None else os.path.expanduser(uri)


class System(NamedTuple):
    """A tracking system. Its key in `[tracking]`, its package and its extra all have its name."""

    tracker: str  # its `ExternalRun`, as module:class
    place: Callable[[Tracking], str]  # where the run is kept there, such as entity and project
    require: Callable[[Tracking], None]  # raises ConfigError if the system can't be used, for want of a login say


SYSTEMS = {
    "wandb": System(
        "tfdqn.tracking.wandb:WandB",
        lambda config: f"{config.wandb_entity or ''}/{config.wandb_project}",
        _require_wandb_login,
    ),
    "mlflow": System(
        "tfdqn.tracking.mlflow:MLflow",
        lambda config: (
            f"{mlflow_tracking_uri(config) or os.environ.get('MLFLOW_TRACKING_URI') or os.getcwd()} "
            + config.mlflow_experiment
        ),
        lambda config: None,
    ),
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
