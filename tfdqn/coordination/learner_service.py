"""`LearnerService`: answers all other processes in the learner's: joins, heartbeats, weights, evaluations."""

import time
import uuid
from collections.abc import Callable

from msgspec import UNSET, UnsetType

from tfdqn.cluster.roles import LEARNER, ProcessId, counted
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.config.toml import deviations, dump, parse
from tfdqn.coordination.messages import (
    IS_STARTING,
    Answer,
    EvaluatorReport,
    Heartbeat,
    Hello,
    Inspection,
    Nothing,
    Phase,
    QValues,
    QValuesRequest,
    WeightsRequest,
    Welcome,
    fingerprint,
)
from tfdqn.coordination.roster import Roster
from tfdqn.coordination.rpc import Method, RefusedError, Server
from tfdqn.coordination.weights import EncodedWeights, WeightsBoard
from tfdqn.errors import ConfigError, listed, message_in_one_line
from tfdqn.system.interval import RunningTime
from tfdqn.task_spec import TaskSpec

_SECONDS_TO_HEAR_IT_IS_OVER = 5.0
_THREADS = 16
_MOST_SECONDS_BETWEEN_READINGS = 1.0  # the learner's watchdog looks at the roster several times a second


class LearnerService:
    """Answers from threads of its own until it is closed. The learner reads and writes the state that they share.

    Every process that joins must be of `topology`, and have the learner's configuration.
    """

    def __init__(self, topology: Topology, config: Config, task_spec: TaskSpec, board: WeightsBoard):
        self.life = uuid.uuid4().hex
        self.phase: Phase = Phase.TRAINING
        self.may_meet = False
        self.start: str | UnsetType = UNSET
        # While the learner is stopped, it hears nobody, however well all are.
        running = RunningTime(_MOST_SECONDS_BETWEEN_READINGS)
        self.roster = Roster(self.life, config.health.dead_after_seconds, running.read)
        self.inspection: Callable[[], Inspection] = self._none_yet
        self.on_evaluated: Callable[[EvaluatorReport], None] = lambda evaluated: None
        self.largest_priority: Callable[[], float] = lambda: 1.0
        self.q_values: Callable[[QValuesRequest], QValues] = _no_inference
        self._topology, self._config, self.task_spec = topology, config, task_spec
        self._config_text = dump(self._config)
        self._process_ids = frozenset(topology.process_ids()) - {LEARNER}
        self._fingerprint = fingerprint(self._config_text)
        self._settings, self.board = config.health, board
        self._server = Server(
            topology.learner,
            {
                "hello": Method(Hello, self._hello),
                "beat": Method(Heartbeat, self._take_heartbeat),
                "weights": Method(WeightsRequest, EncodedWeights(board, self.life).other_than),
                "evaluated": Method(EvaluatorReport, self._take_evaluated),
                "inspect": Method(Nothing, lambda _: self.inspection()),
                "q_values": Method(QValuesRequest, lambda observed: self.q_values(observed)),
            },
            # An actor that waits for its Q-values keeps a thread waiting.
            _THREADS + (config.acting.actors if config.acting.inference == "central" else 0),
        )

    def end(self) -> None:
        """Tells every process that the job is over; waits until all have heard it, or for some seconds."""
        self.phase = Phase.OVER
        began = time.monotonic()
        deadline = began + max(_SECONDS_TO_HEAR_IT_IS_OVER, 2 * self._settings.beat_seconds)
        while time.monotonic() < deadline:
            since = time.monotonic() - began
            silent_seconds = (each.seconds_since_heartbeat for each in self.roster.status())
            # A heartbeat since then was answered so; those that count as dead send none.
            if not any(since <= seconds < self._settings.dead_after_seconds for seconds in silent_seconds):
                return
            time.sleep(0.05)

    def close(self) -> None:
        """Stops answering."""
        self._server.close()

    def _hello(self, hello: Hello) -> Welcome:
        self._require(hello.process_id)
        if hello.config != self._config_text:
            raise RefusedError(f"its configuration is not the learner's: {self._difference(hello.config)}")
        return Welcome(life=self.life, task_spec=self.task_spec)

    def _difference(self, text: str) -> str:
        """The difference between a configuration and the learner's, in one line."""
        try:
            theirs = parse(text.encode(), unused={})
        except ConfigError as error:
            return message_in_one_line(error)
        return listed(deviations(theirs, self._config, "the learner"))

    def _require(self, process_id: ProcessId) -> None:
        """Raises RefusedError if no such process has a part in this job."""
        if process_id not in self._process_ids:
            there = counted(self._topology.count(process_id.role), process_id.role)
            raise RefusedError(f"its cluster is not the learner's, which has {there}")

    def _take_heartbeat(self, heartbeat: Heartbeat) -> Answer:
        self._require(heartbeat.process_id)
        if heartbeat.config != self._fingerprint:
            raise RefusedError("its configuration is not the learner's")  # hello says how they differ
        self.roster.add(heartbeat)
        return Answer(
            life=self.life,
            phase=self.phase,
            has_begun=self.board.version() >= 0,  # asked first: the counts come before the weights
            env_steps=self.roster.counts().env_steps,
            start=self.start,
            may_meet=self.may_meet,
            largest_priority=self.largest_priority(),
        )

    def _none_yet(self) -> Inspection:
        raise RefusedError(IS_STARTING if self.phase == Phase.TRAINING else "the run has finished already")

    def _take_evaluated(self, evaluated: EvaluatorReport) -> Nothing:
        if evaluated.joined == self.life:
            self.on_evaluated(evaluated)
        return Nothing()


def _no_inference(_: QValuesRequest) -> QValues:
    raise RefusedError("the learner computes no actor's Q-values")
