"""Which systems outside the run's directory there are to track in: a table; what each needs is refused early.

Their packages are imported in a process of each one's own alone (`tracker_process.py`): they take signals, patch
streams and hold up the exit.
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

NOT_LOGGED_IN_STATUS = 3  # of `tfdqn.tracking.wandb` as a program
_LOGIN_SECONDS = 60.0


def _require_wandb_login(config: Tracking) -> None:
    if config.wandb_mode == "offline" or os.environ.get("WANDB_API_KEY"):
        return
    command = [sys.executable, "-P", "-m", "tfdqn.tracking.wandb", config.wandb_mode]
    with suppress(subprocess.TimeoutExpired):  # what is the matter, is said when a run begins
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=_LOGIN_SECONDS)
        if done.returncode == NOT_LOGGED_IN_STATUS:
            raise ConfigError(
                "tracking.wandb = true: not logged in to Weights & Biases: run `wandb login`, set WANDB_API_KEY, or "
                'give tracking.wandb_mode = "offline"'
            )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise ConfigError(f"tracking.wandb = true: wandb can't be used: {last}")


class System(NamedTuple):
    """A system to track in; its key in `[tracking]`, its package and its extra have its name."""

    tracker: str  # its `ExternalRun`: module and class
    place: Callable[[Tracking], str]  # where the configuration has runs there
    require: Callable[[Tracking], None]  # raises ConfigError where that can't be reached by what is known here


SYSTEMS = {
    "wandb": System(
        "tfdqn.tracking.wandb:WandB",
        lambda config: f"{config.wandb_entity or ''}/{config.wandb_project}",
        _require_wandb_login,
    ),
    "mlflow": System(
        "tfdqn.tracking.mlflow:MLflow",
        lambda config: (
            f"{config.mlflow_tracking_uri or os.environ.get('MLFLOW_TRACKING_URI') or os.getcwd()} "
            + config.mlflow_experiment
        ),
        lambda config: None,
    ),
}


def wanted_systems(config: Tracking) -> list[str]:
    """The names of those that a configuration asks for."""
    return [name for name in SYSTEMS if getattr(config, name)]


def require_systems(config: Tracking) -> None:
    """Raises ConfigError if one that is asked for lacks its package, or its login."""
    for name in wanted_systems(config):
        package = find_spec(name)
        if package is None or package.origin is None:  # a folder `wandb/` beside the user is no package
            raise ConfigError(f"tracking.{name} = true needs {name}, which is not installed: {install_extra(name)}")
        SYSTEMS[name].require(config)
