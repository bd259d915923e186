"""A policy with a memory is served with its state as an input and an output, and is called step by step."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.policies import network_of, observations, task
from tfdqn.config import MLP
from tfdqn.errors import UserError
from tfdqn.exporting.loaded_policy import LoadedPolicy, load_policy
from tfdqn.exporting.saved_model import export_policy
from tfdqn.exporting.tf_serving_files import warm_up_requests
from tfdqn.networks.q_network import QNetwork
from tfdqn.serving.model import Model

MEMORY = MLP(hidden_units=(6,), memory="lstm", memory_units=4)
SPEC = task()


def network(spec=SPEC) -> QNetwork:
    made = network_of(spec, MEMORY)
    rng = np.random.default_rng(1)
    made.load_named_weights({name: rng.normal(size=each.shape) for name, each in made.named_weights().items()})
    return made


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_policy(SPEC, network(), tmp_path_factory.mktemp("exports"), {})


def test_an_episode_is_played_step_by_step(version: Path) -> None:
    policy, live = load_policy(version), network()
    assert policy.state_size == 8
    state, live_state = None, tf.zeros([1, 8])
    for t in range(5):
        seen = {key: array[0] for key, array in observations(SPEC, 1, seed=t).items()}["observation"]
        expected, live_state = live({"observation": seen[np.newaxis]}, network_state=live_state)
        np.testing.assert_allclose(policy.q_values(seen, state), expected[0], rtol=1e-4, atol=1e-5)
        action, state = policy.step(seen, state)
        assert action == int(np.argmax(expected[0]))
        assert state is not None
        np.testing.assert_allclose(state, live_state[0], rtol=1e-4, atol=1e-5)


def test_a_batch_has_a_state_for_each_row(version: Path) -> None:
    policy, seen = load_policy(version), observations(SPEC, 3)["observation"]
    states = np.random.default_rng(2).normal(size=(3, 8)).astype(np.float32)
    actions, following = policy.step(seen, states)
    for row in range(3):
        action, state = policy.step(seen[row], states[row])
        assert action == actions[row]
        np.testing.assert_allclose(state, following[row], rtol=1e-4, atol=1e-5)


def test_it_is_not_called_as_if_it_remembered_nothing(version: Path) -> None:
    policy, seen = load_policy(version), observations(SPEC, 1)["observation"][0]
    with pytest.raises(UserError, match=r"has a memory: call step.*state is None where an episode begins"):
        policy(seen)
    with pytest.raises(UserError, match=r"state: float32\[8\] is needed; got float32\[3\]"):
        policy.step(seen, np.zeros(3, np.float32))
    with pytest.raises(UserError, match=r"state: float32\[8\] is needed; got no array of numbers"):
        policy.step(seen, [[0.0], [0.0, 0.0]])
    with pytest.raises(UserError, match=r"policy_state\[2\]: nan is not a finite float32"):
        policy.step(seen, np.array([0, 0, np.nan, 0, 0, 0, 0, 0], np.float32))
    with pytest.raises(UserError, match=r"state\[1\]: 1e\+39 does not fit float32"):
        policy.step(seen, np.array([0, 1e39, 0, 0, 0, 0, 0, 0]))
    with pytest.raises(UserError, match=r"state: float32\[8\] is needed; got no array of numbers"):
        policy.step(seen, [10**400] * 8)


def test_one_without_a_memory_takes_no_state(tmp_path: Path) -> None:
    policy: LoadedPolicy = load_policy(export_policy(SPEC, network_of(SPEC), tmp_path, {}))
    seen = observations(SPEC, 1)["observation"][0]
    assert policy.state_size == 0
    action, state = policy.step(seen, None)
    assert (action, state) == (policy(seen), None)
    with pytest.raises(UserError, match="no memory: state is not taken"):
        policy.step(seen, np.zeros(8, np.float32))


def test_a_server_takes_and_gives_it(version: Path) -> None:
    model = Model(version, 1)
    signature = model.signatures["serving_default"]
    assert signature.is_batched
    assert signature.inputs["policy_state"].row_shape == (8,)
    inputs = observations(SPEC, 2) | {"policy_state": np.zeros((2, 8), np.float32)}
    signature.check(inputs)
    assert signature.call(inputs)["next_policy_state"].shape == (2, 8)
    with pytest.raises(UserError, match="policy_state"):
        signature.check(inputs | {"policy_state": np.full((2, 8), np.inf, np.float32)})
    assert {name for request in warm_up_requests(SPEC, 8) for name in request.inputs} == {"observation", "policy_state"}
