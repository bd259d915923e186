"""Central inference: actors send observations to the learner's process, which computes Q-values in large batches.

The weights stay in the learner's process. Espeholt et al. 2020, *SEED RL*.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np

from tfdqn.acting.policy import ActionValues
from tfdqn.coordination.messages import QValues, QValuesRequest
from tfdqn.coordination.rpc import RefusedError, UnreachableError
from tfdqn.coordination.weights import VersionedWeights, WeightsSource, array_of, named_array, named_arrays
from tfdqn.errors import first_line
from tfdqn.replay.reverb.remote_writer import GivenUpError, KeepWaiting
from tfdqn.task_spec import TaskSpec
from tfdqn.types import LegalActions, Observation, Rng

_REPLY_SECONDS = 10.0
_MAX_QUESTION_SECONDS = 60.0  # how long the learner keeps a question; the actor stops waiting long before
_RETRY_SECONDS = 0.25


class _Question:
    """A request for Q-values, and its answer."""

    def __init__(self, observation: Observation, legal_actions: LegalActions):
        self.observation, self.legal_actions = observation, legal_actions
        self.rows = len(next(iter(observation.values())))
        self.asked_seconds = time.monotonic()
        self.answer: Future[QValues] = Future()


class Inference:
    """The learner's side: a thread that answers all waiting questions by one call of the Q-function at a time.

    A call starts as soon as the previous one ends, with the questions that arrived meanwhile.

    Args:
      most_rows: the largest batch of a call, unless a single question is larger.
      rng: the generator for noisy layers, which draw new noise for each call.
    """

    def __init__(
        self, action_values: ActionValues, task_spec: TaskSpec, weights: WeightsSource, most_rows: int, rng: Rng
    ):
        self._action_values, self._spec, self._weights = action_values, task_spec, weights
        self._most_rows, self._rng = most_rows, rng
        self._waiting: deque[_Question] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._answer_until_closed, name="inference", daemon=True)
        self._thread.start()

    def __call__(self, observed: QValuesRequest) -> QValues:
        """Returns Q float32[B, A] of observations [B, …]. May be called from any thread.

        Raises RefusedError if the observations don't fit the task, the computation fails or takes too long, or `close`
        has been called.
        """
        question = self._question(observed)
        with self._changed:
            if self._is_closed:
                raise RefusedError("the learner is ending")
            self._waiting.append(question)
            self._changed.notify()
        try:
            return question.answer.result(_MAX_QUESTION_SECONDS)
        except TimeoutError as error:
            raise RefusedError(f"no Q-values: {str(error) or 'the call under way takes long'}") from None
        except Exception as error:  # of the call
            raise RefusedError(f"no Q-values: {first_line(error)}") from None

    def close(self) -> None:
        """Answers the waiting questions, and refuses further ones."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(_REPLY_SECONDS)

    def _question(self, observed: QValuesRequest) -> _Question:
        try:
            observation = {each.name: array_of(each) for each in observed.observation}
            legal = None if observed.legal_actions is None else array_of(observed.legal_actions)
        except ValueError as error:
            raise RefusedError(f"no observation: {error}") from None
        rows = {array.shape[:1] for array in observation.values()}  # () for an array without rows
        expected = {name: (np.dtype(spec.dtype), spec.shape) for name, spec in self._spec.observation.items()}
        given = {name: (array.dtype, array.shape[1:]) for name, array in observation.items()}
        masks = (np.dtype(bool), self._spec.mask_shape) if self._spec.action_masks else None
        given_masks = None if legal is None else (legal.dtype, legal.shape[1:])
        if legal is not None:
            rows.add(legal.shape[:1])
        has_rows = len(rows) == 1 and rows.isdisjoint({(), (0,)})
        if given != expected or given_masks != masks or not has_rows:
            raise RefusedError(f"no observation of {self._spec.id}: {given}, legal actions {given_masks}")
        return _Question(observation, legal)

    def _answer_until_closed(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)  # no timeout: both notify
                batch = self._take()
                if not batch and self._is_closed:
                    return
            if not batch:
                continue
            try:
                answers = self._answers(batch)
            except Exception as error:  # is reported to each actor
                for question in batch:
                    question.answer.set_exception(error)
                continue
            for question, answer in zip(batch, answers, strict=True):
                question.answer.set_result(answer)

    def _take(self) -> list[_Question]:
        """Removes and returns the oldest questions that fit into one call, at least one; drops late ones before."""
        taken: list[_Question] = []
        rows = 0
        self._drop_late()
        while self._waiting and (not taken or rows + self._waiting[0].rows <= self._most_rows):
            taken.append(self._waiting.popleft())
            rows += taken[-1].rows
        return taken

    def _drop_late(self) -> None:
        """Drops questions whose actors no longer wait for the answer, since they have asked again."""
        while self._waiting and time.monotonic() - self._waiting[0].asked_seconds > _REPLY_SECONDS:
            self._waiting.popleft().answer.set_exception(TimeoutError("it comes too late"))

    def _answers(self, batch: list[_Question]) -> list[QValues]:
        kept = self._weights.get()
        observation = {
            name: np.concatenate([each.observation[name] for each in batch]) for name in self._spec.observation
        }
        masks = [each.legal_actions for each in batch if each.legal_actions is not None]
        q_values = self._action_values(kept.weights, observation, np.concatenate(masks) if masks else None, self._rng)
        ends = np.cumsum([each.rows for each in batch])[:-1]
        return [QValues(kept.version, named_array("q", part)) for part in np.split(q_values, ends)]


class CentralValues:
    """The actor's side: replaces both the Q-function and the source of its weights.

    `call` calls the learner, as `Membership.call` does. `keep_waiting` is called with the reason while it doesn't
    answer; it returns False to stop waiting.
    """

    def __init__(self, call: Callable[..., Any], keep_waiting: KeepWaiting):
        self._call, self._keep_waiting = call, keep_waiting
        self._version = 0

    def __call__(self, _: Any, observation: Observation, legal_actions: LegalActions, rng: Rng | None) -> np.ndarray:
        """Returns Q float32[B, A], with noise drawn by the learner. Raises GivenUpError if `keep_waiting` says so."""
        masks = None if legal_actions is None else named_array("legal", legal_actions)
        observed = QValuesRequest(named_arrays(observation), masks)
        while True:
            try:
                found = self._call("q_values", observed, QValues, _REPLY_SECONDS)
            except (UnreachableError, RefusedError) as error:
                if not self._keep_waiting(f"waiting for Q-values: {error}"):
                    raise GivenUpError from None
                time.sleep(_RETRY_SECONDS)
                continue
            self._version = found.version
            return array_of(found.q_values)

    def version(self) -> int:
        """The version of the weights that gave the last answer."""
        return self._version

    def get(self) -> VersionedWeights:
        """Returns the last answer's version without weights, which stay with the learner."""
        return VersionedWeights(self._version, {})
