"""`Batcher`: answers all requests that wait with one call of the model; while it runs, the next ones gather.

Nothing is delayed to gather more: one client alone has the latency of one call.
"""

import asyncio
from collections import deque
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

from tfdqn.serving.model import Arrays, Signature
from tfdqn.serving.payload import RequestError

_MOST_ROWS = 1024  # of one call, unless one request alone has more
_MOST_WAITING = 4096  # requests
_PATIENCE_SECONDS = 60.0


class _Job(NamedTuple):
    signature: Signature
    inputs: Arrays
    rows: int
    outputs: asyncio.Future[Arrays]


class Batcher:
    """Requests of one event loop, answered by one thread of `executor`; `run` must be running."""

    def __init__(self, executor: Executor):
        self._executor = executor
        self._waiting: deque[_Job] = deque()
        self._some = asyncio.Event()

    async def __call__(self, signature: Signature, inputs: Arrays) -> Arrays:
        """The signature's outputs for one request's inputs.

        Raises:
          RequestError: with 400 where the model refuses them, 503 where too many wait, 504 at the deadline.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise RequestError(f"{_MOST_WAITING} requests are waiting; try again later", 503)
        rows = len(next(iter(inputs.values()))) if signature.is_batched and inputs else 1
        job = _Job(signature, inputs, rows, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._some.set()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await job.outputs
        except TimeoutError:
            raise RequestError(f"not answered within {_PATIENCE_SECONDS:.0f} s", 504) from None

    async def run(self) -> None:
        """Answers, until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._some.wait()
            jobs = self._take()
            if not jobs:
                self._some.clear()
                continue
            answers = await loop.run_in_executor(self._executor, _answer, jobs)
            for job, found in zip(jobs, answers, strict=True):
                if job.outputs.done():  # whose client has gone
                    continue
                if isinstance(found, RequestError):
                    job.outputs.set_exception(found)
                else:
                    job.outputs.set_result(found)

    def _take(self) -> list[_Job]:
        """The oldest request, and those after it that can be answered by the same call."""
        jobs: list[_Job] = []
        rows = 0
        while self._waiting:
            job = self._waiting[0]
            if jobs and not (
                job.signature is jobs[0].signature
                and job.signature.is_batched
                and rows + job.rows <= _MOST_ROWS
            ):
                break
            self._waiting.popleft()
            if not job.outputs.done():
                jobs.append(job)
                rows += job.rows
        return jobs


def _answer(jobs: list[_Job]) -> list[Arrays | RequestError]:
    call = jobs[0].signature.call
    try:
        if len(jobs) == 1:
            return [call(jobs[0].inputs)]
        joined = {
            name: np.concatenate([job.inputs[name] for job in jobs]) for name in jobs[0].signature.inputs
        }
        outputs = call(joined)
    except Exception as error:  # TensorFlow's errors, of any input that only its kernels refuse
        if len(jobs) > 1:
            return [found for job in jobs for found in _answer([job])]
        return [RequestError(str(error).splitlines()[0] if str(error) else type(error).__name__)]
    ends = np.cumsum([job.rows for job in jobs])
    return [
        {name: array[end - job.rows : end] for name, array in outputs.items()}
        for job, end in zip(jobs, ends, strict=True)
    ]
