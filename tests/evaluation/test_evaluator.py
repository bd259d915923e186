"""Episodes without a bias for short ones, and an evaluator that owns 'best'."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from gymnasium import spaces

from tests.support.lives import REWARDS
from tests.support.scripted_task import FakeTask
from tfdqn.acting.policy import Policy
from tfdqn.config import Config, Evaluation, Task
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.errors import CheckpointError, NotFiniteError
from tfdqn.evaluation import evaluator as evaluator_module
from tfdqn.evaluation.evaluator import Evaluator, limited, make_evaluation_task, play_episodes
from tfdqn.storage.best_policy import save_best
from tfdqn.system.signals import Interruption
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.registry import make_task, resolve_spec


def constant_policy() -> Policy:
    return Policy(lambda weights, observation, *_: np.zeros((len(observation["observation"]), 2), np.float32))


def play(task: FakeTask, episodes: int) -> tuple[np.ndarray, np.ndarray]:
    return play_episodes(cast(BatchedTask, task), constant_policy(), {}, episodes, seed=1)


def keep_best(path: Path, evaluator: Evaluator) -> None:
    """As the evaluator's owner does with a new best."""
    evaluation = evaluator.evaluate(0)
    assert evaluation.is_best and evaluator.best_weights is not None
    save_best(path, evaluator.best_weights, evaluation)


@pytest.mark.parametrize("episodes", [1, 2, 3, 4, 7, 12])
def test_exactly_so_many_episodes_are_played(episodes: int) -> None:
    returns, lengths = play(FakeTask([[2], [5], [3]]), episodes)
    assert len(returns) == len(lengths) == episodes
    np.testing.assert_array_equal(returns, lengths)  # reward 1 a step; a reset row counts for neither


def test_short_episodes_are_not_favoured() -> None:
    """Two environments, one of whose episodes last 1 step and one's 99: ten episodes are five of each, mean 50.

    The ten that finish first would all but one be short: a mean of 1.
    """
    returns, _ = play(FakeTask([[1], [99]]), 10)
    assert sorted(returns) == [1] * 5 + [99] * 5


def test_episodes_are_whole_whether_they_terminate_or_are_truncated() -> None:
    returns, _ = play(FakeTask([[4, 2], [3]], truncates=[True, False]), 6)
    assert sorted(returns) == [2, 3, 3, 3, 4, 4]


def test_whole_games_are_played_and_scored_as_they_are_whatever_is_learned_from() -> None:
    settings = Task(id="ThreeLives-v0", num_envs=2, reward_clip=1.0, end_on_life_loss=True)
    config = Config(task=settings, evaluation=Evaluation(episodes=3))
    task = make_evaluation_task(config, resolve_spec(settings), is_wide=False)
    returns, lengths = play_episodes(task, constant_policy(), {}, 3, seed=1)
    np.testing.assert_array_equal(returns, [REWARDS.sum()] * 3)
    np.testing.assert_array_equal(lengths, [len(REWARDS)] * 3)


def test_only_legal_actions_are_played() -> None:
    task = FakeTask([[3], [2]], masks=True)
    play(task, 4)
    assert (np.array(task.actions) == 1).all()


def test_a_video_shows_every_state_that_is_acted_in() -> None:
    frames: list[int] = []
    task = FakeTask([[3]])
    play_episodes(cast(BatchedTask, task), constant_policy(), {}, 2, 1, on_frame=lambda: frames.append(1))
    assert len(frames) == len(task.actions) == 3 + 1 + 3


@pytest.mark.parametrize(
    ("own_limit", "limit", "said"),
    [
        (None, 200, []),
        (50, 0, []),  # 0: the task's own
        (200, 0, []),
        (
            10**7,
            200,
            ["evaluations cut episodes at evaluation.max_episode_steps = 200: the task's own limit is 10,000,000"],
        ),
    ],
)
def test_an_evaluation_cuts_episodes_whatever_the_tasks_own_limit(
    own_limit: int | None, limit: int, said: list[str]
) -> None:
    heard: list[str] = []
    task = limited(Task(vectorization="own"), own_limit, 200, heard.append)
    assert (task.max_episode_steps, heard) == (limit, said)
    # Its own vector version may not take a limit.
    assert task.vectorization == ("auto" if limit else "own")


