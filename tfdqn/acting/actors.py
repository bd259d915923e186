"""`Actors`: all actors of a process, stepped in turn or each in its own thread."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfdqn.acting.actor import Actor, RolloutActor
from tfdqn.acting.factory import make_policy
from tfdqn.acting.policy import ActionValues
from tfdqn.config import Config
from tfdqn.coordination.weights import WeightsSource
from tfdqn.randomness import derived_seed, stream
from tfdqn.replay.interfaces import Writer
from tfdqn.replay.rollout import Rollout
from tfdqn.storage.arrays import add_prefix, by_index
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.types import Arrays


class ActingResult(NamedTuple):
    """The transitions that a step added to replay, and its number of environment steps, resets not counted."""

    transitions: int
    env_steps: int


def make_actor(
    config: Config,
    task: BatchedTask,
    writer: Writer,
    weights: WeightsSource,
    index: int = 0,
    seed: int | None = None,
    action_values: ActionValues | None = None,
) -> Actor:
    """Makes actor `index` of `acting.actors`, with its own part of the epsilon ladder and its own random stream.

    The ladder is Ape-X's over all N actors' environments, epsilon^(1 + alpha i / (N num_envs - 1)) (Horgan et al. 2018,
    section 4.1).

    Args:
      writer: writes to replay; for a `Rollout` the actor is a `RolloutActor`.
      seed: for exploration; None: the configuration's.
      action_values: computes Q-values; None: the configuration's network does.
    """
    seed = config.seed if seed is None else seed
    policy = make_policy(config, task.spec, config.exploration, task.num_envs, index, action_values)
    rng = stream(seed, "exploration", index)
    if isinstance(writer, Rollout):
        return RolloutActor(task, policy, weights, writer, rng)
    return Actor(task, policy, weights, writer, rng)


class Actors:
    """All actors of one process, with their combined counts and statistics.

    Different threads may step different actors; everything else may only be called while none is being stepped.
    """

    def __init__(self, actors: Sequence[Actor], num_envs: int):
        self._actors = actors
        self.num_envs = num_envs
        for actor in actors[1:]:
            actor.statistics.share_recent(actors[0].statistics)
        self._turn = 0

    def __len__(self) -> int:
        return len(self._actors)

    def reset(self, seed: int) -> None:
        """Starts new episodes in all environments; each actor's seed is derived from `seed`."""
        for i, actor in enumerate(self._actors):
            actor.reset(derived_seed(seed, "actor", i) if i else seed)

    def step_next(self) -> ActingResult:
        """Steps the environments of the next actor in turn."""
        turn = self._turn
        self._turn = (turn + 1) % len(self._actors)
        return self.step(turn)

    def step(self, index: int) -> ActingResult:
        """Steps every environment of one actor once. Raises as `Actor.step` does."""
        actor = self._actors[index]
        before = actor.env_steps
        written = actor.step(self.env_steps)
        return ActingResult(written, actor.env_steps - before)

    def refresh_weights(self) -> None:
        """Fetches the newest weights, as every step does, so that they can be read before the first step."""
        for actor in self._actors:
            actor.refresh_weights()

    @property
    def env_steps(self) -> int:
        """The number of environment steps of all actors, resets not counted."""
        return sum(actor.env_steps for actor in self._actors)

    @property
    def episodes(self) -> int:
        """The number of episodes that all actors have finished."""
        return sum(actor.statistics.episodes for actor in self._actors)

    @property
    def recent_return(self) -> float | None:
        """The mean return of the most recent episodes of all actors; None before the first has finished."""
        return self._actors[0].statistics.recent_return

    @property
    def recent_length(self) -> float | None:
        """The mean length of the most recent episodes, in environment steps; None before the first has finished."""
        return self._actors[0].statistics.recent_length

    @property
    def weights_version(self) -> int:
        """The number of train steps after which the oldest weights of any actor were published."""
        return min(actor.weights_version for actor in self._actors)

    def state(self) -> dict[str, np.ndarray]:
        """Every actor's `state`, with its index before each name if there are several."""
        arrays = _joined([actor.state() for actor in self._actors])
        return arrays if len(self) == 1 else {**arrays, "turn": np.array(self._turn)}

    def writers_state(self) -> dict[str, np.ndarray]:
        """Every actor's writer's `state`, named in the same way."""
        return _joined([actor.writer.state() for actor in self._actors])

    def load_state(self, arrays: Arrays, writers: Arrays) -> bool:
        """Restores what `state` and `writers_state` returned. Returns False if the running episodes weren't restored.

        They can't be if the task's state couldn't be saved, or if the number of actors has changed. In the latter case
        the counts are restored, and as many generators as there are actors.
        """
        num_saved = saved_actors(arrays)
        states = _split(arrays, num_saved)
        if num_saved != len(self):
            self._load_lasting(states)
            return False
        have_episodes = [actor.load_state(state) for actor, state in zip(self._actors, states, strict=True)]
        if not all(have_episodes):
            return False
        for actor, state in zip(self._actors, _split(writers, num_saved), strict=True):
            actor.writer.load_state(state)
        if len(self) > 1:
            self._turn = int(arrays["turn"])
        return True

    def go_on_from(self, env_steps: int, episodes: int) -> None:
        """Sets the counts, when actors in other processes did the run's acting so far."""
        self._actors[0].env_steps, self._actors[0].statistics.episodes = env_steps, episodes

    def _load_lasting(self, states: Sequence[Arrays]) -> None:
        """Restores, from the states of another number of actors, what outlasts episodes.

        If there were more actors than now, the first one gets the counts of those that are gone.
        """
        for actor, state in zip(self._actors, states, strict=False):
            actor.load_state(lasting(state))
        first = self._actors[0]
        for state in states[len(self) :]:
            first.env_steps += int(state["env_steps"])
            first.statistics.episodes += int(state["statistics/episodes"])


# What belongs to the running episodes, in an actor's state or, after "<index>/", in that of several.
_OF_EPISODES = re.compile(r"(\d+/)?(task|policy_state)/")


def lasting(state: Arrays) -> dict[str, np.ndarray]:
    """The part of an actor's state, or of `Actors.state`, that doesn't belong to the running episodes."""
    return {name: array for name, array in state.items() if not _OF_EPISODES.match(name)}


def saved_actors(arrays: Arrays) -> int:
    """The number of actors whose state `Actors.state` returned."""
    if "rng" in arrays:  # every actor has one
        return 1
    return sum(name.endswith("/rng") for name in arrays)


def _joined(states: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """The states of all actors, under their own names or, if there are several, under "<index>/<name>"."""
    if len(states) == 1:
        return dict(states[0])
    arrays: dict[str, np.ndarray] = {}
    for index, state in enumerate(states):
        arrays |= add_prefix(str(index), state)
    return arrays


def _split(arrays: Arrays, num_actors: int) -> list[Arrays]:
    """The state of each actor in what `_joined` made of them."""
    return [arrays] if num_actors == 1 else list(by_index(num_actors, arrays))
