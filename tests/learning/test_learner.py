"""What is not finite ends training with one line, which names the user's own parts if there are any."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.config import Config, RMSprop
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.errors import NotFiniteError, OwnCodeError
from tfdqn.learning.learner import Learner
from tfdqn.learning.train_step import UpdateMetrics
from tfdqn.learning.updater import UpdateResult

OWN = "loss at /home/me/losses.py:7"


@pytest.fixture(autouse=True)
def no_modules_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.config.user_modules._packages", set())  # the tests themselves may be in it


class FakeUpdater(SimpleNamespace):
    """Makes one update, whose metrics are 1 but for those given, or raises `error`."""

    def __call__(self, owed: int) -> UpdateResult:
        if self.error is not None:
            raise self.error
        metrics = UpdateMetrics.of_columns(np.ones((6, 1), np.float32))._replace(**self.metrics)
        return UpdateResult(metrics, {})

    def settle(self) -> UpdateResult:
        return self(1)

    def state(self) -> dict[str, Any]:
        return {"train_steps": 6}


def learner(own: str, error: Exception | None = None, **metrics: float) -> Learner:
    arrays = {name: np.float32([value]) for name, value in metrics.items()}
    updater: Any = FakeUpdater(error=error, metrics=arrays)
    return Learner(updater, WeightsBoard(), lambda priorities: None, own)


@pytest.mark.parametrize(("metric", "name"), [("loss", "loss"), ("gradient_norm", "gradient norm")])
def test_the_users_parts_are_named_where_a_loss_or_its_gradient_is_not_finite(metric: str, name: str) -> None:
    lower = "lower optimizer.learning_rate, or set agent.gradient_clip_norm, or check the task's rewards"
    check = f"it is computed by {OWN}: check that for divisions by zero, and for logarithms and roots; or "
    for own, advice in ((OWN, f"{check}{lower}"), ("", lower)):
        with pytest.raises(NotFiniteError) as caught:
            learner(own, **{metric: np.nan}).run(1)
        assert str(caught.value) == f"{name} is nan at train step 7: {advice}"


def test_a_metric_of_the_loss_that_is_nan_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    of_loss = (np.float32([np.nan]), np.float32([3.0]))
    updater: Any = FakeUpdater(error=None, metrics={"of_loss": of_loss})
    config: Any = SimpleNamespace(agent=SimpleNamespace(metrics=("entropy", "spread")), optimizer=None)
    made = Learner(updater, WeightsBoard(), lambda priorities: None, config=config)
    for _ in range(2):
        made.run(1)
    assert made.metrics is not None and made.metrics["learning/loss_spread"] == 3.0
    assert caplog.messages == ["the loss's metric entropy is NaN at train step 7: its curve has gaps"]


@pytest.mark.parametrize("centered", [True, False])
def test_centred_rmsprops_epsilon_is_named_since_its_root_may_be_of_a_number_below_0(centered: bool) -> None:
    updater: Any = FakeUpdater(error=None, metrics={"loss": np.float32([np.nan])})
    optimizer = RMSprop(centered=centered)
    made = Learner(updater, WeightsBoard(), lambda priorities: None, config=Config(optimizer=optimizer))
    with pytest.raises(NotFiniteError) as caught:
        made.run(1)
    assert ("raise optimizer.epsilon" in str(caught.value)) == centered


def test_the_users_parts_are_named_where_their_gradient_fails() -> None:
    error = tf.errors.InvalidArgumentError(None, None, "node gradient_tape/q/MatMul\ntoo large")
    for call in (lambda made: made.run(1), Learner.settle):
        with pytest.raises(OwnCodeError, match=f"^the gradient of {OWN} failed: "):
            call(learner(OWN, error))
        with pytest.raises(tf.errors.InvalidArgumentError):
            call(learner("", error))


def test_staleness_that_arrives_while_it_is_taken_is_taken_next() -> None:
    """The learner's thread may have looked up what it appends to, when the monitor's takes it."""
    made = learner("")
    looked_up = made._staleness
    looked_up.append(np.array([1, 2]))
    taken = made.take_staleness()
    looked_up.append(np.array([3]))
    assert taken is not None and taken.tolist() == [1, 2]
    later = made.take_staleness()
    assert later is not None and later.tolist() == [3]
    assert made.take_staleness() is None
