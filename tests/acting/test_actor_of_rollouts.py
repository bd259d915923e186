"""The values in a rollout are those of the network that acted, over legal actions, also of the states after its end."""

import numpy as np

from tests.support.batches import random_weights
from tfdqn.acting.actor import RolloutActor
from tfdqn.acting.actors import make_actor
from tfdqn.config import MLP, PQN, Config, Learner, Linear, Task
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.networks.factory import numpy_q_function, weight_specs
from tfdqn.replay.factory import make_replay
from tfdqn.replay.rollout import Rollout
from tfdqn.tasks.registry import make_task

STEPS, ENVS = 7, 3


def test_values_are_the_best_legal_actions_by_the_weights_that_acted() -> None:
    config = Config(
        task=Task(id="tests.support.toy_environments:Masked-v0", num_envs=ENVS, action_masks=True),
        network=Linear(),
        agent=PQN(rollout_steps=STEPS),
        learner=Learner(batch_size=STEPS * ENVS, schedule="alternate"),
    )
    task, board, rng = make_task(config.task), WeightsBoard(), np.random.default_rng(1)
    rollout = make_replay(config, task.spec)
    assert isinstance(rollout, Rollout)
    actor = make_actor(config, task, rollout.writer(ENVS), board)
    assert isinstance(actor, RolloutActor)
    for version in (0, 12):
        weights = random_weights(weight_specs(config, task.spec), rng)
        table = weights["theta/kernel"] = np.array(weights["theta/kernel"])  # Q of every position and action
        board.put(VersionedWeights(version, weights))
        if version == 0:
            actor.reset(seed=1)
        written = sum(actor.step() for _ in range(STEPS))
        assert rollout.is_whole
        state = rollout.state()
        assert written == np.count_nonzero(~state["is_reset"]) < STEPS * ENVS
        positions = np.concatenate([state["observation/observation"], task.observation["observation"][None]])
        for t, e in np.ndindex(STEPS + 1, ENVS):
            position = int(positions[t, e])
            legal = [action for action in range(3) if action != position % 3]
            assert state["values"][t, e] == max(table[position, legal])
            if t < STEPS:
                np.testing.assert_array_equal(np.flatnonzero(state["legal_actions"][t, e]), legal)
        assert state["train_steps"] == version
        rollout.clear()
    task.close()


def test_with_noisy_layers_the_values_after_the_end_are_drawn_with_noise_like_the_others() -> None:
    config = Config(
        task=Task(id="tests.support.toy_environments:Masked-v0", num_envs=ENVS, action_masks=True),
        network=MLP(hidden_units=(8,), noisy=True),
        agent=PQN(rollout_steps=STEPS),
        learner=Learner(batch_size=STEPS * ENVS, schedule="alternate"),
    )
    task, board = make_task(config.task), WeightsBoard()
    weights = random_weights(weight_specs(config, task.spec), np.random.default_rng(2))
    board.put(VersionedWeights(0, weights))
    rollout = make_replay(config, task.spec)
    assert isinstance(rollout, Rollout)
    actor = make_actor(config, task, rollout.writer(ENVS), board)
    actor.reset(seed=1)
    for _ in range(STEPS):
        actor.step()
    state, without_noise = rollout.state(), numpy_q_function(config, task.spec)
    assert without_noise is not None
    observations = [*state["observation/observation"], task.observation["observation"]]
    for t, observation in enumerate(observations):
        q_values = without_noise(weights, {"observation": observation})
        q_values[np.arange(ENVS), observation % 3] = -np.inf  # the illegal action
        expected = q_values.max(axis=1)
        assert np.abs(state["values"][t] - expected).min() > 1e-4, t
    task.close()
