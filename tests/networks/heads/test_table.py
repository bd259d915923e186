"""Every head of the table gives the same Q by NumPy and TensorFlow, of a member alone or not, exported or loaded."""

from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from tests.support.batches import random_weights
from tests.support.policies import IMAGE, observations, task
from tfdqn.acting.factory import tensorflow_q_function
from tfdqn.config import C51, IQN, MLP, QRDQN, Agent, Config, Ensemble, Linear, NatureCNN, Network
from tfdqn.exporting.formats import ModelFormat, convert
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.exporting.saved_model import export_policy
from tfdqn.networks.best_actions import aggregate
from tfdqn.networks.factory import network_to_load, numpy_q_function, weight_specs
from tfdqn.task_spec import TaskSpec

AGENTS = [C51(v_min=-2, v_max=3, atoms=11), QRDQN(quantiles=7), IQN(acting_quantiles=6, embedding=5)]
BY_KIND = pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.kind)
NETWORKS: dict[str, Network] = {
    "mlp": MLP(hidden_units=(9, 8)),
    "one hidden layer": MLP(hidden_units=(9,), activation="tanh"),
    "dueling, noisy": MLP(hidden_units=(9, 8), dueling=True, noisy=True, layer_norm=True),
    "linear": Linear(),
}


def weights_of(config: Config, spec: TaskSpec) -> dict[str, np.ndarray]:
    return random_weights(weight_specs(config, spec), np.random.default_rng(3))


@BY_KIND
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
def test_numpy_gives_the_networks_q(agent: Agent, network: Network, members: int) -> None:
    spec = task()
    config = Config(network=network, agent=agent, ensemble=Ensemble(size=members))
    weights, inputs = weights_of(config, spec), observations(spec, 50)
    by_numpy, by_tensorflow = numpy_q_function(config, spec), tensorflow_q_function(config, spec)
    assert by_numpy is not None
    expected = by_tensorflow(weights, inputs)
    assert expected.shape == ((members, 50, 3) if members > 1 else (50, 3)) and expected.std() > 0.05
    np.testing.assert_allclose(by_numpy(weights, inputs), expected, rtol=1e-4, atol=1e-5)


@BY_KIND
@pytest.mark.parametrize(
    ("network", "spec"),
    [(NETWORKS["dueling, noisy"], task()), (NatureCNN(dense_units=8), task(observation=IMAGE))],
    ids=["mlp", "cnn"],
)
def test_a_member_of_an_ensemble_is_as_one_alone(agent: Agent, network: Network, spec: TaskSpec) -> None:
    config = Config(network=network, agent=agent, ensemble=Ensemble(size=2))
    weights, inputs = weights_of(config, spec), observations(spec, 9)
    together = tensorflow_q_function(config, spec)(weights, inputs)
    alone = tensorflow_q_function(Config(network=network, agent=agent), spec)
    for k in range(2):
        one = alone({name: each[k] for name, each in weights.items()}, inputs)
        np.testing.assert_allclose(together[k], one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("agent", "members"),
    [
        (AGENTS[2], 2),
        *(pytest.param(*each, marks=pytest.mark.long) for each in ((AGENTS[0], 1), (AGENTS[1], 2), (AGENTS[2], 1))),
    ],
    ids=["two of iqn", "c51", "two of qr_dqn", "iqn"],
)
def test_what_is_served_is_q_over_the_legal_actions(agent: Agent, members: int, tmp_path: Path) -> None:
    spec = task(masks=True)
    config = Config(network=NETWORKS["mlp"], agent=agent, ensemble=Ensemble(size=members))
    weights, inputs = weights_of(config, spec), observations(spec, 200)
    network = network_to_load(config, spec)
    network.load_named_weights(weights)
    mean = partial(aggregate, aggregation="mean") if members > 1 else None
    formats = [ModelFormat.onnx, ModelFormat.tflite]
    version = export_policy(spec, network, tmp_path, {}, mean, add=lambda path: convert(path, formats))
    q_values = tensorflow_q_function(config, spec)(weights, inputs).reshape(members, 200, 3).mean(axis=0)
    legal = np.random.default_rng(1).random((200, 3)) < 0.6
    legal[:, 1] |= ~legal.any(axis=1)
    best = np.where(legal, q_values, -np.inf).argmax(axis=1)
    assert len(np.unique(best)) == 3

    loaded = load_policy(version)
    np.testing.assert_array_equal(loaded(inputs, legal), best)
    np.testing.assert_allclose(loaded.q_values(inputs), q_values, rtol=1e-4, atol=1e-5)
    fed = inputs | {"legal_actions": legal}
    session = onnxruntime.InferenceSession(version / "policy.onnx")
    names = [each.name for each in session.get_outputs()]
    by_onnx = dict(zip(names, session.run(names, fed), strict=True))
    by_tflite = tf.lite.Interpreter(str(version / "policy.tflite")).get_signature_runner("serving_default")(**fed)
    for found in (by_onnx, by_tflite):
        np.testing.assert_array_equal(found["action"], best)
        np.testing.assert_allclose(found["q_values"], q_values, rtol=1e-4, atol=1e-5)
