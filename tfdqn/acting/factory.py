"""`make_policy`: configuration and task → the policy that acts."""

from tfdqn.acting.member_policy import MemberPolicy
from tfdqn.acting.policy import (
    ActionValues,
    Policy,
    make_q_function,
    network_q_function,
    tensorflow_recurrent_q_function,
)
from tfdqn.acting.recurrent_policy import RecurrentPolicy
from tfdqn.config import Config, Exploration
from tfdqn.networks.factory import numpy_recurrent_q_function
from tfdqn.task_spec import TaskSpec


def make_policy(
    config: Config,
    task_spec: TaskSpec,
    exploration: Exploration | None = None,
    num_envs: int = 1,
    actor: int = 0,
    action_values: ActionValues | None = None,
) -> Policy:
    """The policy of the configuration's network, or of its ensemble.

    Args:
      config: `network`, and what belongs to it.
      task_spec: the task's observations and actions.
      exploration: how to explore; None: always the best legal action.
      num_envs: environments that an exploring policy acts in at once.
      actor: which of `acting.actors` it is, counted from 0.
      action_values: gives Q-values where the network is elsewhere; it then remembers nothing.
    """
    all_legal = task_spec.all_legal if len(task_spec.num_actions) > 1 else None
    place = (num_envs, actor, config.acting.actors, all_legal)
    if config.network.state_size:
        q_function = numpy_recurrent_q_function(config, task_spec) or tensorflow_recurrent_q_function(config, task_spec)
        return RecurrentPolicy(q_function, config.network.state_size, exploration, *place)
    if exploration is not None and config.ensemble.acting == "member":
        return MemberPolicy(network_q_function(config, task_spec), config.ensemble, exploration, *place)
    return Policy(action_values or make_q_function(config, task_spec), exploration, *place)
