"""The page's equations of prioritised replay, each transcribed into NumPy."""

from contextlib import closing
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.support.method_page import equation
from tests.support.random_episodes import VECTOR
from tests.support.replay_contents import numbered
from tfdqn.config import Config, Priorities, Replay
from tfdqn.learning.importance import weighted
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import Draw, ItemPriorities, Sample


@equation(40, "tfdqn.replay.sum_tree.SumTree")
def test_the_probability_of_a_draw(tmp_path: Path) -> None:
    alpha, epsilon, errors = 0.7, 0.3, np.array([0.0, 1.0, 2.5, 0.2])
    config = Config(
        priorities=Priorities(exponent=alpha, epsilon=epsilon),
        replay=Replay(backend="in_graph", capacity=4, min_size=1),
    )
    with closing(make_replay(config, VECTOR, tmp_path)) as replay:
        replay.writer(4).write(numbered(1)[0])
        replay.flush()
        replay.update_priorities(ItemPriorities(np.arange(4)[:, np.newaxis], errors.astype(np.float32)))
        draw = tf.function(replay.sampler(200), autograph=False)().draw
    p = (np.abs(errors) + epsilon) ** alpha
    np.testing.assert_allclose(draw.probability, (p / p.sum())[draw.keys[:, 0]], rtol=1e-5)


@equation(41, "tfdqn.learning.importance.weighted")
def test_importance_weights() -> None:
    rng, n, beta = np.random.default_rng(1), 1000, 0.55
    probability = rng.random(32).astype(np.float32) / 100
    settings = Priorities(exponent=0.6, importance_start=beta, importance_end=beta)
    sample = Sample(tf.zeros([1, 32]), None, Draw(tf.constant(probability[np.newaxis]), tf.zeros([1, 32], tf.int64)))
    (batch,) = weighted([sample], settings, tf.Variable(0, dtype=tf.int64))
    weights = (n * probability) ** -beta
    np.testing.assert_allclose(batch.weights[0], weights / weights.max(), rtol=1e-5)
