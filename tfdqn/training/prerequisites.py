"""What a run in one process needs of its configuration and host is checked. Imports no TensorFlow."""

from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.tasks.registry import check_task, require_learnable
from tfdqn.tracking.systems import require_systems


def require_trainable(config: Config) -> None:
    """Raises ConfigError or TaskError for problems that would otherwise end the run later. Writes nothing."""
    if config.acting.inference == "central":
        raise ConfigError(
            'acting.inference = "central" is for actors in processes of their own: `tfdqn launch` starts them'
        )
    check_task(config.task)
    require_systems(config.tracking)


def require_trainable_runs(config: Config) -> None:
    """As `require_trainable`, for runs in processes of their own: each would find what is wrong with the task."""
    require_trainable(config)
    require_learnable(config.task)
