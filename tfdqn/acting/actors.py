"""`Actors`: several actors as one, stepped in turn or each by a thread of its own."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfdqn.acting.actor import Actor
from tfdqn.acting.factory import make_policy
from tfdqn.acting.policy import ActionValues
from tfdqn.acting.rollout_actor import RolloutActor
from tfdqn.config import Config
from tfdqn.coordination.weights import WeightsClient, WeightsSource
from tfdqn.randomness import derived_seed, stream
from tfdqn.replay.interfaces import Writer
from tfdqn.replay.rollout import Rollout
from tfdqn.storage.arrays import with_prefix
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.types import Arrays


class ActingResult(NamedTuple):
    """What came of a step: transitions written to replay, and environment steps taken (resets are none)."""

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
    """Actor `index` of `acting.actors`: its own part of the ladder of epsilons, and random draws of its own.

    Over all N actors' environments the ladder is Ape-X's, epsilon^(1 + alpha i / (N num_envs - 1)). Draws come from
    the configuration's seed where no other is given, Q-values from the network where nothing else gives them.
    """
    seed = config.seed if seed is None else seed
    policy = make_policy(config, task.spec, config.exploration, task.num_envs, index, action_values)
    client, rng = WeightsClient(weights), stream(seed, "exploration", index)
    if isinstance(writer, Rollout):
        return RolloutActor(task, policy, client, writer, rng)
    return Actor(task, policy, client, writer, rng)


class Actors:
    """All of one process's actors; steps and statistics are those of all of them together.

    Different threads may step different actors; all else is called while none is stepped.

    Args:
      actors: one at least, alike but for their index.
      num_envs: environments of each.
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
        """Starts fresh episodes everywhere, each actor's with a seed of its own drawn from `seed`."""
        for i, actor in enumerate(self._actors):
            actor.reset(derived_seed(seed, "actor", i) if i else seed)

    def step_next(self) -> ActingResult:
        """One step of the actor whose turn it is."""
        turn = self._turn
        self._turn = (turn + 1) % len(self._actors)
        return self.step(turn)

    def step(self, index: int) -> ActingResult:
        """One step of every environment of one actor. Raises NotFiniteError."""
        actor = self._actors[index]
        before = actor.env_steps
        written = actor.step(self.env_steps)
        return ActingResult(written, actor.env_steps - before)

    def refresh_weights(self) -> None:
        """Takes the newest weights, as every step does; curves may be drawn before the first."""
        for actor in self._actors:
            actor.refresh_weights()

    @property
    def env_steps(self) -> int:
        """Taken by all actors, environments that were only reset not counted."""
        return sum(actor.env_steps for actor in self._actors)

    @property
    def episodes(self) -> int:
        """Finished by all actors."""
        return sum(actor.statistics.episodes for actor in self._actors)

    @property
    def recent_return(self) -> float | None:
        """Mean return of the recent episodes, the last of any actor; None before the first has finished."""
        return self._actors[0].statistics.recent_return

    @property
    def recent_length(self) -> float | None:
        """Mean length of the recent episodes in environment steps; None before the first has finished."""
        return self._actors[0].statistics.recent_length

    @property
    def weights_version(self) -> int:
        """The train step that made the oldest weights now acted with."""
        return min(actor.weights_version for actor in self._actors)

    def state(self) -> dict[str, np.ndarray]:
        """What each actor's `state` gives: one actor's under its own names, several below their indices."""
        states = _below_indices([actor.state() for actor in self._actors])
        return states if len(self) == 1 else {**states, "turn": np.array(self._turn)}

    def writers_state(self) -> dict[str, np.ndarray]:
        """The open windows of every actor, named alike."""
        return _below_indices([actor.writer.state() for actor in self._actors])

    def load_state(self, arrays: Arrays, writers: Arrays) -> bool:
        """Puts `state()` and `writers_state()` back; False if fresh episodes were kept.

        They are where the task did not give its state, and where another number of actors saved it: the counts
        are then taken over, and generators as far as there are actors for them.
        """
        states = _by_index(arrays)
        if len(states) != len(self):
            self._take_over(states)
            return False
        if not all([actor.load_state(state) for actor, state in zip(self._actors, states, strict=True)]):
            return False
        for actor, state in zip(self._actors, _by_index(writers, len(states)), strict=True):
            actor.writer.load_state(state)
        if len(self) > 1:
            self._turn = int(arrays["turn"])
        return True

    def go_on_from(self, env_steps: int, episodes: int) -> None:
        """Counts on from what actors in other processes have done."""
        self._actors[0].env_steps, self._actors[0].statistics.episodes = env_steps, episodes

    def _take_over(self, states: Sequence[Arrays]) -> None:
        for i, state in enumerate(states):
            if i < len(self):
                self._actors[i].load_state(lasting(state))
            else:
                self._actors[0].env_steps += int(state["env_steps"])
                self._actors[0].statistics.episodes += int(state["statistics/episodes"])


_OF_EPISODES = re.compile(r"(\d+/)?(task|policy_state)/")


def lasting(state: Arrays) -> dict[str, np.ndarray]:
    """Of an actor's state, or of several actors', all but the episodes under way."""
    return {name: array for name, array in state.items() if not _OF_EPISODES.match(name)}


def saved_actors(arrays: Arrays) -> int:
    """How many actors' `Actors.state` it is."""
    return 1 if "rng" in arrays else sum(name.endswith("/rng") for name in arrays)


def _below_indices(states: Sequence[Arrays]) -> dict[str, np.ndarray]:
    if len(states) == 1:
        return dict(states[0])
    return {f"{i}/{name}": array for i, state in enumerate(states) for name, array in state.items()}


def _by_index(arrays: Arrays, count: int | None = None) -> list[Arrays]:
    """What `_below_indices` put together, of `count` actors, or of as many as `saved_actors` says."""
    count = saved_actors(arrays) if count is None else count
    return [arrays] if count == 1 else [with_prefix(str(i), arrays) for i in range(count)]
