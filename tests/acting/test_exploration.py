"""Exploration: schedules by hand, frequencies by chi-square, masks without exception."""

import numpy as np
import pytest

from tfdqn.acting import exploration
from tfdqn.config import Boltzmann, EpsilonGreedy
from tfdqn.networks.best_actions import greedy_numpy

DRAWS = 20_000
CHI_SQUARE_3_DF = 16.27  # exceeded by chance once in a thousand seeds, with three degrees of freedom


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    expected = probabilities * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize(
    ("env_steps", "expected"),
    [(0, 1.0), (250, 0.775), (500, 0.55), (1000, 0.1), (5000, 0.1)],  # 1 - 0.9 · t / 1000
)
def test_a_linear_schedule_runs_on_a_line_and_stays_at_its_end(env_steps: int, expected: float) -> None:
    settings = EpsilonGreedy(start=1.0, end=0.1, decay="linear", decay_env_steps=1000)
    assert exploration.scheduled(settings, env_steps) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("env_steps", "expected"),
    [(0, 4.0), (500, 0.4), (1000, 0.04), (5000, 0.04)],  # a hundredth over 1000: a tenth over 500
)
def test_an_exponential_schedule_falls_by_a_constant_factor(env_steps: int, expected: float) -> None:
    settings = Boltzmann(start=4.0, end=0.04, decay="exponential", decay_env_steps=1000)
    assert exploration.scheduled(settings, env_steps) == pytest.approx(expected)


def test_an_exponential_schedule_reaches_an_end_however_small() -> None:
    settings = EpsilonGreedy(start=1.0, end=1e-14, decay="exponential", decay_env_steps=1000)
    assert exploration.scheduled(settings, 500) == pytest.approx(1e-7, abs=0)
    assert exploration.scheduled(settings, 1000) == pytest.approx(1e-14, abs=0)


def test_the_ladder_is_that_of_horgan_et_al() -> None:
    # Their setting: epsilon 0.4, alpha 7. Of eight actors the first acts with 0.4, the last with 0.4^8.
    rungs = 0.4 ** exploration.ladder_exponents(8, 7.0)
    np.testing.assert_allclose(rungs, [0.4**power for power in range(1, 9)])
    np.testing.assert_allclose(0.4 ** exploration.ladder_exponents(3, 1.0), [0.4, 0.4**1.5, 0.4**2])


def test_a_ladder_without_alpha_or_of_one_rung_is_epsilon_itself() -> None:
    np.testing.assert_array_equal(0.3 ** exploration.ladder_exponents(4, 0.0), [0.3] * 4)
    np.testing.assert_array_equal(0.3 ** exploration.ladder_exponents(1, 7.0), [0.3])


@pytest.mark.parametrize("epsilon", [0.1, 0.6, 1.0])
def test_epsilon_greedy_explores_as_often_as_epsilon_says(epsilon: float) -> None:
    q = np.tile([0.0, 2.0, 1.0, -1.0], (DRAWS, 1))
    actions = exploration.epsilon_greedy(q, None, np.full(DRAWS, epsilon), np.random.default_rng(1))
    probabilities = np.full(4, epsilon / 4)
    probabilities[1] += 1 - epsilon
    assert chi_square(np.bincount(actions, minlength=4), probabilities) < CHI_SQUARE_3_DF


def test_epsilon_greedy_explores_uniformly_over_the_legal_actions() -> None:
    q = np.tile([5.0, 2.0, 1.0, -1.0, 0.0], (DRAWS, 1))
    legal = np.tile([False, True, True, True, True], (DRAWS, 1))
    actions = exploration.epsilon_greedy(q, legal, np.full(DRAWS, 0.5), np.random.default_rng(2))
    counts = np.bincount(actions, minlength=5)
    assert counts[0] == 0
    assert chi_square(counts[1:], np.array([0.625, 0.125, 0.125, 0.125])) < CHI_SQUARE_3_DF


def test_each_environment_has_its_own_epsilon() -> None:
    rng = np.random.default_rng(3)
    q = np.tile([0.0, 1.0], (2, 1))
    actions = np.array([exploration.epsilon_greedy(q, None, np.array([0.0, 1.0]), rng) for _ in range(200)])
    assert (actions[:, 0] == 1).all()
    assert 60 < actions[:, 1].sum() < 140


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_boltzmann_draws_from_the_softmax(temperature: float) -> None:
    q = np.array([0.0, 1.0, 0.5, -1.0])
    actions = exploration.boltzmann(np.tile(q, (DRAWS, 1)), None, temperature, np.random.default_rng(4))
    weights = np.exp(q / temperature)
    assert chi_square(np.bincount(actions, minlength=4), weights / weights.sum()) < CHI_SQUARE_3_DF


