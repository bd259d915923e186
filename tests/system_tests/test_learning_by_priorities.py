"""The blind cliffwalk of Schaul et al. 2016 (section 3.1, figure 1), which uniform sampling learns far later."""

import numpy as np
import pytest

from tfdqn.config import Config
from tfdqn.config.toml import from_mapping
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.learning.learner import Learner
from tfdqn.learning.strategies.factory import make_updater
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import Replay
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.types import Experience, Step

STATES = 10
DISCOUNT = 1 - 1 / STATES  # as in their appendix B.1
SPEC = TaskSpec(
    id="BlindCliffwalk", observation={"observation": ArraySpec(shape=(STATES,), dtype="float32")}, actions=discrete(2)
)
TRUE_Q = np.stack([np.zeros(STATES), DISCOUNT ** np.arange(STATES - 1, -1, -1.0)], axis=1)  # wrong, right


def config(backend: str, exponent: float, seed: int) -> Config:
    one = {"block_size": 1} if backend == "reverb" else {}
    return from_mapping(
        {
            "seed": seed,
            "network": {"kind": "linear"},
            "agent": {"kind": "dqn", "discount": DISCOUNT, "target_update_period_train_steps": 1},
            "optimizer": {"kind": "sgd", "learning_rate": 1.0},  # of four examples' mean: theirs is 1/4, of one
            "priorities": {"exponent": exponent, **({"importance_train_steps": 5_000} if exponent else {})},
            "replay": {"backend": backend, "capacity": 4_000, "min_size": 2_000, **one},
            "learner": {"batch_size": 4, "updates_per_call": 5},
        }
    )


def fill(replay: Replay) -> None:
    """The transitions of all 2^n sequences of actions: state i is met 2^(n - i) times, each action half of these."""
    states = np.repeat(np.arange(STATES), 2 ** (STATES - np.arange(STATES)))
    actions = (np.arange(len(states)) % 2).astype(np.int32)
    after = np.minimum(states + 1, STATES - 1)
    terminated = (actions == 0) | (states == STATES - 1)
    reward = ((actions == 1) & (states == STATES - 1)).astype(np.float32)
    one_hot, never = np.eye(STATES, dtype=np.float32), np.zeros(len(states), bool)
    step = Step({"observation": one_hot[after]}, reward, terminated, never, never, None)
    replay.writer(len(states)).write(Experience({"observation": one_hot[states]}, None, actions, step))
    replay.flush()


def updates_until_right(settings: Config, most: int) -> int:
    """How many it takes until the mean squared error of Q is below 1e-3, their criterion; `most`, where it is not."""
    replay = make_replay(settings, SPEC)
    fill(replay)

    updater = make_updater(settings, SPEC, None, None, ["CPU:0"], replay)
    learner = Learner(updater, WeightsBoard(), replay.update_priorities)
    while learner.train_steps < most:
        learner.run(settings.learner.updates_per_call)
        if np.square(updater.state()["online/theta/kernel"] - TRUE_Q).mean() < 1e-3:
            break
    replay.close()
    return learner.train_steps


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_priorities_find_what_uniform_sampling_takes_far_longer_for(seed: int) -> None:
    by_priorities = updates_until_right(config("in_graph", 0.7, seed), 20_000)
    uniformly = updates_until_right(config("in_graph", 0.0, seed), 20_000)
    assert uniformly > 3 * by_priorities, (by_priorities, uniformly)


@pytest.mark.long
def test_priorities_find_it_in_reverbs_table_as_well() -> None:
    by_priorities = updates_until_right(config("reverb", 0.7, 1), 20_000)
    uniformly = updates_until_right(config("reverb", 0.0, 1), 20_000)
    assert uniformly > 2 * by_priorities, (by_priorities, uniformly)
