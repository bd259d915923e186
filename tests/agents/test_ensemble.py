"""`EnsembleAgent`: each member's loss is that of the plain agent on its share; shared targets against a slow oracle."""

from typing import Any, Literal

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_transitions, random_weights, vector_spec
from tfdqn.agents.dqn import DqnAgent
from tfdqn.agents.ensemble import EnsembleAgent
from tfdqn.agents.ensemble_masks import member_weights
from tfdqn.agents.factory import make_agent
from tfdqn.agents.losses import td
from tfdqn.config import DQN, MLP, Config, DoubleDQN, Ensemble
from tfdqn.networks.best_actions import Aggregation

Kind = Literal["dqn", "double_dqn"]
KINDS = {"dqn": DQN, "double_dqn": DoubleDQN}
MEMBERS, BATCH = 3, 40
AGGREGATIONS: tuple[Aggregation, ...] = ("mean", "majority", "minimum")


def settings(kind: Kind = "dqn", loss: str = "squared", size: int = MEMBERS, **ensemble: Any) -> Config:
    return Config(
        network=MLP(hidden_units=(5,)),
        agent=KINDS[kind](loss=loss, huber_delta=0.7, reward_scale=0.5),  # type: ignore[arg-type]
        ensemble=Ensemble(size=size, **ensemble),
    )


def randomised(agent: DqnAgent, rng: np.random.Generator) -> DqnAgent:
    for network in (agent.network, agent.target_network):
        network.load_named_weights(random_weights(network.named_weights(), rng))
    return agent


def member_of(agent: DqnAgent, k: int, config: Config) -> DqnAgent:
    """The plain agent with the weights of member k."""
    alone = DqnAgent(config, vector_spec(action_masks=agent._has_masks))
    for ours, theirs in ((agent.network, alone.network), (agent.target_network, alone.target_network)):
        theirs.load_named_weights({name: w[k] for name, w in ours.named_weights().items()})
    return alone


