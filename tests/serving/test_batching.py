"""Requests that wait are answered by one call, each with its own rows."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tfdqn.serving.batching import Batcher
from tfdqn.serving.model import Arrays, Input, Signature
from tfdqn.serving.payload import RequestError

PATIENCE_SECONDS = 30.0


class Doubling:
    """Doubles x; its first call waits until it is let go. Refuses a batch with a negative number."""

    def __init__(self, *, is_batched: bool = True) -> None:
        self.sizes: list[int] = []
        self.begun = threading.Event()
        self.go = threading.Event()
        self.signature = Signature(self, {"x": Input(np.dtype("int64"), (None,))}, is_batched)

    def __call__(self, inputs: Arrays) -> Arrays:
        self.sizes.append(len(inputs["x"]))
        self.begun.set()
        assert self.go.wait(PATIENCE_SECONDS)
        if (inputs["x"] < 0).any():
            raise ValueError("negative\nand more")
        return {"y": inputs["x"] * 2}


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
        tasks.append(asyncio.create_task(batcher(model.signature, {"x": np.array(request)})))
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


def test_a_call_has_a_limit_of_rows() -> None:
    model, requests = Doubling(), [[0], [1] * 1000, [2] * 24, [3], [4] * 2000]
    answers = with_batcher(lambda batcher: ask_all(batcher, model, requests))
    assert [len(each["y"]) for each in answers] == [1, 1000, 24, 1, 2000]
    assert model.sizes == [1, 1024, 1, 2000]


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


def test_a_client_that_has_gone_is_not_waited_for() -> None:
    model = Doubling()

    async def work(batcher: Batcher) -> None:
        tasks = [asyncio.create_task(batcher(model.signature, {"x": np.array([each])})) for each in range(3)]
        await asyncio.to_thread(model.begun.wait, PATIENCE_SECONDS)
        tasks[0].cancel()
        tasks[1].cancel()
        model.go.set()
        assert list((await tasks[2])["y"]) == [4]

    with_batcher(work)


def test_a_queue_that_is_full_and_a_call_that_hangs_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.serving.batching._MOST_WAITING", 1)
    monkeypatch.setattr("tfdqn.serving.batching._PATIENCE_SECONDS", 0.2)
    model = Doubling()

    async def work(batcher: Batcher) -> list[Any]:
        first = asyncio.create_task(batcher(model.signature, {"x": np.array([1])}))
        await asyncio.to_thread(model.begun.wait, PATIENCE_SECONDS)
        others = [asyncio.create_task(batcher(model.signature, {"x": np.array([1])})) for _ in range(2)]
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        model.go.set()
        return answers

    assert [each.status for each in with_batcher(work)] == [504, 504, 503]