@pytest.mark.parametrize("task_id", ["CartPole-v1", "tests.support.toy_environments:Counter-v0"])
def test_a_policy_that_goes_in_circles_is_evaluated_all_the_same(task_id: str) -> None:
    """By the task's own vector version, whose limit is 500, and one by one, where there is none."""
    kwargs = {} if task_id == "CartPole-v1" else {"ends_at": 0}
    config = Config(task=Task(id=task_id, kwargs=kwargs), evaluation=Evaluation(max_episode_steps=5))
    task = make_evaluation_task(config, resolve_spec(config.task), is_wide=True)
    _, lengths = play_episodes(task, constant_policy(), {}, 40, seed=1)
    assert lengths.max() == 5


class Plays:
    """Stands in for `play_episodes`: the next of a list of returns, for every call; notes what each asked for."""

    def __init__(self, *returns: list[float]):
        self.returns = list(returns)
        self.asked: list[tuple[int, int]] = []

    def __call__(
        self, task: Any, policy: Any, weights: Any, episodes: int, seed: int, on_frame: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append((episodes, seed))
        played = np.array(self.returns.pop(0), float)
        return played, np.ones(len(played), np.int64)


def made(monkeypatch: pytest.MonkeyPatch, plays: Plays, confirm_episodes: int = 4) -> tuple[Evaluator, WeightsBoard]:
    monkeypatch.setattr(evaluator_module, "play_episodes", plays)
    config = Config(evaluation=Evaluation(episodes=2, confirm_episodes=confirm_episodes, final_episodes=3))
    board = WeightsBoard()
    task = cast(BatchedTask, FakeTask([[1]]))
    return Evaluator(task, constant_policy(), board, config), board


def weights(value: float) -> dict[str, np.ndarray]:
    return {"q/kernel": np.full((2, 2), value, np.float32)}


def test_a_promising_evaluation_must_be_borne_out_by_further_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    plays = Plays([10, 20], [12, 12, 12, 12], [90, 100], [1, 1, 1, 1], [5, 6], [30, 30], [16, 16, 16, 16])
    evaluator, board = made(monkeypatch, plays)

    board.put(VersionedWeights(1, weights(1)))
    first = evaluator.evaluate(0)  # the first is always promising: (10 + 20 + 4 · 12) / 6 = 13
    assert (first.is_best, first.scores.mean_return, first.scores.episodes, first.train_steps) == (True, 13, 6, 1)

    board.put(VersionedWeights(2, weights(2)))
    lucky = evaluator.evaluate(0)  # 95, then (190 + 4) / 6 = 32.3: borne out, though by less
    assert lucky.is_best
    assert evaluator.best_return == pytest.approx(194 / 6)

    board.put(VersionedWeights(3, weights(3)))
    poor = evaluator.evaluate(0)  # 5.5: no promise, so no further episodes
    assert (poor.is_best, poor.scores.episodes, evaluator.evaluations_without_best) == (False, 2, 1)
    assert [episodes for episodes, _ in plays.asked] == [2, 4, 2, 4, 2]
    np.testing.assert_array_equal(evaluator.best_weights["q/kernel"], weights(2)["q/kernel"])  # type: ignore[index]


def test_a_lucky_few_episodes_do_not_crown_a_poor_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    plays = Plays([50, 50], [50] * 4, [60, 60], [10] * 4)
    evaluator, board = made(monkeypatch, plays)
    board.put(VersionedWeights(1, weights(1)))
    evaluator.evaluate(0)
    board.put(VersionedWeights(2, weights(2)))
    lucky = evaluator.evaluate(0)  # 60 promises, but (120 + 40) / 6 = 26.7
    assert not lucky.is_best
    assert lucky.scores.mean_return == pytest.approx(160 / 6)
    assert (evaluator.best_return, evaluator.evaluations_without_best) == (50, 1)


def test_an_equal_return_is_no_new_best(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator, board = made(monkeypatch, Plays([5, 5], [5, 5], [6, 6]), confirm_episodes=0)
    outcomes = []
    for version in (1, 2, 3):
        board.put(VersionedWeights(version, weights(version)))
        outcomes.append((evaluator.evaluate(0).is_best, evaluator.evaluations_without_best))
    assert outcomes == [(True, 0), (False, 1), (True, 0)]


def test_each_evaluation_plays_episodes_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    plays = Plays([1, 1], [1] * 4, [2, 2], [2] * 4, [3] * 3)
    evaluator, board = made(monkeypatch, plays)
    for version in (1, 2):
        board.put(VersionedWeights(version, weights(version)))
        evaluator.evaluate(0)
    evaluator.final(weights(2))
    seeds = [seed for _, seed in plays.asked]
    assert len(set(seeds)) == len(seeds) == 5
    assert plays.asked[-1][0] == 3


@pytest.mark.parametrize(
    ("train_steps", "value", "outcome"),  # the best return, and the evaluations since
    [
        (5, 5, (8, 1)),
        (4, 4, (6, 0)),  # the very weights, evaluated again
        (4, 5, (8, 1)),  # others: not every run repeats itself bit for bit
        (3, 5, (8, 0)),  # still to come to the best's train step, perhaps with its weights
    ],
)
def test_the_best_survives_a_restart(
    train_steps: int, value: int, outcome: tuple[float, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "best" / "weights.npz"
    evaluator, board = made(monkeypatch, Plays([8, 8]), confirm_episodes=0)
    board.put(VersionedWeights(4, weights(4)))
    keep_best(path, evaluator)

    again, board = made(monkeypatch, Plays([6, 6]), confirm_episodes=0)
    again.load_best(path, weights(0))
    assert again.best_return == 8
    np.testing.assert_array_equal(again.best_weights["q/kernel"], weights(4)["q/kernel"])  # type: ignore[index]
    board.put(VersionedWeights(train_steps, weights(value)))
    assert again.evaluate(0).is_best == (value == 4)
    assert (again.best_return, again.evaluations_without_best) == outcome
    np.testing.assert_array_equal(again.best_weights["q/kernel"], weights(4)["q/kernel"])  # type: ignore[index]


def test_a_run_without_a_best_loads_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    evaluator, _ = made(monkeypatch, Plays())
    evaluator.load_best(tmp_path / "weights.npz", weights(0))
    assert evaluator.best_return is None


def test_a_damaged_best_is_a_checkpoint_error_whatever_the_damage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every byte flipped and every third length: either it is refused, or nothing of worth has changed."""
    path = tmp_path / "weights.npz"
    evaluator, board = made(monkeypatch, Plays([8, 8]), confirm_episodes=0)
    board.put(VersionedWeights(4, weights(4)))
    keep_best(path, evaluator)
    whole = path.read_bytes()
    flipped = [whole[:i] + bytes([whole[i] ^ 0x41]) + whole[i + 1 :] for i in range(len(whole))]
    refused = 0
    for damaged in [*flipped, *(whole[:length] for length in range(0, len(whole), 3))]:
        path.write_bytes(damaged)
        other, _ = made(monkeypatch, Plays())
        try:
            other.load_best(path, weights(0))
        except CheckpointError:
            refused += 1
        else:
            assert other.best_return == 8
            np.testing.assert_array_equal(other.best_weights["q/kernel"], weights(4)["q/kernel"])  # type: ignore[index]
    assert refused > len(whole) / 2


def test_an_evaluation_that_is_interrupted_is_given_up_and_changes_nothing() -> None:
    board, seen = WeightsBoard(), iter([False, False, True])
    board.put(VersionedWeights(1, weights(1)))
    evaluator = Evaluator(
        cast(BatchedTask, FakeTask([[9]])), constant_policy(), board, Config(), interrupted=lambda: next(seen)
    )
    with pytest.raises(Interruption):
        evaluator.evaluate(0)
    assert evaluator.best_return is None
    assert evaluator.evaluations_without_best == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_not_finite_leaves_the_best_alone(value: float, tmp_path: Path) -> None:
    rewards = [1.0]
    kwargs = {
        "space": spaces.Box(0, 1, (2,)),
        "observation": np.zeros(2, np.float32),
        "spoil": lambda observation, *rest: (observation, rewards[0], True, False, {}),
        "at": 2,
    }
    task = make_task(Task(id="tests.support.toy_environments:Odd-v0", num_envs=2, kwargs=kwargs))
    board = WeightsBoard()
    board.put(VersionedWeights(1, {"bias": np.zeros(2, np.float32)}))
    evaluator = Evaluator(task, constant_policy(), board, Config())
    keep_best(tmp_path / "best.npz", evaluator)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    board.put(VersionedWeights(2, {"bias": np.ones(2, np.float32)}))
    rewards[0] = value
    with pytest.raises(NotFiniteError, match=f"Odd-v0, environment 0, step 2: reward is {value}"):
        evaluator.evaluate(10)
    assert (evaluator.best_return, evaluator.evaluated_train_steps) == (2.0, 1)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
    rewards[0] = 3.0
    assert evaluator.evaluate(20).is_best and evaluator.best_return == 4.0
