"""Names that other libraries use: the keys that they stand for (`meant_by`), or what there is `instead_of` a key."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from tfdqn.config.schema import keys
from tfdqn.config.wording import MOST_MEANT, did_you_mean, either

# By our key, names of Stable-Baselines3, OpenAI Baselines, CleanRL, RLlib and TF-Agents.
_NAMES_BY_KEY = {
    "acting.actors": "num_env_runners num_rollout_workers num_workers",
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
    "agent.rollout_steps": "n_steps num_steps rollout_fragment_length",
    "agent.target_update_period_train_steps": (
        "target_update_interval target_network_frequency target_network_update_freq target_update_period"
    ),
    "agent.target_update_tau": "tau",
    "agent.v_max": "max_q_value",
    "agent.v_min": "min_q_value",
    "checkpoint.interval_seconds": "save_freq checkpoint_frequency",
    "evaluation.episodes": "n_eval_episodes num_eval_episodes evaluation_duration",
    "evaluation.interval_env_steps": "eval_freq eval_interval evaluation_interval",
    "exploration.decay_env_steps": "exploration_fraction epsilon_timesteps",
    "exploration.end": "exploration_final_eps end_e final_epsilon epsilon_greedy",
    "exploration.kind": "boltzmann_temperature",
    "exploration.start": "exploration_initial_eps start_e initial_epsilon",
    "learner.batch_size": "train_batch_size train_batch_size_per_learner sample_batch_size",
    "learner.env_steps_per_update": (
        "train_freq train_frequency gradient_steps training_intensity rollout_fragment_length "
        "collect_steps_per_iteration"
    ),
    "learner.workers": "num_learners num_learner_workers",
    "logging.interval_seconds": "log_interval",
    "logging.tensorboard": "tensorboard_log",
    "network.activation": "activation_fn fcnet_activation policy_kwargs",
    "network.dense_units": "hiddens",
    "network.hidden_units": "net_arch fcnet_hiddens hiddens fc_layer_params policy_kwargs",
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
    "priorities.importance_end": "final_prioritized_replay_beta",
    "priorities.importance_start": "prioritized_replay_beta prioritized_replay_beta0",
    "priorities.importance_train_steps": "prioritized_replay_beta_iters prioritized_replay_beta_annealing_timesteps",
    "replay.burn_in": "replay_burn_in",
    "replay.capacity": "buffer_size replay_buffer_config replay_buffer_capacity max_size max_length",
    "replay.min_size": "learning_starts num_steps_sampled_before_learning_starts initial_collect_steps",
    "replay.sequence_length": "replay_sequence_length",
    "stop.env_steps": "total_timesteps n_timesteps",
    "task.action_masks": "observation_and_action_constraint_splitter",
    "task.id": "env_id env_name",
    "task.kwargs": "env_kwargs env_config",
    "task.num_envs": "n_envs num_envs_per_env_runner num_envs_per_worker",
    "task.reward_clip": "clip_rewards",
    "tracking.wandb": "track",
    "tracking.wandb_project": "wandb_project_name",
}
# What names count, where the key counts something else.
_UNITS = {
    "checkpoint_frequency": "iterations",
    "eval_freq": "calls of env.step",
    "evaluation_interval": "iterations",
    "exploration_fraction": "fractions of the whole training",
    "gradient_steps": "updates per train_freq steps",
    "prioritized_replay_beta_iters": "environment steps",
    "save_freq": "calls of env.step",
    "target_network_frequency": "environment steps",
    "target_network_update_freq": "environment steps",
    "target_update_interval": "environment steps",
    "training_intensity": "transitions learned per environment step",
}
# What a key counts, by the end of its name.
_UNITS_OF_KEYS = {
    "_env_steps": "environment steps",
    "_seconds": "seconds",
    "_train_steps": "updates",
    ".env_steps_per_update": "environment steps per update",
}
# Names that may mean anything: they count only outside our sections, and in the section of a key that they stand for.
_AMBIGUOUS = ("hiddens", "max_length", "max_size", "n_steps", "num_steps", "num_workers", "policy", "tau", "track")

# Names that no key stands for, by what there is instead.
_NAMES_INSTEAD = {
    "learning uses all GPUs that TensorFlow sees (CUDA_VISIBLE_DEVICES limits them), else the CPU; learner.min_gpus = "
    "1 refuses to learn without one, and acting.device is for acting and evaluation alone": (
        "device devices cuda gpu gpus use_gpu num_gpus num_gpus_per_learner num_gpus_per_worker"
    ),
    "there are no levels of output, and progress is always shown": "verbose verbosity log_level",
    "`tfdqn evaluate RUN --video` records an episode, and arguments of the environment itself go into task.kwargs": (
        "render render_mode capture_video"
    ),
}
_ALIKE = 0.85  # a ratio of difflib; that of a name of four letters with one left out or added is above it


def foreign_names() -> dict[str, list[str]]:
    """The keys that each name stands for."""
    found: dict[str, list[str]] = {}
    for key, names in _NAMES_BY_KEY.items():
        for name in names.split():
            found.setdefault(name, []).append(key)
    return found


def instead_of(name: str, allowed: Collection[str]) -> str:
    """What there is in place of what a name of another library sets, in words; "" if keys stand for it, or nothing.

    The name may be misspelt; `allowed` are the keys that there are in its place.
    """
    respelt = _respelt(name, allowed)
    found = (instead for instead, names in _NAMES_INSTEAD.items() if respelt in names.split())
    return next(found, "") if respelt not in allowed else ""


def meant_by(name: str, value: Any, section: str, allowed: Collection[str]) -> str:
    """What may have been meant by a name that is not a key, in words that follow it; "" if nothing.

    Args:
      name: the name, which may be that of a table, such as RLlib's `replay_buffer_config`.
      value: what it is given; of a table, the names in it count before its own.
      section: where it stands; "": outside the sections.
      allowed: the keys that there are in its place.
    """
    foreign = foreign_names()
    respelt = _respelt(name, allowed)
    found = _keys_for(respelt, section) if respelt not in allowed else []
    near = did_you_mean(name, allowed, f"{section}." if section else "")
    is_of_task = "task.kwargs" in found  # the names in it are the task's own
    inside = [str(each) for each in value if each != "kind"] if isinstance(value, Mapping) and not is_of_task else []
    by_name = {each: own for each in inside if (own := _keys_for(each, section))}
    if by_name and (not (found or near) or any(each in foreign for each in by_name)):
        parts = [f"{either(own)} for its {each}{_other_unit(each)}" for each, own in by_name.items()]
        return f" (did you mean {', '.join(parts[:MOST_MEANT])}?)"
    return f" (did you mean {either(found[:MOST_MEANT])}{_other_unit(respelt)}?)" if found else near


def _respelt(name: str, allowed: Collection[str]) -> str:
    """The key or name of another library that is spelt almost like `name`; `name` if it is one, or none is."""
    known = {*foreign_names(), *" ".join(_NAMES_INSTEAD.values()).split(), *(key.rpartition(".")[2] for key in keys())}
    return name if name in known else next(iter(get_close_matches(name, [*allowed, *known], 1, _ALIKE)), name)


def _other_unit(name: str) -> str:
    """Of a name that counts something else than its key, words such as ", in updates, not environment steps"."""
    if name not in _UNITS:
        return ""
    (key,) = foreign_names()[name]
    own_unit = next(unit for end, unit in _UNITS_OF_KEYS.items() if key.endswith(end))
    return f", in {own_unit}, not {_UNITS[name]}"


def _keys_for(name: str, section: str) -> list[str]:
    """The keys of this name in other sections, else those that it stands for."""
    if own := [each for each in keys() if each.endswith(f".{name}")]:
        return own
    found = foreign_names().get(name, [])
    if section and name in _AMBIGUOUS:
        return [each for each in found if each.startswith(f"{section}.")]
    return found
