"""Policies of several action dimensions: greedy, exploring, by masks, of ensembles, and asked for at the learner."""

import numpy as np
import pytest

from tests.support.batches import observations, random_weights, vector_spec
from tfdqn.acting.exploration import Explorer
from tfdqn.acting.factory import make_policy
from tfdqn.acting.policy import Policy
from tfdqn.config import MLP, Acting, Boltzmann, Config, Ensemble, EpsilonGreedy
from tfdqn.errors import NotFiniteError
from tfdqn.networks.factory import network_to_load
from tfdqn.task_spec import TaskSpec

COUNTS, ENVS = (3, 5, 2), 6
ALWAYS = EpsilonGreedy(start=1.0, end=1.0)


def made(config: Config, spec: TaskSpec) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(weights, observations)."""
    weights = random_weights(network_to_load(config, spec).named_weights(), np.random.default_rng(1))
    return weights, observations(spec, ENVS, np.random.default_rng(2))


def masks(rng: np.random.Generator) -> np.ndarray:
    legal = np.zeros((ENVS, 3, 5), bool)
    for env in range(ENVS):
        for d, count in enumerate(COUNTS):
            legal[env, d, rng.permutation(count)[: rng.integers(1, count + 1)]] = True
    return legal


@pytest.mark.parametrize("ensemble", [{}, {"size": 3}, {"size": 3, "aggregation": "majority"}], ids=str)
@pytest.mark.parametrize("has_masks", [False, True])
def test_the_best_action_is_each_dimensions_own_best_legal_one(ensemble: dict, has_masks: bool) -> None:
    spec = vector_spec(4, COUNTS, action_masks=has_masks)
    config = Config(network=MLP(hidden_units=(7,), dueling=True), ensemble=Ensemble(**ensemble))
    weights, observation = made(config, spec)
    legal = masks(np.random.default_rng(3)) if has_masks else None
    output = make_policy(config, spec)(weights, observation, legal, (), np.random.default_rng(0))
    assert output.action.shape == (ENVS, 3) and output.action.dtype == np.int32
    assert output.q_values.shape == (ENVS, 3, 5)
    for env in range(ENVS):
        for d, count in enumerate(COUNTS):
            own = output.q_values[env, d, :count]
            allowed = np.ones(count, bool) if legal is None else legal[env, d, :count]
            assert output.action[env, d] == np.where(allowed, own, -np.inf).argmax()


@pytest.mark.parametrize("settings", [ALWAYS, Boltzmann(start=1e6, end=1e6)], ids=["epsilon", "boltzmann"])
@pytest.mark.parametrize("ensemble", [{}, {"size": 2, "acting": "member"}], ids=["one", "member"])
def test_exploration_takes_every_action_that_there_is_and_no_other(settings: object, ensemble: dict) -> None:
    spec = vector_spec(4, COUNTS)
    config = Config(network=MLP(hidden_units=(7,)), ensemble=Ensemble(**ensemble))
    weights, observation = made(config, spec)
    policy, rng = make_policy(config, spec, settings, ENVS), np.random.default_rng(0)  # type: ignore[arg-type]
    actions = np.concatenate([policy(weights, observation, None, (), rng).action for _ in range(60)])
    for d, count in enumerate(COUNTS):
        assert set(actions[:, d]) == set(range(count))
    legal = masks(np.random.default_rng(3))
    for _ in range(60):
        action = policy(weights, observation, legal, (), rng).action
        assert np.take_along_axis(legal, action[..., np.newaxis], axis=-1).all()


def test_the_ladder_gives_each_environment_one_epsilon_for_all_its_branches() -> None:
    spec = vector_spec(4, COUNTS)
    config = Config(network=MLP(hidden_units=(7,)), acting=Acting(actors=2))
    settings = EpsilonGreedy(start=0.4, end=0.4, ladder_alpha=7.0)
    policy = make_policy(config, spec, settings, ENVS, actor=1)
    weights, observation = made(config, spec)
    best = make_policy(config, spec)(weights, observation, None, (), np.random.default_rng(0)).action
    rng = np.random.default_rng(5)
    moved = np.mean([policy(weights, observation, None, (), rng).action != best for _ in range(4_000)], axis=0)
    for env in range(ENVS):  # of twelve, the second six
        epsilon = 0.4 ** (1 + 7 * (ENVS + env) / 11)
        expected = epsilon * (1 - 1 / np.array(COUNTS))
        np.testing.assert_allclose(moved[env], expected, atol=0.012)


def test_a_value_that_is_not_finite_is_named_with_its_branch() -> None:
    q_values = np.zeros((2, 3, 5), np.float32)
    q_values[1, 2, 4] = np.inf
    policy = Policy(lambda *_: q_values, Explorer(all_legal=np.ones((3, 5), bool)))
    with pytest.raises(NotFiniteError, match=r"^Q of action 2, 4 of environment 1 is inf, which is not finite"):
        policy({}, {}, None, (), np.random.default_rng(0))
