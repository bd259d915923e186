"""One of two replay servers dies and comes back, as a learner sees it that samples by priorities."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tests.support.random_episodes import VECTOR
from tests.support.replay_servers import Actor, config
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.config import Config
from tfdqn.learning.importance import weighted
from tfdqn.replay.interfaces import ItemPriorities, Sample
from tfdqn.replay.reverb.remote_replay import RemoteReplay

SETTINGS = config("replay.shards=2", "replay.block_size=1", "priorities.exponent=0.6", "priorities.epsilon=0.01")
BATCH = 64
DEAD = 1  # of the two servers

Key = tuple[int, ...]  # of a stored transition: its server, and what that calls it
Errors = dict[Key, float]


class Learner:
    """Samples, and tells how wrong it was."""

    def __init__(self, settings: Config, addresses: Sequence[str]):
        self.replay = RemoteReplay(settings, VECTOR, addresses)
        self._sample = tf.function(self.replay.sampler(BATCH), autograph=False)

    def sample(self) -> Sample:
        """A batch; each of the two servers gives half of it."""
        return self._sample()

    def probabilities(self) -> dict[Key, float]:
        """P(i) of all that is stored, as the servers say; what was fetched ahead is passed over."""
        for _ in range(10):
            self.sample()
        found: dict[Key, float] = {}
        for _ in range(60):
            keys, probability = keys_and_probabilities(self.sample())
            found |= dict(zip(keys, probability.tolist(), strict=True))
        assert self.replay.poll()
        assert len(found) == self.replay.size()
        return found

    def tell(self, errors: Errors) -> None:
        """Waits for no server."""
        self.replay.update_priorities(ItemPriorities(np.array(list(errors)), np.array([*errors.values()], np.float32)))

    def told(self, errors: Errors) -> None:
        """The same; returns when the servers know them."""
        self.tell(errors)
        assert self.replay._updates is not None
        self.replay._updates.flush(PATIENCE_SECONDS)


def keys_and_probabilities(sample: Sample) -> tuple[list[Key], np.ndarray]:
    assert sample.draw is not None
    return list(map(tuple, sample.draw.keys.numpy().tolist())), sample.draw.probability.numpy()


def by_definition(errors: Errors) -> dict[Key, float]:
    """P(i) = p_i^α / Σ_k p_k^α / 2 with p = error + ε: the sum is over the transitions of the same server."""
    settings = SETTINGS.priorities
    powers = {key: (error + settings.epsilon) ** settings.exponent for key, error in errors.items()}
    sums = {server: sum(power for key, power in powers.items() if key[0] == server) for server in (0, 1)}
    return {key: power / sums[key[0]] / 2 for key, power in powers.items()}


def assert_drawn_by(learner: Learner, errors: Errors) -> None:
    """All that is stored, and nothing else, is drawn as the definition says."""
    found, expected = learner.probabilities(), by_definition(errors)
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[key] for key in expected], list(expected.values()), rtol=1e-4)


def assert_weights_make_up_for(learner: Learner, errors: Errors) -> None:
    """w_i = (P(i) / min_j P(j))^-β, as the definition of P says, over a batch of both servers."""
    sample = learner.sample()
    keys, _ = keys_and_probabilities(sample)
    expected = by_definition(errors)
    drawn = np.array([expected[key] for key in keys])
    assert np.bincount([key[0] for key in keys]).tolist() == [BATCH // 2] * 2
    (found,) = weighted([sample.map(lambda x: x[tf.newaxis])], SETTINGS.priorities, tf.constant(0, tf.int64))
    wanted = (drawn / drawn.min()) ** -SETTINGS.priorities.importance_start
    np.testing.assert_allclose(found.weights[0], wanted, rtol=1e-4)


def live_through_a_death(
    addresses: Sequence[str], kill: Callable[[], None], start_again: Callable[[], object], seed: int = 0
) -> None:
    """`kill` ends server `DEAD`, and `start_again` has it come back with its last checkpoint. They are processes: a
    sampler in the server's own process reads its table without a connection.
    """
    rng = np.random.default_rng(seed)
    actor, learner = Actor(SETTINGS, addresses), Learner(SETTINGS, addresses)

    def wrote(transitions: int) -> None:
        actor.write(transitions)
        assert actor.writer.flush(60.0)

    def errors_of_all() -> Errors:
        return {key: float(rng.gamma(0.5) + 0.1) for key in learner.probabilities()}

    wrote(80)
    saved = errors_of_all()
    learner.told(saved)
    assert_drawn_by(learner, saved)
    learner.replay.save()
    wrote(40)
    newer = errors_of_all()
    assert len(newer) > len(saved)
    learner.told(newer)
    assert_drawn_by(learner, newer)

    kill()
    assert not learner.replay.poll()
    start_again()
    until(learner.replay.poll, "answer")
    left = {key: error for key, error in newer.items() if key[0] != DEAD}
    left |= {key: error for key, error in saved.items() if key[0] == DEAD}
    assert len(left) < len(newer)
    assert_drawn_by(learner, left)
    assert_weights_make_up_for(learner, left)

    kill()
    told = {key: float(rng.gamma(0.5) + 0.1) for key in newer}  # some of which are gone
    learner.tell(told)  # half of it to a server that hears it when it is back
    start_again()
    until(learner.replay.poll, "answer")
    learner.told(told)
    left = {key: told[key] for key in left}
    assert_drawn_by(learner, left)
    wrote(20)
    new = {key: 1.0 - SETTINGS.priorities.epsilon for key in learner.probabilities() if key not in left}
    assert len(new) >= 20 and {key[0] for key in new} == {0, 1}
    assert_drawn_by(learner, left | new)
    assert_weights_make_up_for(learner, left | new)