@pytest.mark.parametrize("data", ["all", "bootstrap", "hash", "partition"])
@pytest.mark.parametrize("masks", [False, True], ids=["", "masks"])
@pytest.mark.parametrize("kind", ["dqn", "double_dqn"])
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_the_loss_is_the_sum_of_the_members_own_on_their_weighted_examples(
    kind: Kind, loss: str, masks: bool, data: str
) -> None:
    rng = np.random.default_rng(1)
    config, spec = (settings(kind, loss, data=data, partition_edges=(-0.5, 0.5)), vector_spec(action_masks=masks))
    agent = randomised(EnsembleAgent(config, spec), rng)
    batch = random_transitions(spec, BATCH, rng)
    importance = rng.random(BATCH).astype(np.float32)
    weights = list(agent.network.named_weights().values())
    with tf.GradientTape() as tape:
        info = agent.loss(batch, weights=tf.constant(importance))
    gradients = tape.gradient(info.loss, weights)

    states = (each[0] if masks else each for each in (batch.time_step.observation, batch.next_time_step.observation))
    shares = member_weights(config, spec)(batch, *states).numpy()
    expected, td_errors, q_values, largest = 0.0, [], [], []
    for k in range(MEMBERS):
        alone = member_of(agent, k, config)
        with tf.GradientTape() as tape:
            member = alone.loss(batch, weights=tf.constant(importance * shares[k]))
        expected += member.loss
        ours = [gradient[k] for gradient in gradients]
        theirs = tape.gradient(member.loss, list(alone.network.named_weights().values()))
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        td_errors.append(member.extra.td_error), q_values.append(member.extra.q_value)
        largest.append(member.extra.max_q_value)
    np.testing.assert_allclose(info.loss, expected, rtol=1e-5)
    learns = shares > 0
    mean = (learns * np.abs(td_errors)).sum(axis=0) / np.maximum(learns.sum(axis=0), 1)
    for error in (info.extra.td_error, info.extra.priority):
        np.testing.assert_allclose(error, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(info.extra.q_value, np.mean(q_values, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(info.extra.max_q_value, np.max(largest, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(info.extra.disagreement, np.std(q_values, axis=0), rtol=1e-4, atol=1e-5)


def slow_target(q_target: np.ndarray, q_select: np.ndarray, legal: np.ndarray, aggregation: Aggregation) -> float:
    """The value of one next state: all float64[K, A], legal bool[A]."""
    actions = np.flatnonzero(legal).tolist()
    if aggregation == "minimum":
        action = max(actions, key=lambda a: q_select[:, a].min())
        return q_target[:, action].min()
    if aggregation == "mean":
        action = max(actions, key=lambda a: q_select[:, a].mean())
    else:
        votes = [max(actions, key=lambda a: member[a]) for member in q_select]
        action = max(actions, key=lambda a: (votes.count(a), q_select[:, a].mean()))
    return q_target[:, action].mean()


@pytest.mark.parametrize("masks", [False, True], ids=["", "masks"])
@pytest.mark.parametrize("kind", ["dqn", "double_dqn"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_shared_target_is_all_members_value_of_the_ensembles_action(
    aggregation: Aggregation, kind: Kind, masks: bool
) -> None:
    rng = np.random.default_rng(2)
    config = settings(kind, aggregation=aggregation, target="aggregate", data="all")
    spec = vector_spec(action_masks=masks)
    agent = randomised(EnsembleAgent(config, spec), rng)
    batch = random_transitions(spec, 200, rng)
    now, after = batch.time_step.observation, batch.next_time_step.observation
    legal = after[1].numpy() if masks else np.ones((200, 4), bool)
    now, after = (now[0], after[0]) if masks else (now, after)
    q_target = agent.target_network(after)[0].numpy()
    q_select = q_target if kind == "dqn" else agent.network(after)[0].numpy()
    values = [slow_target(q_target[:, b], q_select[:, b], legal[b], aggregation) for b in range(200)]
    reward, discount = batch.next_time_step.reward.numpy(), batch.next_time_step.discount.numpy()
    target = 0.5 * reward + discount * np.array(values)
    taken = np.take_along_axis(
        agent.network(now)[0].numpy(), batch.action_step.action.numpy()[np.newaxis, :, np.newaxis], axis=2
    )[..., 0]
    info = agent.loss(batch)
    np.testing.assert_allclose(info.extra.td_error, np.abs(target - taken).mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(info.loss, (0.5 * (target - taken) ** 2).mean(axis=1).sum(), rtol=1e-5)


def test_minimum_targets_are_those_of_maxmin_q_learning() -> None:
    # Two target networks, two actions: min over members (1, 2), (0, -3) → 1 and 0; the best of these: 0.5 + 0.5 · 1.
    q = tf.constant([[[1.0, 2.0], [9.0, -3.0]], [[4.0, 0.0], [0.0, 7.0]]])
    r, discount = tf.constant([0.5, 2.0]), tf.constant([0.5, 0.5])
    target = r + discount * td.aggregate_value(q, q, None, "minimum")
    np.testing.assert_array_equal(target, [1.0, 2.0])


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_terminal_state_without_legal_actions_is_worth_nothing(aggregation: Aggregation) -> None:
    q, legal = tf.constant([[[1.0, 2.0]], [[3.0, 1.0]]]), tf.constant([[False, False]])
    np.testing.assert_array_equal(3 + 0 * td.aggregate_value(q, q, legal, aggregation), [3.0])


@pytest.mark.parametrize("target", ["own", "aggregate"])
@pytest.mark.parametrize("kind", ["dqn", "double_dqn"])
def test_the_gradient_flows_through_the_prediction_alone(kind: Kind, target: str) -> None:
    rng = np.random.default_rng(3)
    config = settings(kind, target=target, data="all")
    agent = randomised(EnsembleAgent(config, vector_spec()), rng)
    batch = random_transitions(vector_spec(), BATCH, rng)
    weights = list(agent.network.named_weights().values())
    of_target = list(agent.target_network.named_weights().values())
    with tf.GradientTape() as tape:
        tape.watch(of_target)
        info = agent.loss(batch)
    gradients, none = tape.gradient(info.loss, [weights, of_target])
    assert none == [None] * len(of_target)
    with tf.GradientTape() as tape:
        output = agent._output(agent._batch(batch), None)
        fixed = (output.td_error + output.q_value).numpy()
        loss = tf.reduce_sum(tf.reduce_mean(0.5 * (fixed - output.q_value) ** 2, axis=1))
    for one, other in zip(gradients, tape.gradient(loss, weights), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_an_example_that_nobody_learns_from_has_no_error() -> None:
    config = settings(data="bootstrap", mask_probability=0.2)
    agent = randomised(EnsembleAgent(config, vector_spec()), np.random.default_rng(4))
    batch = random_transitions(vector_spec(), BATCH, np.random.default_rng(4))
    states = (batch.time_step.observation, batch.next_time_step.observation)
    learned = (member_weights(config, vector_spec())(batch, *states).numpy() > 0).any(axis=0)
    assert 0 < learned.sum() < BATCH
    np.testing.assert_array_equal(agent.loss(batch).extra.td_error.numpy() != 0, learned)


def test_members_start_apart_and_the_first_as_the_plain_agent() -> None:
    config = settings()
    agent, alone = EnsembleAgent(config, vector_spec()), DqnAgent(config, vector_spec())
    target = agent.target_network.named_weights()
    for name, weight in agent.network.named_weights().items():
        np.testing.assert_array_equal(weight[0], alone.network.named_weights()[name])
        np.testing.assert_array_equal(weight, target[name])
        assert not np.isin(weight[1], weight[2]).any()


def test_one_member_is_no_ensemble() -> None:
    assert type(make_agent(settings(size=1), vector_spec())) is DqnAgent
    assert make_agent(settings(size=1), vector_spec()).members == 1
    assert type(make_agent(settings(), vector_spec())) is EnsembleAgent
    assert make_agent(settings(), vector_spec()).members == MEMBERS
