"""Central inference acts as an actor does by itself, whatever the head, and with the noise of noisy layers."""

from contextlib import closing
from typing import Any

import numpy as np
import pytest

from tests.support.batches import observations, random_weights, vector_spec
from tfdqn.acting.central_inference import CentralValues, Inference
from tfdqn.acting.factory import make_policy, make_q_function
from tfdqn.acting.policy import PolicyOutput
from tfdqn.config import C51, IQN, MLP, QRDQN, Acting, Agent, Config, DoubleDQN, EpsilonGreedy, NatureCNN, Network
from tfdqn.coordination.messages import QValues, QValuesRequest
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.networks.factory import weight_specs
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

VECTOR = vector_spec(action_masks=True)
FRAMES = TaskSpec(
    id="Image-v0",
    observation={"observation": ArraySpec(shape=(2, 36, 36), dtype="uint8", frame_stack=2)},
    actions=discrete(4),
)
HEADS = [C51(v_min=-2, v_max=3, atoms=11), QRDQN(quantiles=7), IQN(acting_quantiles=6, embedding=5)]
NETWORKS: list[Network] = [
    MLP(hidden_units=(6,)),
    MLP(hidden_units=(6,), noisy=True, dueling=True),
    NatureCNN(dense_units=4, noisy=True),
]
EXPLORES = EpsilonGreedy(start=0.3, end=0.3)
ENVS = 40


def acted(config: Config, spec: TaskSpec, is_central: bool) -> list[PolicyOutput]:
    """Five steps of one policy, whose actor and network draw from streams of their own."""
    rng = np.random.default_rng(5)
    weights = random_weights(weight_specs(config, spec), rng)
    noise, board = np.random.default_rng(6), WeightsBoard()
    board.put(VersionedWeights(3, weights))
    q_function = make_q_function(config, spec)
    with closing(Inference(q_function, spec, board, ENVS, noise)) as inference:

        def call(method: str, observed: QValuesRequest, reply: type, timeout_seconds: float) -> QValues:
            return inference(observed)

        def here(given: Any, observation: Any, legal: Any, of_actor: np.random.Generator) -> np.ndarray:
            return q_function(weights, observation, legal, noise)

        values = CentralValues(call, lambda reason: False) if is_central else here
        policy = make_policy(config, spec, EXPLORES, ENVS, action_values=values)
        states = [observations(spec, ENVS, rng) for _ in range(5)]
        legal = [rng.random((ENVS, *spec.mask_shape)) < 0.7 if spec.action_masks else None for _ in states]
        for mask in legal:
            if mask is not None:
                mask &= spec.all_legal
                mask[..., 0] |= ~mask.any(axis=-1)
        return [policy({}, state, mask, (), rng) for state, mask in zip(states, legal, strict=True)]


@pytest.mark.parametrize("network", NETWORKS, ids=["mlp", "noisy", "noisy cnn"])
@pytest.mark.parametrize("agent", HEADS, ids=lambda agent: str(agent.kind))
def test_its_values_and_actions_are_those_of_acting_where_the_weights_are(agent: Agent, network: Network) -> None:
    config = Config(agent=agent, network=network, acting=Acting(inference="central"))
    spec = FRAMES if isinstance(network, NatureCNN) else VECTOR
    for central, local in zip(*(acted(config, spec, is_central) for is_central in (True, False)), strict=True):
        np.testing.assert_array_equal(central.q_values, local.q_values)
        np.testing.assert_array_equal(central.action, local.action)
        assert len(np.unique(central.action)) > 1


@pytest.mark.parametrize("network", NETWORKS[:2], ids=["mlp", "noisy"])
@pytest.mark.parametrize("action_masks", [False, True])
def test_so_are_those_of_branches(action_masks: bool, network: Network) -> None:
    config = Config(agent=DoubleDQN(), network=network, acting=Acting(inference="central"))
    spec = vector_spec(num_actions=(3, 4, 2), action_masks=action_masks)
    for central, local in zip(*(acted(config, spec, is_central) for is_central in (True, False)), strict=True):
        assert central.q_values.shape == (ENVS, 3, 4) and central.action.shape == (ENVS, 3)
        np.testing.assert_array_equal(central.q_values, local.q_values)
        np.testing.assert_array_equal(central.action, local.action)


def test_a_noisy_network_has_noise_there_too_anew_at_each_step() -> None:
    noisy, plain = (Config(network=MLP(hidden_units=(6,), noisy=each)) for each in (True, False))
    weights = random_weights(weight_specs(noisy, VECTOR), np.random.default_rng(7))
    state, legal = observations(VECTOR, 3, np.random.default_rng(8)), np.ones((3, 4), bool)
    board = WeightsBoard()
    board.put(VersionedWeights(1, weights))
    exact = make_q_function(plain, VECTOR)(weights, state, legal, None)
    with closing(Inference(make_q_function(noisy, VECTOR), VECTOR, board, 10, np.random.default_rng(9))) as inference:
        values = CentralValues(lambda method, observed, reply, timeout: inference(observed), lambda reason: False)
        first, second = (values({}, state, legal, None) for _ in range(2))
    for one, other in ((first, second), (first, exact), (second, exact)):
        assert np.abs(one - other).min() > 1e-4
