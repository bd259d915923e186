"""`own_keys_for`: the keys for names that other libraries use, to suggest them where such a name is not a key."""

from collections.abc import Mapping
from typing import Any

# By our key, names of Stable-Baselines3, CleanRL, RLlib and TF-Agents. Units may differ: only the key is suggested.
_NAMES_BY_KEY = {
    "acting.actors": "num_env_runners num_rollout_workers",
    "agent.atoms": "num_atoms n_atoms",
    "agent.discount": "gamma",
    "agent.epochs": "update_epochs n_epochs num_epochs",
    "agent.gradient_clip_norm": "max_grad_norm grad_clip gradient_clipping",
    "agent.kind": "double_q",
    "agent.lambda_": "lambda q_lambda gae_lambda",
    "agent.loss": "td_error_loss_fn td_errors_loss_fn",
    "agent.n_step": "n_steps n_step_update",
    "agent.quantiles": "n_quantiles num_quantiles",
    "agent.reward_scale": "reward_scale_factor",
    "agent.rollout_steps": "rollout_fragment_length",
    "agent.target_update_period_train_steps": (
        "target_update_interval target_network_frequency target_network_update_freq target_update_period"
    ),
    "agent.target_update_tau": "tau",
    "agent.v_max": "max_q_value",
    "agent.v_min": "min_q_value",
    "checkpoint.interval_seconds": "save_freq",
    "evaluation.episodes": "n_eval_episodes num_eval_episodes evaluation_duration",
    "evaluation.interval_env_steps": "eval_freq eval_interval evaluation_interval",
    "exploration.decay_env_steps": "exploration_fraction epsilon_timesteps",
    "exploration.end": "exploration_final_eps end_e final_epsilon epsilon_greedy",
    "exploration.kind": "boltzmann_temperature",
    "exploration.start": "exploration_initial_eps start_e initial_epsilon",
    "learner.batch_size": "train_batch_size train_batch_size_per_learner sample_batch_size",
    "learner.env_steps_per_update": (
        "train_freq train_frequency gradient_steps training_intensity collect_steps_per_iteration"
    ),
    "learner.workers": "num_learners num_learner_workers",
    "logging.interval_seconds": "log_interval",
    "logging.tensorboard": "tensorboard_log",
    "network.activation": "activation_fn fcnet_activation",
    "network.hidden_units": "net_arch policy_kwargs fcnet_hiddens hiddens fc_layer_params",
    "network.kind": "conv_filters conv_layer_params policy",
    "network.memory": "use_lstm",
    "network.memory_units": "lstm_cell_size lstm_hidden_size lstm_size",
    "network.noisy_sigma": "sigma0",
    "network.normalize_observations": "observation_filter",
    "optimizer.epsilon": "adam_epsilon",
    "optimizer.kind": "optimizer_class",
    "optimizer.learning_rate": "lr",
    "optimizer.schedule": "anneal_lr lr_schedule",
    "priorities.epsilon": "prioritized_replay_eps",
    "priorities.exponent": "prioritized_replay prioritized_replay_alpha",
    "priorities.importance_start": "prioritized_replay_beta prioritized_replay_beta0",
    "priorities.importance_train_steps": "prioritized_replay_beta_iters prioritized_replay_beta_annealing_timesteps",
    "replay.burn_in": "replay_burn_in",
    "replay.capacity": "buffer_size replay_buffer_config replay_buffer_capacity max_size max_length",
    "replay.min_size": "learning_starts num_steps_sampled_before_learning_starts initial_collect_steps",
    "replay.sequence_length": "replay_sequence_length",
    "stop.env_steps": "total_timesteps n_timesteps num_iterations",
    "task.action_masks": "observation_and_action_constraint_splitter",
    "task.id": "env_id env_name",
    "task.kwargs": "env_kwargs env_config",
    "task.num_envs": "n_envs num_envs_per_env_runner num_envs_per_worker",
    "task.reward_clip": "clip_rewards",
    "tracking.wandb": "track",
    "tracking.wandb_project": "wandb_project_name",
}
FOREIGN_NAMES = {name: key for key, names in _NAMES_BY_KEY.items() for name in names.split()}


def own_keys_for(name: str, value: Any) -> list[str]:
    """Our dotted keys for a name of another library; [] if none is known.

    Args:
      name: a key that the configuration doesn't have.
      value: what it is given; of a table, such as RLlib's `replay_buffer_config`, the names in it are looked up first.
    """
    inside = value if isinstance(value, Mapping) else ()
    found = dict.fromkeys(FOREIGN_NAMES[each] for each in inside if each in FOREIGN_NAMES)
    return list(found) or [FOREIGN_NAMES[each] for each in (name,) if each in FOREIGN_NAMES]
