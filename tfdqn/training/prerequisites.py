"""`require_trainable`: what a run in one process needs of its configuration and of this host; imports nothing heavy."""

from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.tasks.registry import check_task
from tfdqn.tracking.systems import require_systems


def require_trainable(config: Config) -> None:
    """Raises ConfigError or TaskError for what would fail once the run has begun; touches nothing."""
    if config.acting.inference == "central":
        raise ConfigError(
            'acting.inference = "central" is for actors in processes of their own: `tfdqn launch` starts them'
        )
    check_task(config.task)
    require_systems(config.tracking)
