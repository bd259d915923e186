"""`Batcher`: answers all waiting requests with one call of the model; the next ones gather while it runs.

No request is delayed to gather more: a single client has the latency of one call. A large request is answered by
several calls, and other requests get their turn in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from prometheus_client import Histogram

from tfdqn.errors import UserError, first_line
from tfdqn.serving.model import Signature
from tfdqn.serving.options import MOST_ROWS_OF_CALL
from tfdqn.serving.payload import PredictRequest, RequestError
from tfdqn.types import Arrays

_MOST_BYTES = 16 * 2**20  # of one call's inputs, unless one row alone has more
_PATIENCE_SECONDS = 60.0
_ENDS = "the server ends"


class _Entry:
    """A request in the queue, which may be partly answered already."""

    __slots__ = ("inputs", "is_gone", "outputs", "parts", "rows", "signature", "taken")

    def __init__(self, request: PredictRequest, outputs: asyncio.Future[Arrays], is_gone: Callable[[], bool]):
        self.signature, self.inputs, self.rows = request.signature, request.inputs, request.rows
        self.outputs = outputs
        self.is_gone = is_gone
        self.taken = 0  # rows
        self.parts: list[Arrays] = []


class _Piece(NamedTuple):
    """Some rows of an entry, which one call answers."""

    entry: _Entry
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def inputs(self) -> Arrays:
        entry = self.entry
        if self.rows == entry.rows:
            return entry.inputs
        return {name: array[self.start : self.stop] for name, array in entry.inputs.items()}


class Batcher:
    """Requests of one event loop, answered by one thread of `executor`; `run` must be running.

    A call has `most_rows` rows at most, and at most `_MOST_BYTES`.

    Attributes:
      batch_rows: a histogram of the rows of each call.
    """

    def __init__(self, executor: Executor, most_rows: int = MOST_ROWS_OF_CALL):
        bounds = (*(2**power for power in range((most_rows - 1).bit_length())), most_rows)
        help = "Rows of each call of the model; the sum is all rows."
        self.batch_rows = Histogram("tfdqn_batch_rows", help, buckets=bounds, registry=None)  # the monitor's
        self._most_rows = most_rows
        self._executor = executor
        self._waiting: deque[_Entry] = deque()
        self._in_call: list[_Piece] = []
        self._some = asyncio.Event()
        self._has_given_up = False

    async def __call__(self, request: PredictRequest, is_gone: Callable[[], bool] = lambda: False) -> Arrays:
        """The signature's outputs for a request. It is dropped if its client `is_gone` before its turn.

        Raises RequestError with 400 if the model refuses the inputs or its answer is not finite, 503 if it has given
        up, 504 at the deadline.
        """
        if self._has_given_up:
            raise RequestError(_ENDS, 503)
        entry = _Entry(request, asyncio.get_running_loop().create_future(), is_gone)
        self._waiting.append(entry)
        self._some.set()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await entry.outputs
        except TimeoutError:
            raise RequestError(f"not answered within {_PATIENCE_SECONDS:.0f} s", 504) from None

    @property
    def waiting(self) -> int:
        """The number of waiting requests."""
        return len(self._waiting)

    async def run(self) -> None:
        """Answers requests until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._some.wait()  # no limit: there may be no requests
            self._in_call = self._next_call()
            if not self._in_call:
                self._some.clear()
                continue
            self.batch_rows.observe(sum(piece.rows for piece in self._in_call))
            answers = await loop.run_in_executor(self._executor, _answer, self._in_call)
            for piece, found in zip(self._in_call, answers, strict=True):
                _deliver(piece, found)

    def give_up(self) -> None:
        """Answers all waiting requests, those being computed, and later ones with status 503."""
        self._has_given_up = True
        for entry in (*self._waiting, *(piece.entry for piece in self._in_call)):
            _refuse(entry, RequestError(_ENDS, 503))

    def _next_call(self) -> list[_Piece]:
        """The oldest request, and the ones after it that the same call can answer.

        A request that fits into one call is not split. A larger one gives its next rows and goes to the queue's end.
        """
        pieces: list[_Piece] = []
        most = room = 0
        while self._waiting:
            entry = self._waiting[0]
            if not pieces:
                most = room = self._most_of(entry.signature)
            needed = entry.rows if entry.rows <= most else 1
            if pieces and not (
                entry.signature is pieces[0].entry.signature and entry.signature.is_batched and room >= needed
            ):
                break
            self._waiting.popleft()
            if entry.is_gone():
                _refuse(entry, RequestError("the client has gone", 499))
            if entry.outputs.done():
                continue
            stop = min(entry.rows, entry.taken + room)
            pieces.append(_Piece(entry, entry.taken, stop))
            room -= stop - entry.taken
            entry.taken = stop
            if stop < entry.rows:
                self._waiting.append(entry)
        return pieces

    def _most_of(self, signature: Signature) -> int:
        """The largest number of rows in a call."""
        return max(1, min(self._most_rows, _MOST_BYTES // max(1, signature.row_bytes)))


def _deliver(piece: _Piece, found: Arrays | RequestError) -> None:
    entry = piece.entry
    if isinstance(found, RequestError):
        _refuse(entry, found)
        return
    entry.parts.append(found)
    if piece.stop == entry.rows and not entry.outputs.done():
        entry.outputs.set_result(_joined(entry.parts))


def _joined(parts: list[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}


def _refuse(entry: _Entry, error: RequestError) -> None:
    if not entry.outputs.done():  # else its client has gone, or its patience ended
        entry.outputs.set_exception(error)


def _answer(pieces: list[_Piece]) -> list[Arrays | RequestError]:
    try:
        outputs = pieces[0].entry.signature.call(_joined([piece.inputs for piece in pieces]))
        _check_finite(outputs, pieces[0])
    except Exception as error:  # TensorFlow's errors, of any input that only its kernels refuse
        if len(pieces) > 1:
            return [found for piece in pieces for found in _answer([piece])]
        return [RequestError(first_line(error))]
    if len(pieces) == 1:
        return [outputs]
    ends = np.cumsum([piece.rows for piece in pieces])
    return [
        {name: array[end - piece.rows : end] for name, array in outputs.items()}
        for piece, end in zip(pieces, ends, strict=True)
    ]


def _check_finite(outputs: Arrays, piece: _Piece) -> None:
    """Raises UserError for values that are not finite, which JSON can't express, and names their first row."""
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
            row = f" of row {piece.start + np.argwhere(~finite)[0][0]}" if array.ndim else ""
            raise UserError(f"{name}{row} is not finite: the observation is too large for this policy")
