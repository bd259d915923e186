"""Greedy episodes on environments of their own; and `Evaluator`, which decides what the best policy is."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np

from tfdqn.acting.policy import Policy, forget
from tfdqn.config import Config, Task
from tfdqn.coordination.weights import WeightsSource
from tfdqn.errors import NotFiniteError
from tfdqn.randomness import derived_seed, draws, stream
from tfdqn.records import EpisodeScores, Evaluation
from tfdqn.storage.arrays import ArrayInfo
from tfdqn.storage.best_policy import load_best
from tfdqn.system.signals import Interruption
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.episode_statistics import EpisodeStatistics
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.registry import make_task
from tfdqn.types import PolicyState, Weights

_MAX_ENVS = 256
_BOOTSTRAP_SAMPLES = 2_000


def play_episodes(
    task: BatchedTask,
    policy: Policy,
    weights: Weights,
    episodes: int,
    seed: int,
    on_frame: Callable[[], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Plays N = `episodes` greedy episodes; returns their returns, float64[N], and their lengths in steps, int64[N].

    Each environment plays a number of episodes fixed beforehand: taking those that finish first would favour short
    ones.

    `on_frame` is called before every step, to record a video, or to give up by raising.
    """
    rng = stream(seed, "evaluation policy")
    quota = np.full(task.num_envs, episodes // task.num_envs)
    quota[: episodes % task.num_envs] += 1
    statistics = EpisodeStatistics(task.num_envs)
    returns: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    observation, legal_actions = task.reset(seed)
    policy_state: PolicyState = ()
    while quota.any():
        if on_frame is not None:
            on_frame()
        try:
            action, _, policy_state = policy(weights, observation, legal_actions, policy_state, rng)
        except NotFiniteError as error:
            raise NotFiniteError(f"{task.spec.id}, evaluation: {error}") from None
        step = task.step(action)
        if (finished := statistics.add(step)) is not None:  # without episodes whose environment failed: played again
            counts = quota[finished.environments] > 0
            quota[finished.environments] -= counts
            returns.append(finished.returns[counts])
            lengths.append(finished.lengths[counts])
        observation, legal_actions = step.observation, step.legal_actions
        policy_state = forget(policy_state, step.is_reset)
    return np.concatenate(returns), np.concatenate(lengths)


def scores(returns: np.ndarray, lengths: np.ndarray) -> EpisodeScores:
    """Scores of N episodes by their returns float64[N] and lengths int64[N]; the same input always gives the same."""
    resampled = draws(len(returns), _BOOTSTRAP_SAMPLES, stream(0, "bootstrap"))
    low, high = np.percentile(np.concatenate([returns[rows].mean(axis=1) for rows in resampled]), [2.5, 97.5])
    return EpisodeScores(
        episodes=len(returns),
        mean_return=float(returns.mean()),
        std_return=float(returns.std()),
        median_return=float(np.median(returns)),
        ci_low=float(low),
        ci_high=float(high),
        mean_length=float(lengths.mean()),
    )


def make_evaluation_task(
    config: Config,
    spec: TaskSpec,
    is_wide: bool,
    say: Callable[[str], None] = lambda line: None,
    restarts: Restarts | None = None,
) -> BatchedTask:
    """Makes the environments for evaluations: one per episode if `is_wide`, else no more than training has.

    Give `is_wide` where many environments cost little more than one. `restarts` are as for `make_task`. Says so if
    evaluations truncate episodes before the task's own limit.
    """
    settings = config.evaluation
    task = limited(config.task, spec.max_episode_steps, settings.max_episode_steps, say)
    num_envs = settings.episodes if is_wide else min(settings.episodes, task.num_envs)
    return make_task(task, num_envs=min(num_envs, _MAX_ENVS), restarts=restarts)


def limited(task: Task, own_limit: int | None, most: int, say: Callable[[str], None]) -> Task:
    """The task with a limit for an evaluation's episodes, so that a policy that goes in circles doesn't play for ever.

    `own_limit` is the task's own, in steps, if it has one; `most` is `evaluation.max_episode_steps`. Says so if that is
    below.
    """
    if own_limit is not None and own_limit <= most:
        return task
    if own_limit is not None:
        say(
            f"evaluations cut episodes at evaluation.max_episode_steps = {most:,}: "
            f"the task's own limit is {own_limit:,}"
        )
    # The task's own vector version may not take a limit.
    vectorization = "auto" if task.vectorization == "own" else task.vectorization
    return msgspec.structs.replace(task, max_episode_steps=most, vectorization=vectorization)


class Evaluator:
    """Evaluates the newest weights on its own environments, and keeps the best.

    Further episodes must confirm a new best, so that a few lucky ones don't make a poor policy the best.

    `task` has environments of its own, and `policy` is greedy. `interrupted` is asked before every step; if it returns
    True, Interruption is raised.
    """

    def __init__(
        self,
        task: BatchedTask,
        policy: Policy,
        source: WeightsSource,
        config: Config,
        interrupted: Callable[[], bool] = lambda: False,
    ):
        self._task = task
        self._policy = policy
        self._source = source
        self._settings = config.evaluation
        self._seed = config.seed
        self._interrupted = interrupted
        self.evaluated_train_steps: int | None = None  # of the weights evaluated last
        self.best_return: float | None = None
        self._best_train_steps = -1
        self.best_weights: Weights | None = None
        self.evaluations_without_best = 0

    def evaluate(self, env_steps: int, on_step: Callable[[], None] = lambda: None) -> Evaluation:
        """Plays `evaluation.episodes`, and if their mean return is a new best, `confirm_episodes` more.

        So far `env_steps` were taken. `on_step` is called before every step of the evaluation's environments.
        """
        version, weights = self._source.get()
        # A run that was killed between a new best and the next checkpoint evaluates the same weights again, if it
        # repeats itself bit for bit: whether it does shows at the best's train step.
        are_best = version == self._best_train_steps and _equal(weights, self.best_weights)
        seen_before = are_best or version < self._best_train_steps
        returns, lengths = self._play(weights, self._settings.episodes, "evaluation", version, on_step)
        if (self._beats_best(returns) or seen_before) and self._settings.confirm_episodes:
            more = self._play(weights, self._settings.confirm_episodes, "confirmation", version, on_step)
            returns, lengths = np.concatenate([returns, more[0]]), np.concatenate([lengths, more[1]])
        is_best = self._beats_best(returns) or are_best
        if is_best:
            self.best_return, self.best_weights = float(returns.mean()), weights
            self._best_train_steps, self.evaluations_without_best = version, 0
        elif not seen_before:
            self.evaluations_without_best += 1
        self.evaluated_train_steps = version
        return Evaluation(env_steps=env_steps, train_steps=version, scores=scores(returns, lengths), is_best=is_best)

    def final(self, weights: Weights) -> EpisodeScores:
        """The scores of given weights on `final_episodes` fresh episodes."""
        return scores(*self._play(weights, self._settings.final_episodes, "final evaluation", 0))

    def forget_versions(self) -> None:
        """Forgets versions of weights, because another learner counts them from the beginning."""
        self.evaluated_train_steps, self._best_train_steps = None, -1

    def forget_best(self) -> None:
        """Forgets the best policy, because the run begins anew."""
        self.best_weights = self.best_return = None
        self.evaluations_without_best = 0

    def load_best(self, path: Path, wanted: Mapping[str, ArrayInfo]) -> None:
        """Loads the best policy of an earlier session, if there is one. Raises CheckpointError as `load_best` does."""
        if path.exists():
            self.best_weights, evaluation = load_best(path, wanted)
            self.best_return = evaluation.scores.mean_return
            self._best_train_steps = evaluation.train_steps

    def _play(
        self, weights: Weights, episodes: int, name: str, index: int, on_step: Callable[[], None] = lambda: None
    ) -> tuple[np.ndarray, np.ndarray]:
        def before_step() -> None:
            if self._interrupted():
                raise Interruption
            on_step()

        seed = derived_seed(self._seed, name, index)
        return play_episodes(self._task, self._policy, weights, episodes, seed, before_step)

    def _beats_best(self, returns: np.ndarray) -> bool:
        return self.best_return is None or float(returns.mean()) > self.best_return


def _equal(weights: Weights, others: Weights | None) -> bool:
    return others is not None and all(np.array_equal(weights[name], others[name]) for name in others)