def test_boltzmann_is_greedy_when_cold_even_with_enormous_values() -> None:
    q = np.array([[1e30, 2e30, -3e30]])
    assert exploration.boltzmann(q, None, 1e-5, np.random.default_rng(5)) == [1]


@pytest.mark.parametrize("temperature", [1e-30, 1e-39, 1e-320])
def test_boltzmann_takes_the_best_legal_action_however_cold(temperature: float) -> None:
    q = np.array([[-1e10, -2e10, 0.0], [1e10, 2e10, 3e10], [-3e38, 3e38, 0.0]], np.float32)
    legal = np.array([[True, True, False]] * 3)
    with np.errstate(all="raise"):
        actions = exploration.boltzmann(q, legal, temperature, np.random.default_rng(5))
    assert actions.tolist() == [0, 1, 1]


def test_no_policy_ever_takes_an_illegal_action() -> None:
    rng = np.random.default_rng(6)
    legal = rng.random((5000, 4)) < 0.3
    legal[np.arange(5000), rng.integers(4, size=5000)] = True
    q = np.where(legal, -1e30, 1e30) + rng.normal(size=legal.shape)
    for actions in (
        greedy_numpy(q, legal),
        exploration.epsilon_greedy(q, legal, np.full(5000, 0.5), rng),
        exploration.boltzmann(q, legal, 1.0, rng),
        exploration.uniform(q.shape, legal, rng),
    ):
        assert legal[np.arange(5000), actions].all()


def test_the_same_generator_gives_the_same_actions() -> None:
    q = np.random.default_rng(0).normal(size=(50, 4))
    first, second = (exploration.epsilon_greedy(q, None, np.full(50, 0.5), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_each_branch_explores_by_itself_and_only_among_its_own_actions() -> None:
    counts, epsilon = np.array([4, 2, 3]), 0.6
    q = np.tile(np.array([[0.0, 2, 1, -1], [3, 0, 3, 3], [0, 0, 5, 0]]), (DRAWS, 1, 1))
    legal = np.arange(4) < counts[:, np.newaxis]
    actions = exploration.epsilon_greedy(q, legal, np.full((DRAWS, 1), epsilon), np.random.default_rng(1))
    assert actions.shape == (DRAWS, 3) and actions.dtype == np.int32
    best = np.array([1, 0, 2])
    for d, count in enumerate(counts):
        probabilities = np.full(count, epsilon / count)
        probabilities[best[d]] += 1 - epsilon
        assert chi_square(np.bincount(actions[:, d], minlength=count), probabilities) < CHI_SQUARE_3_DF
    wanders = actions != best
    expected = epsilon * (counts - 1) / counts
    both = wanders[:, 0] & wanders[:, 2]
    assert both.mean() == pytest.approx(expected[0] * expected[2], abs=0.015)  # independent of one another


def test_branches_of_one_environment_have_its_epsilon() -> None:
    q = np.zeros((2, 3, 4))
    q[..., 2] = 1
    rungs = np.array([[0.0], [1.0]])
    actions = np.stack([exploration.epsilon_greedy(q, None, rungs, np.random.default_rng(i)) for i in range(500)])
    assert (actions[:, 0] == 2).all()
    assert chi_square(np.bincount(actions[:, 1].ravel(), minlength=4), np.full(4, 0.25)) < CHI_SQUARE_3_DF


def test_boltzmann_draws_every_branch_from_its_own_softmax() -> None:
    q = np.tile(np.array([[1.0, 2.0, 0.5], [0.3, 0.1, 99.0]]), (DRAWS, 1, 1))
    legal = np.array([[True, True, True], [True, True, False]])
    actions = exploration.boltzmann(q, legal, 0.7, np.random.default_rng(1))
    for d, count in enumerate((3, 2)):
        weights = np.exp(q[0, d, :count] / 0.7)
        assert chi_square(np.bincount(actions[:, d], minlength=count), weights / weights.sum()) < CHI_SQUARE_3_DF
