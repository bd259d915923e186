"""Requests that wait are answered by one call, each with its own rows."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.serving import batching
from tfdqn.serving.batching import Batcher
from tfdqn.serving.inputs import Input
from tfdqn.serving.model import Signature
from tfdqn.serving.payload import PredictRequest, RequestError
from tfdqn.types import Arrays


class Doubling:
    """Doubles x; its first call waits until it is let go. Refuses a batch with a negative number."""

    def __init__(self, *, is_batched: bool = True) -> None:
        self.calls: list[list[int]] = []
        self.begun = threading.Event()
        self.go = threading.Event()
        self.signature = Signature(self, {"x": Input(np.dtype("int64"), (None,))}, is_batched)
        self.answers: Callable[[np.ndarray], np.ndarray] = lambda x: x * 2

    def __call__(self, inputs: Arrays) -> Arrays:
        self.calls.append(inputs["x"].tolist())
        self.begun.set()
        assert self.go.wait(PATIENCE_SECONDS)
        if (inputs["x"] < 0).any():
            raise ValueError("negative\nand more")
        return {"y": self.answers(inputs["x"])}

    @property
    def sizes(self) -> list[int]:
        return [len(each) for each in self.calls]

    def request(self, numbers: Sequence[int]) -> PredictRequest:
        return PredictRequest(self.signature, {"x": np.array(numbers)}, bytes)


def with_batcher(work: Callable[[Batcher], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(executor)
            running = asyncio.create_task(batcher.run())
            try:
                return await asyncio.wait_for(work(batcher), PATIENCE_SECONDS)
            finally:
                running.cancel()

    return asyncio.run(run())


async def ask_all(batcher: Batcher, model: Doubling, requests: list[list[int]]) -> list[Any]:
    """The first alone; the others while it runs."""
    tasks = []
    for request in requests:
        tasks.append(asyncio.create_task(batcher(model.request(request))))
        if len(tasks) == 1:
            await asyncio.to_thread(model.begun.wait, PATIENCE_SECONDS)
    await asyncio.sleep(0)  # for every task to begin
    model.go.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_what_waits_is_one_call_and_each_gets_its_own() -> None:
    model, requests = Doubling(), [[1], [2, 3], [4], [5, 6, 7]]
    answers = with_batcher(lambda batcher: ask_all(batcher, model, requests))
    assert [list(each["y"]) for each in answers] == [[2], [4, 6], [8], [10, 12, 14]]
    assert model.sizes == [1, 6]


def test_a_call_has_a_limit_of_rows_and_a_large_request_is_answered_by_several() -> None:
    model, requests = Doubling(), [[0], [1] * 1000, list(range(2000)), [2] * 24, [3]]
    answers = with_batcher(lambda batcher: ask_all(batcher, model, requests))
    for request, found in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(found["y"], np.array(request) * 2)
    # What fits one call is not divided; what does not fills calls up, and those that came later have their turn.
    assert model.sizes == [1, 1000 + 24, 24 + 1 + 999, 977]
    assert model.calls[2][:25] == [2] * 24 + [3]


def test_a_call_has_a_limit_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.serving.batching._MOST_BYTES", 80)
    model, requests = Doubling(), [[0], [1] * 25]
    answers = with_batcher(lambda batcher: ask_all(batcher, model, requests))
    assert [len(each["y"]) for each in answers] == [1, 25]
    assert model.sizes == [1, 10, 10, 5]


def test_an_answer_that_is_not_finite_is_refused_with_its_row() -> None:
    model, requests = Doubling(), [[1], [2], [3] * 1500 + [7] * 100]
    model.answers = lambda x: np.where(x == 7, np.inf, x)
    first, second, guilty = with_batcher(lambda batcher: ask_all(batcher, model, requests))
    assert [list(each["y"]) for each in (first, second)] == [[1], [2]]
    assert isinstance(guilty, RequestError) and guilty.status == 400
    assert str(guilty) == "y of row 1500 is not finite: the observation is too large for this policy"


def test_who_asks_what_the_model_refuses_spoils_it_for_nobody() -> None:
    model, requests = Doubling(), [[1], [2], [-1], [3]]
    first, second, guilty, third = with_batcher(lambda batcher: ask_all(batcher, model, requests))
    assert [list(each["y"]) for each in (first, second, third)] == [[2], [4], [6]]
    assert isinstance(guilty, RequestError) and str(guilty) == "negative"


def test_without_a_batch_axis_each_is_a_call() -> None:
    model = Doubling(is_batched=False)
    answers = with_batcher(lambda batcher: ask_all(batcher, model, [[1, 2], [3, 4], [5, 6]]))
    assert [list(each["y"]) for each in answers] == [[2, 4], [6, 8], [10, 12]]
    assert model.sizes == [2, 2, 2]


def test_what_nobody_waits_for_is_not_computed() -> None:
    model, gone = Doubling(), [False, False, False]

    async def work(batcher: Batcher) -> list[Any]:
        requests = [model.request(numbers) for numbers in ([0], [1] * 3000, [2] * 5, [3])]
        tasks = [asyncio.create_task(batcher(requests[0]))]
        await asyncio.to_thread(model.begun.wait, PATIENCE_SECONDS)
        tasks += [
            asyncio.create_task(batcher(each, lambda index=index: gone[index]))
            for index, each in enumerate(requests[1:])
        ]
        await asyncio.sleep(0)  # for every task to begin
        tasks[0].cancel()
        gone[0] = True
        tasks[2].cancel()
        model.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    cancelled, left, also_cancelled, served = with_batcher(work)
    assert isinstance(cancelled, asyncio.CancelledError) and isinstance(also_cancelled, asyncio.CancelledError)
    assert isinstance(left, RequestError) and left.status == 499
    assert list(served["y"]) == [6]
    assert model.sizes == [1, 1]


def test_a_call_that_hangs_is_said_and_at_the_end_all_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model, limits, timeout = Doubling(), list[asyncio.Timeout](), asyncio.timeout

    def limited(seconds: float) -> asyncio.Timeout:
        assert seconds == batching._PATIENCE_SECONDS
        limits.append(timeout(seconds))
        return limits[-1]

    monkeypatch.setattr("asyncio.timeout", limited)

    async def work(batcher: Batcher) -> list[Any]:
        first = asyncio.create_task(batcher(model.request([1])))
        await asyncio.to_thread(model.begun.wait, PATIENCE_SECONDS)
        late = asyncio.create_task(batcher(model.request([1])))
        await asyncio.sleep(0)  # for it to begin
        assert len(limits) == 2
        for each in limits:
            each.reschedule(asyncio.get_running_loop().time())
        answers = await asyncio.gather(first, late, return_exceptions=True)
        others = [asyncio.create_task(batcher(model.request([1]))) for _ in range(2)]
        await asyncio.sleep(0)
        batcher.give_up()
        answers += await asyncio.gather(*others, return_exceptions=True)
        model.go.set()
        return answers

    assert [each.status for each in with_batcher(work)] == [504, 504, 503, 503]
