"""`make_policy`: what the configuration says decides which policy acts."""

import numpy as np
import pytest

from tests.support.batches import observations, vector_spec
from tests.support.own_algorithm import Quantiles
from tfdqn.acting.factory import make_policy
from tfdqn.acting.policy import Policy
from tfdqn.acting.stateful_policies import MemberPolicy, RecurrentPolicy
from tfdqn.config import MLP, Config, Ensemble, EpsilonGreedy
from tfdqn.errors import NotFiniteError
from tfdqn.networks.factory import network_to_load

SPEC = vector_spec()
EXPLORES = EpsilonGreedy(start=1.0, end=1.0)
PLAIN = MLP(hidden_units=(4,))
BOOTSTRAPPED = Config(network=PLAIN, ensemble=Ensemble(size=3, acting="member"))


def test_the_network_and_the_ensemble_decide_which_policy_acts_and_all_explore() -> None:
    policies = {
        RecurrentPolicy: Config(network=MLP(hidden_units=(4,), memory="gru", memory_units=3)),
        Policy: Config(network=PLAIN, ensemble=Ensemble(size=3)),
        MemberPolicy: BOOTSTRAPPED,
    }
    for kind, config in policies.items():
        rng, network = np.random.default_rng(0), network_to_load(config, SPEC)
        weights = {name: weight.numpy() for name, weight in network.named_weights().items()}
        policy = make_policy(config, SPEC, EXPLORES, num_envs=200)
        assert type(policy) is kind
        assert set(policy(weights, observations(SPEC, 200, rng), None, (), rng).action) == {0, 1, 2, 3}


def test_what_does_not_explore_is_the_ensemble_as_one() -> None:
    """As where it is evaluated."""
    rng, network = np.random.default_rng(1), network_to_load(BOOTSTRAPPED, SPEC)
    weights = {name: weight.numpy() for name, weight in network.named_weights().items()}
    observation = observations(SPEC, 50, rng)
    output = make_policy(BOOTSTRAPPED, SPEC)(weights, observation, None, (), rng)
    np.testing.assert_allclose(output.q_values, network(observation)[0].numpy().mean(axis=0), rtol=1e-4, atol=1e-5)
    assert output.policy_state == ()


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_q_values_that_are_not_finite_are_an_error_that_names_the_users_own_head(memory: str) -> None:
    config = Config(agent=Quantiles(), network=MLP(hidden_units=(4,), memory=memory, memory_units=3))
    weights = {name: weight.numpy() for name, weight in network_to_load(config, SPEC).named_weights().items()}
    weights["q/bias"] = np.full_like(weights["q/bias"], np.nan)
    rng = np.random.default_rng(0)
    computed = r"it is computed by head at .*own_algorithm.py:\d+ and head_numpy"
    said = f"Q of action 0 of environment 0 is nan, which is not finite; {computed}"
    for ask in (
        lambda: make_policy(config, SPEC)(weights, observations(SPEC, 2, rng), None, (), rng),
        lambda: make_policy(config, SPEC).q_values(weights, observations(SPEC, 2, rng), None),
    ):
        with pytest.raises(NotFiniteError, match=said):
            ask()
    plain = Config(network=PLAIN)
    weights = {name: weight.numpy() * np.nan for name, weight in network_to_load(plain, SPEC).named_weights().items()}
    with pytest.raises(NotFiniteError, match="which is not finite; scale the task's observations"):
        make_policy(plain, SPEC)(weights, observations(SPEC, 2, rng), None, (), rng)
