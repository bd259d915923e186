"""Central inference gives each actor what its own Q-function would have, many in one call, and refuses what is none."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.support.threaded_jobs import weights
from tests.support.tiny_runs import tiny
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.acting import central_inference
from tfdqn.acting.central_inference import CentralValues, Inference
from tfdqn.acting.factory import make_q_function
from tfdqn.coordination.messages import NamedArray, QValues, QValuesRequest
from tfdqn.coordination.rpc import RefusedError, UnreachableError
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard, array_of, named_array, named_arrays
from tfdqn.replay.reverb.remote_writer import GivenUpError
from tfdqn.task_spec import ArraySpec
from tfdqn.tasks.registry import resolve_spec

CONFIG = tiny()
SPEC = resolve_spec(CONFIG.task)

RNG = np.random.default_rng(0)


def observations(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"observation": np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)}


def asked(observation: dict[str, np.ndarray], legal: np.ndarray | None = None) -> QValuesRequest:
    return QValuesRequest(named_arrays(observation), None if legal is None else named_array("legal", legal))


class Held:
    """A Q-function that computes only when it is allowed to; notes how many rows each call had."""

    def __init__(self) -> None:
        self.q_function = make_q_function(CONFIG, SPEC)
        self.may_compute = threading.Event()
        self.is_computing = threading.Event()
        self.rows: list[int] = []

    def __call__(self, given: Any, observation: Any, legal: Any, rng: Any) -> np.ndarray:
        self.is_computing.set()
        assert self.may_compute.wait(60)
        self.rows.append(len(observation["observation"]))
        return self.q_function(given, observation, legal, rng)


@pytest.fixture
def board() -> WeightsBoard:
    made = WeightsBoard()
    made.put(VersionedWeights(7, weights(CONFIG, SPEC)))
    return made


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def inference(held: Held, board: WeightsBoard, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inference]:
    """No question comes too late for it, unless a test moves its clock."""
    monkeypatch.setattr(central_inference, "_REPLY_SECONDS", PATIENCE_SECONDS)
    with closing(Inference(held, SPEC, board, most_rows=10, rng=RNG)) as made:
        yield made
        held.may_compute.set()


def in_threads(calls: list[Callable[[], QValues]]) -> tuple[list[threading.Thread], list[QValues | None]]:
    """Each in a thread of its own; their answers, as they come."""
    answers: list[QValues | None] = [None] * len(calls)

    def answer(index: int) -> None:
        answers[index] = calls[index]()

    threads = [threading.Thread(target=answer, args=(i,), daemon=True) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    return threads, answers


def test_what_waits_is_answered_by_one_call_each_by_its_own_rows(
    inference: Inference, held: Held, board: WeightsBoard
) -> None:
    each = [observations(rows, seed=rows) for rows in (1, 2, 3, 4)]
    first, _ = in_threads([lambda: inference(asked(observations(1)))])
    assert held.is_computing.wait(60)
    threads, answers = in_threads([lambda o=o: inference(asked(o)) for o in each])  # type: ignore[misc]
    until(lambda: len(inference._waiting) == 4, "four that wait")
    held.may_compute.set()
    for thread in [*first, *threads]:
        thread.join(60)
    assert held.rows == [1, 10]
    for observation, answer in zip(each, answers, strict=True):
        assert answer is not None and answer.version == 7
        local = held.q_function(board.get().weights, observation, None, None)
        np.testing.assert_allclose(array_of(answer.q_values), local, rtol=1e-5, atol=1e-6)


def test_no_call_is_larger_than_configured_unless_one_actor_alone_is(inference: Inference, held: Held) -> None:
    first, _ = in_threads([lambda: inference(asked(observations(1)))])
    assert held.is_computing.wait(60)
    threads, _ = in_threads([lambda: inference(asked(observations(6))) for _ in range(3)])
    until(lambda: len(inference._waiting) == 3, "three that wait")
    more, large = in_threads([lambda: inference(asked(observations(25)))])
    until(lambda: len(inference._waiting) == 4, "four that wait")
    held.may_compute.set()
    for thread in [*first, *threads, *more]:
        thread.join(60)
    assert held.rows == [1, 6, 6, 6, 25]
    assert large[0] is not None and array_of(large[0].q_values).shape == (25, 2)


def test_what_nobody_waits_for_any_longer_is_not_computed(
    inference: Inference, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(central_inference.time, "monotonic", lambda: now[0])
    first, _ = in_threads([lambda: inference(asked(observations(1)))])
    assert held.is_computing.wait(60)
    refused: list[RefusedError] = []

    def too_late() -> None:
        try:
            inference(asked(observations(2)))
        except RefusedError as error:
            refused.append(error)

    late = threading.Thread(target=too_late, daemon=True)
    late.start()
    until_waiting(inference, 1)
    now[0] += PATIENCE_SECONDS + 1
    again, answers = in_threads([lambda: inference(asked(observations(3)))])
    until_waiting(inference, 2)
    held.may_compute.set()
    for thread in [*first, late, *again]:
        thread.join(60)
    assert held.rows == [1, 3]
    assert len(refused) == 1 and answers[0] is not None
    assert inference(asked(observations(4))).version == 7  # and it goes on


def test_a_call_that_takes_long_is_no_answer_and_the_next_question_has_one(
    inference: Inference, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as soon:
        soon.setattr(central_inference, "_MAX_QUESTION_SECONDS", 0.01)
        with pytest.raises(RefusedError, match=r"^no Q-values: the call under way takes long$"):
            inference(asked(observations(1)))
    assert held.is_computing.wait(60)
    held.may_compute.set()
    assert inference(asked(observations(2))).version == 7
    assert held.rows == [1, 2]


def until_waiting(inference: Inference, count: int) -> None:
    for _ in range(10_000):  # not by a clock: that is the test's
        if len(inference._waiting) >= count:
            return
        threading.Event().wait(0.005)
    pytest.fail(f"{len(inference._waiting)} wait, not {count}")


def test_the_newest_weights_answer(inference: Inference, held: Held, board: WeightsBoard) -> None:
    held.may_compute.set()
    assert inference(asked(observations(1))).version == 7
    other = weights(CONFIG, SPEC, seed=1)
    board.put(VersionedWeights(8, other))
    answer = inference(asked(observations(2)))
    assert answer.version == 8
    local = held.q_function(other, observations(2), None, None)
    np.testing.assert_allclose(array_of(answer.q_values), local, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        QValuesRequest((), None),
        asked({"observation": np.zeros((0, 4), np.float32)}),
        asked({"observation": np.zeros((2, 5), np.float32)}),
        asked({"observation": np.zeros((2, 4), np.float64)}),
        asked({"another": np.zeros((2, 4), np.float32)}),
        asked({**observations(2), "another": np.zeros((2, 4), np.float32)}),
        asked(observations(2), np.ones((2, 2), bool)),  # the task has no masks
        asked({"observation": np.array(1.0, np.float32)}),
        QValuesRequest((NamedArray("observation", "O", (1, 4), bytes(32)),), None),
        QValuesRequest((NamedArray("observation", "no type", (1, 4), bytes(16)),), None),
        QValuesRequest((NamedArray("observation", "(2,", (1, 4), bytes(16)),), None),  # which NumPy takes for Python
        QValuesRequest((NamedArray("observation", "<f4", (1, 4), bytes(15)),), None),
        QValuesRequest((NamedArray("observation", "<f4", (-1, 4), bytes(16)),), None),
        QValuesRequest((NamedArray("observation", "<f4", (2**40, 4), bytes(16)),), None),
    ],
)
def test_what_is_no_observation_is_refused_and_the_next_is_answered(
    inference: Inference, held: Held, wrong: QValuesRequest
) -> None:
    held.may_compute.set()
    if wrong.observation and wrong.observation[0].shape == (-1, 4):
        assert array_of(inference(wrong).q_values).shape == (1, 2)  # NumPy's word for as many as there are
    else:
        with pytest.raises(RefusedError):
            inference(wrong)
    assert inference(asked(observations(1))).version == 7


def test_an_array_without_rows_among_others_is_refused_before_it_is_computed(board: WeightsBoard) -> None:
    speed = ArraySpec(shape=(), dtype="float32")
    spec = msgspec.structs.replace(SPEC, observation={**SPEC.observation, "speed": speed})

    def never(given: Any, observation: Any, legal: Any, rng: Any) -> np.ndarray:
        raise AssertionError("it would fail for every actor in the same call")

    wrong = asked({**observations(1), "speed": np.array(1.0, np.float32)})
    refused = pytest.raises(RefusedError, match=f"no observation of {spec.id}")
    with closing(Inference(never, spec, board, 10, RNG)) as inference, refused:
        inference(wrong)


def test_masks_come_with_their_rows(board: WeightsBoard) -> None:
    spec = msgspec.structs.replace(SPEC, action_masks=True)
    seen: list[np.ndarray] = []

    def noting(given: Any, observation: Any, legal: np.ndarray, rng: Any) -> np.ndarray:
        seen.append(legal)
        return np.zeros((len(legal), 2), np.float32)

    with closing(Inference(noting, spec, board, 10, RNG)) as inference:
        inference(asked(observations(2), np.array([[True, False], [False, True]])))
        with pytest.raises(RefusedError):
            inference(asked(observations(2), np.array([[True, False]])))
        with pytest.raises(RefusedError):
            inference(asked(observations(2)))
    np.testing.assert_array_equal(seen[0], [[True, False], [False, True]])


@pytest.mark.parametrize(("error", "told"), [(MemoryError("too much"), "too much"), (MemoryError(), "MemoryError")])
def test_a_call_that_fails_is_told_to_those_who_asked_and_to_nobody_else(
    board: WeightsBoard, error: Exception, told: str
) -> None:
    fails = iter([True, False])

    def sometimes(given: Any, observation: Any, legal: Any, rng: Any) -> np.ndarray:
        if next(fails):
            raise error
        return np.zeros((len(observation["observation"]), 2), np.float32)

    with closing(Inference(sometimes, SPEC, board, 10, RNG)) as inference:
        with pytest.raises(RefusedError, match=rf"^no Q-values: {told}$"):
            inference(asked(observations(1)))
        assert inference(asked(observations(1))).version == 7


def test_before_the_first_weights_and_after_the_end_it_refuses() -> None:
    empty = Inference(make_q_function(CONFIG, SPEC), SPEC, WeightsBoard(), 10, RNG)
    with pytest.raises(RefusedError, match="no weights"):
        empty(asked(observations(1)))
    empty.close()
    with pytest.raises(RefusedError, match="ending"):
        empty(asked(observations(1)))


def test_an_actor_waits_for_a_learner_that_is_away_as_long_as_it_is_to() -> None:
    answers: Iterator[Any] = iter([UnreachableError("away"), RefusedError("starting"), None])
    reasons: list[str] = []

    def call(method: str, observed: QValuesRequest, reply: type, timeout_seconds: float) -> QValues:
        if (error := next(answers)) is not None:
            raise error
        return QValues(9, named_array("q", np.ones((1, 2), np.float32)))

    values = CentralValues(call, lambda reason: reasons.append(reason) is None)
    np.testing.assert_array_equal(values({}, observations(1), None, None), [[1, 1]])
    assert (values.version(), reasons) == (9, ["waiting for Q-values: away", "waiting for Q-values: starting"])
    answers = iter([UnreachableError("away")])
    with pytest.raises(GivenUpError):
        CentralValues(call, lambda reason: False)({}, observations(1), None, None)
