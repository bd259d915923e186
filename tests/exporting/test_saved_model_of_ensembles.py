"""An ensemble acts alike wherever it acts: by the actor's policy, and by what is served elsewhere."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.batches import random_weights
from tests.support.elsewhere import SAVED_MODEL, ask
from tests.support.policies import IMAGE, observations, task
from tfdqn.acting.factory import make_q_function
from tfdqn.acting.policy import Policy
from tfdqn.config import MLP, Config, Ensemble, Linear, NatureCNN, Network
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.exporting.saved_model import export_policy
from tfdqn.networks.best_actions import Aggregation, aggregate
from tfdqn.networks.factory import network_to_load, q_network
from tfdqn.task_spec import TaskSpec

AGGREGATIONS: tuple[Aggregation, ...] = ("mean", "majority", "minimum")
MEMBERS = 5


def slow_actions(
    settings: Network, spec: TaskSpec, members: list[dict], inputs: dict, legal: np.ndarray, aggregation: Aggregation
) -> np.ndarray:
    """What K plain networks, each asked by itself, agree on."""
    q = []
    for weights in members:
        network = q_network(Config(network=settings), spec, seed=0)
        network.create_variables()
        network.load_named_weights(weights)
        q.append(np.where(legal, network(inputs)[0].numpy(), -np.inf))
    if aggregation == "majority":
        votes = np.stack([np.bincount(column, minlength=legal.shape[1]) for column in np.argmax(q, axis=2).T])
        mean = np.mean(q, axis=0)
        return np.where(votes == votes.max(axis=1, keepdims=True), mean, -np.inf).argmax(axis=1)
    return (np.mean if aggregation == "mean" else np.min)(q, axis=0).argmax(axis=1)


def random_members(config: Config, spec: TaskSpec, rng: np.random.Generator) -> list[dict]:
    """The weights of K plain networks."""
    alone = q_network(config, spec, seed=0)
    alone.create_variables()
    return [random_weights(alone.named_weights(), rng) for _ in range(MEMBERS)]


def stacked(members: list[dict]) -> dict[str, np.ndarray]:
    return {name: np.stack([member[name] for member in members]) for name in members[0]}


def random_masks(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    legal = rng.random(shape) < 0.6
    legal[:, 1] |= ~legal.any(axis=1)
    return legal


def exported(config: Config, spec: TaskSpec, weights: dict, directory: Path) -> Path:
    network = network_to_load(config, spec)
    network.load_named_weights(weights)
    together = None
    if config.ensemble.size > 1:
        together = partial(aggregate, aggregation=config.ensemble.aggregation)
    return export_policy(spec, network, directory, {}, together)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize(
    ("settings", "spec", "states"),
    [
        pytest.param(MLP(hidden_units=(16,)), task(masks=True), 1000, id="masks"),
        pytest.param(MLP(hidden_units=(16,)), task(), 1000, id="all legal"),
        pytest.param(Linear(), task(masks=True), 1000, id="linear"),
        pytest.param(NatureCNN(dense_units=8), task(masks=True, observation=IMAGE), 100, id="images"),
    ],
)
def test_everyone_takes_the_ensembles_action(
    settings: Network, spec: TaskSpec, states: int, aggregation: Aggregation, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    config = Config(network=settings, ensemble=Ensemble(size=MEMBERS, aggregation=aggregation))
    members = random_members(config, spec, rng)
    weights, inputs = stacked(members), observations(spec, states)
    legal = random_masks((states, 3), rng) if spec.action_masks else np.ones((states, 3), bool)
    expected = slow_actions(settings, spec, members, inputs, legal, aggregation)
    assert len(np.unique(expected)) == 3

    mask = legal if spec.action_masks else None
    policy = Policy(make_q_function(config, spec))
    acting = policy(weights, inputs, mask, (), rng)
    np.testing.assert_array_equal(acting.action, expected)
    assert acting.q_values.shape == (states, 3)

    loaded = load_policy(exported(config, spec, weights, tmp_path))
    np.testing.assert_array_equal(loaded(inputs, mask), expected)
    # Asked for values alone, it takes all actions for legal.
    unmasked = policy(weights, inputs, None, (), rng).q_values
    np.testing.assert_allclose(loaded.q_values(inputs), unmasked, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_fresh_process_without_tf_agents_takes_it_too(aggregation: Aggregation, tmp_path: Path) -> None:
    rng, spec = np.random.default_rng(2), task(masks=True)
    config = Config(network=MLP(hidden_units=(16,)), ensemble=Ensemble(size=MEMBERS, aggregation=aggregation))
    weights, inputs = stacked(random_members(config, spec, rng)), observations(spec, 1000)
    legal = random_masks((1000, 3), rng)
    acting = Policy(make_q_function(config, spec))(weights, inputs, legal, (), rng)
    version = exported(config, spec, weights, tmp_path / "exports")
    served = ask(SAVED_MODEL, version, inputs | {"legal_actions": legal}, tmp_path)
    np.testing.assert_array_equal(served["action"], acting.action)
    np.testing.assert_allclose(served["q_values"], acting.q_values, rtol=1e-3, atol=1e-3)
