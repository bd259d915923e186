"""`make_policy`: makes the policy that a configuration describes."""

from tfdqn.acting.exploration import Explorer
from tfdqn.acting.policy import (
    ActionValues,
    Policy,
    make_q_function,
    network_q_function,
    tensorflow_recurrent_q_function,
)
from tfdqn.acting.stateful_policies import MemberPolicy, RecurrentPolicy
from tfdqn.config import Config, Exploration
from tfdqn.networks.factory import numpy_recurrent_q_function, own_network_parts
from tfdqn.task_spec import TaskSpec


def make_policy(
    config: Config,
    task_spec: TaskSpec,
    exploration: Exploration | None = None,
    num_envs: int = 1,
    actor: int = 0,
    action_values: ActionValues | None = None,
) -> Policy:
    """Makes the policy of the configuration's network or ensemble.

    Args:
      exploration: how to explore; None: always choose the best legal action.
      action_values: computes Q-values instead of the network, which then can't have a memory.
    """
    all_legal = task_spec.all_legal if len(task_spec.num_actions) > 1 else None
    explorer = Explorer(exploration, num_envs, actor, config.acting.actors, all_legal)
    policy: Policy
    if config.network.state_size:
        q_function = numpy_recurrent_q_function(config, task_spec) or tensorflow_recurrent_q_function(config, task_spec)
        policy = RecurrentPolicy(q_function, config.network.state_size, explorer)
    elif exploration is not None and config.ensemble.acting == "member":
        policy = MemberPolicy(network_q_function(config, task_spec), config.ensemble, explorer)
    else:
        policy = Policy(action_values or make_q_function(config, task_spec), explorer)
    policy.own_parts = own_network_parts(config)
    return policy
