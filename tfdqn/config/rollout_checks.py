"""Checks across keys for agents that learn from rollouts, without replay. Each is like those of `checks.py`."""

from collections.abc import Callable, Iterator

from tfdqn.config.agent import PQN
from tfdqn.config.schema import Config


def rollouts_are_acted_in_and_learned_from_in_turn(config: Config) -> Iterator[str]:
    if config.learner.schedule != "alternate":
        yield (
            '<agent.kind> needs learner.schedule = "alternate", not "overlap": one network acts throughout a rollout; '
            "give learner.schedule=alternate"
        )


def a_rollout_is_one_actors(config: Config) -> Iterator[str]:
    if config.acting.actors > 1:
        yield "<acting.actors> with <agent.kind>: a rollout is one actor's; task.num_envs gives it more environments"
    if config.acting.inference != "local":
        yield "<acting.inference> with <agent.kind>: it acts in the process that learns, which has the weights"


def rollouts_are_learned_from_in_lockstep(config: Config) -> Iterator[str]:
    if config.learner.strategy not in ("local", "mirrored", "multi_worker"):
        yield (
            '<agent.kind> needs learner.strategy = "local", "mirrored" or "multi_worker", not '
            f'"{config.learner.strategy}": a rollout is learned from in lockstep, and then discarded'
        )
    if config.network.state_size > 0:
        yield '<agent.kind>: a network with a memory learns from replay.item = "sequence", and there is no replay'
    if config.learner.model_parallel > 1:
        yield "<learner.model_parallel> with <agent.kind>: a network in pieces learns from replay alone"
    if config.ensemble.size > 1:
        yield "<ensemble.size> with <agent.kind>: its targets are the Q-values of the one network that acted"


def a_rollout_is_whole_batches(config: Config) -> Iterator[str]:
    assert isinstance(config.agent, PQN)
    size = config.agent.rollout_steps * config.task.num_envs
    if size % config.learner.batch_size:
        yield (
            f"<agent.kind>: <agent.rollout_steps> of <task.num_envs> are {size} transitions, which isn't a multiple of "
            "<learner.batch_size>"
        )
    if size > config.stop.env_steps:
        yield (
            f"<agent.kind>: <agent.rollout_steps> of <task.num_envs> are {size} transitions, more than "
            "<stop.env_steps>: no update would be made"
        )


ROLLOUT_CHECKS: tuple[Callable[[Config], Iterator[str]], ...] = (
    rollouts_are_acted_in_and_learned_from_in_turn,
    a_rollout_is_one_actors,
    rollouts_are_learned_from_in_lockstep,
    a_rollout_is_whole_batches,
)
