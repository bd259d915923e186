"""`Control`: where the learner's process answers all others: hello, heartbeats, weights, evaluations, inspection."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping

import msgspec
import numpy as np

from tfdqn.config import Config
from tfdqn.config_file import checked, dump
from tfdqn.membership import OVER, TRAINING
from tfdqn.messages import (
    Answer,
    Beat,
    Evaluated,
    Hello,
    Inspection,
    NamedArray,
    Nothing,
    Weights,
    WeightsRequest,
    Welcome,
)
from tfdqn.roster import Roster
from tfdqn.rpc import Method, RefusedError, Server
from tfdqn.task_spec import TaskSpec
from tfdqn.variables import Versioned, WeightsBoard

_SECONDS_TO_HEAR_IT_IS_OVER = 5.0


class Control:
    """Answers from threads of its own until it is closed; the learner reads and writes what they share.

    Args:
      address: where it is reached.
      config: what every process must have, too.
      task_spec: told to whoever joins.
      board: the newest weights.
    """

    def __init__(
        self,
        address: str,
        config: Config,
        task_spec: TaskSpec,
        board: WeightsBoard,
    ):
        self.life = uuid.uuid4().hex
        self.phase = TRAINING
        self.train_steps = 0
        self.roster = Roster(self.life, config.health.dead_after_seconds)
        self.evaluated = Evaluated()  # the evaluator's newest report
        self.inspection: Callable[[], Inspection] = _not_yet
        self.on_evaluated: Callable[[Evaluated], None] = lambda evaluated: None
        self._config, self.task_spec = dump(checked(config)), task_spec
        self._encoded = _EncodedBoard(board)
        self._beat_seconds = config.health.beat_seconds
        self._server = Server(
            address,
            {
                "hello": Method(Hello, self._hello),
                "beat": Method(Beat, self._beat),
                "weights": Method(WeightsRequest, self._encoded.newer_than),
                "evaluated": Method(Evaluated, self._take_evaluated),
                "inspect": Method(Nothing, lambda _: self.inspection()),
            },
        )

    def end(self) -> None:
        """Tells everybody that the job is over; returns when all who were there have heard it, or in seconds."""
        self.phase = OVER
        deadline = time.monotonic() + max(_SECONDS_TO_HEAR_IT_IS_OVER, 2 * self._beat_seconds)
        began = time.monotonic()
        while time.monotonic() < deadline:
            since = time.monotonic() - began
            # Whoever has beaten since then has heard it, and a process beats once more as it ends.
            if all(each.seconds_since_beat < since for each in self.roster.status()):
                return
            time.sleep(0.05)

    def close(self) -> None:
        """Answers no more."""
        self._server.close()

    def _hello(self, hello: Hello) -> Welcome:
        if hello.config != self._config:
            ours, theirs = set(self._config.splitlines()), set(hello.config.splitlines())
            raise RefusedError(
                "its configuration differs from the learner's: "
                + "; ".join(
                    sorted(line.partition("  #")[0] for line in theirs - ours) or ["keys are missing"]
                )
            )
        return Welcome(life=self.life, task_spec=self.task_spec)

    def _beat(self, beat: Beat) -> Answer:
        self.roster.add(beat)
        env_steps = self.roster.counts().env_steps
        return Answer(life=self.life, phase=self.phase, env_steps=env_steps, train_steps=self.train_steps)

    def _take_evaluated(self, evaluated: Evaluated) -> Nothing:
        self.evaluated = evaluated
        self.on_evaluated(evaluated)
        return Nothing()


def _not_yet() -> Inspection:
    raise RefusedError("the learner is starting")


class _EncodedBoard:
    """A board's weights as a message, made once however many ask for it."""

    def __init__(self, board: WeightsBoard):
        self._board = board
        self._lock = threading.Lock()
        self._made = b""
        self._of: Versioned | None = None

    def newer_than(self, request: WeightsRequest) -> Weights | bytes:
        if self._board.version() == request.held:
            return Weights(request.held)
        try:
            kept = self._board.get()
        except LookupError:
            return Weights(-1)
        with self._lock:
            if self._of is not kept:
                self._made = msgspec.msgpack.encode(Weights(kept.version, named_arrays(kept.weights)))
                self._of = kept
            return self._made


def named_arrays(weights: Mapping[str, np.ndarray]) -> tuple[NamedArray, ...]:
    """Arrays by name, as a message has them."""
    return tuple(
        NamedArray(name, array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes())
        for name, array in weights.items()
    )


def arrays_of(message: Weights) -> dict[str, np.ndarray]:
    """The arrays of a message, by name."""
    return {each.name: np.frombuffer(each.content, each.dtype).reshape(each.shape) for each in message.arrays}
