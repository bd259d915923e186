"""Checks what a run in one process needs, without TensorFlow; warns of misread images and of long calls."""

import logging

from tfdqn.agents.registration import require_registered
from tfdqn.config import Config, Impala, NatureCNN, SmallCNN
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.errors import ConfigError
from tfdqn.networks.task_fit import require_fit
from tfdqn.replay.horizon import Horizon
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.checking.images import channels_first_warning
from tfdqn.tasks.registry import check_task, require_learnable
from tfdqn.tracking.systems import require_systems
from tfdqn.types import Weights

log = logging.getLogger(__name__)

# Multiplications in forward passes over all batches of a call, by dense weights. An update costs about four such
# passes, so this is some ten seconds on two cores.
_MANY = 1e11


def require_trainable(config: Config) -> None:
    """Raises ConfigError or TaskError for problems that would otherwise end the run later. Writes nothing.

    It makes no environment, which may take long: that is done where signals are handled and what fails is kept.
    """
    if config.acting.inference == "central":
        raise ConfigError(
            'acting.inference = "central" is for actors in processes of their own: `tfdqn launch` starts them'
        )
    check_task(config.task)
    require_registered(config)
    require_systems(config.tracking)


def require_trainable_runs(config: Config) -> None:
    """As `require_trainable`, for runs in processes of their own: each would find what is wrong with the task."""
    require_trainable(config)
    require_fitting_task(config)


def require_fitting_task(config: Config) -> None:
    """Raises TaskError if DQN can't learn the task, ConfigError if the network can't take its observations.

    One environment may be made, and is closed. The process ends if that takes longer than `health.stuck_after_seconds`.
    """
    with Watchdog(
        f"the check of {config.task.id}", config.health, log.warning, stalled="ended", is_logged=False
    ) as watchdog:
        watchdog.state = "making an environment"
        task_spec = require_learnable(config.task)
    if task_spec is not None:
        require_fit(config.network, task_spec)


def image_warning(config: Config, task_spec: TaskSpec) -> str:
    """A warning, in one line, of an image that the network would misread; "" if it reads it rightly."""
    return channels_first_warning(task_spec) if isinstance(config.network, NatureCNN | SmallCNN | Impala) else ""


def long_call_warning(config: Config, weights: Weights) -> str:
    """A warning, in one line, of calls so long that nothing could be saved for minutes; "" if they are short enough.

    A convolution's weights count once, although it uses them repeatedly.
    """
    updates, batch, replay = config.updates_per_call, config.learner.batch_size, config.replay
    is_sequence = config.agent.has_replay and replay.item == "sequence"
    steps = replay.burn_in + replay.sequence_length + Horizon.of(config.agent).longest if is_sequence else 1
    if updates * batch * steps * sum(weight.size for weight in weights.values()) < _MANY:
        return ""
    what = f"{batch:,} sequences of {steps:,} steps" if is_sequence else f"{batch:,} examples"
    keys = ["learner.updates_per_call", *(["replay.sequence_length"] if is_sequence else [])]
    return (
        f"one call makes {updates:,} updates of {what} each: without a GPU that may take minutes, in which nothing can "
        f"be saved; lower learner.batch_size, {' or '.join(keys)}"
    )
