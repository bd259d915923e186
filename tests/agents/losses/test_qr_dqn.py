"""QR-DQN against RLax on poisoned tables, and a slow oracle where it has none: Munchausen's target, members, masks."""

from typing import Any

import numpy as np
import pytest

from tests.support import quantile_oracle
from tests.support.batches import random_transitions, random_weights, vector_spec
from tests.support.golden_files import golden
from tests.support.loss_outputs import of_tables
from tfdqn.agents.factory import make_agent
from tfdqn.config import MLP, QRDQN, Config, Ensemble

CASE, BATCH = golden("quantiles"), golden("batch")
POISON = 1e4


@pytest.mark.parametrize(
    ("name", "target", "kappa", "legal"),
    [
        ("qr_loss_1", "max", 1.0, False),
        ("qr_loss_half", "max", 0.5, False),
        ("qr_legal_loss_1", "max", 1.0, True),
        ("qr_double_loss_1", "double", 1.0, False),
        ("qr_legal_double_loss_1", "double", 1.0, True),
    ],
)
def test_the_loss_is_rlaxs(name: str, target: Any, kappa: float, legal: bool) -> None:
    poison = np.full(CASE["theta_t"].shape, POISON)
    select_t = CASE["theta_select_t"] if target == "double" else poison
    found = of_tables(
        QRDQN(quantiles=CASE["theta_t"].shape[-1], huber_kappa=kappa, target=target),
        np.concatenate([CASE["theta_tm1"], select_t]),
        np.concatenate([poison, CASE["theta_t"]]),
        BATCH,
        BATCH["legal_t"] if legal else None,
    )
    np.testing.assert_allclose(found.loss, CASE[name], rtol=1e-5)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("masks", [False, True], ids=["", "masks"])
@pytest.mark.parametrize(
    ("target", "kappa", "temperature"), [("max", 0.0, 1.0), ("double", 0.5, 1.0), ("munchausen", 1.0, 0.5)]
)
def test_the_loss_is_that_of_a_slow_oracle(
    target: Any, kappa: float, temperature: float, masks: bool, members: int
) -> None:
    rng, size, actions, quantiles = np.random.default_rng(1), 12, 4, 5
    spec = vector_spec(action_masks=masks)
    settings = QRDQN(quantiles=quantiles, huber_kappa=kappa, target=target, temperature=temperature, reward_scale=0.5)
    config = Config(network=MLP(hidden_units=(6,)), agent=settings, ensemble=Ensemble(size=members, data="all"))
    agent = make_agent(config, spec)
    for network in (agent.network, agent.target_network):
        network.load_named_weights(random_weights(network.named_weights(), rng))
    batch = random_transitions(spec, size, rng)
    taken = batch.action_step.action.numpy()
    before, after = batch.time_step.observation, batch.next_time_step.observation
    legal_tm1, legal_t = np.ones((2, size, actions), bool)
    if masks:
        (before, all_legal), (after, legal) = before, after
        legal_tm1, legal_t = all_legal.numpy(), legal.numpy()

    def table(network: Any, observation: Any) -> np.ndarray:
        outputs = network.outputs(observation)[0].numpy().astype(float)
        return outputs.reshape(members, size, actions, quantiles)

    online, online_t = table(agent.network, before), table(agent.network, after)
    target_tm1, target_t = table(agent.target_network, before), table(agent.target_network, after)
    reward, discount = 0.5 * batch.next_time_step.reward.numpy(), batch.next_time_step.discount.numpy()
    fractions = (np.arange(quantiles) + 0.5) / quantiles
    losses, errors = np.zeros((2, members, size))
    for k, b in np.ndindex(members, size):
        wanted = quantile_oracle.targets(
            settings,
            reward[b],
            discount[b],
            target_t[k, b],
            target_t[k, b].mean(axis=-1),
            online_t[k, b].mean(axis=-1),
            legal_t[b],
            target_tm1[k, b].mean(axis=-1),
            taken[b],
            legal_tm1[b],
        )
        losses[k, b], errors[k, b] = quantile_oracle.regression(fractions, online[k, b, taken[b]], wanted, kappa)
    info = agent.loss(batch)
    np.testing.assert_allclose(info.extra.td_error, errors.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(info.loss, losses.mean(axis=1).sum(), rtol=1e-5)
