"""A process that serves below Python, and the thread that watches it: neither outlives the other's failure."""

from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

from tests.support.threaded_jobs import free_address
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.coordination import stall_detector, watchdog
from tfdqn.coordination.heartbeat_files import VARIABLE
from tfdqn.errors import RESTART_STATUS
from tfdqn.roles import blocking_service
from tfdqn.roles.context import RoleContext
from tfdqn.roles.learner_watchdog import LearnerWatchdog


class Ended(Exception):
    """Stands in for the end of the process."""


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RoleContext:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    topology = Topology(learner=free_address(), chief="localhost:1", worker=("localhost:2",), actor=1)
    return RoleContext(tiny(), topology, ProcessId(Role.WORKER), tmp_path, lambda line: None, lambda: False)


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []

    def end(_: Any, status: int) -> None:
        found.append(status)
        raise Ended

    monkeypatch.setattr(blocking_service, "_end", end)
    return found


def test_a_service_whose_heartbeat_has_failed_is_started_again(context: RoleContext, statuses: list[int]) -> None:
    def phase() -> str:
        raise RuntimeError("the heartbeat has failed")

    with pytest.raises(Ended):
        blocking_service._watch(context, SimpleNamespace(phase=phase))  # type: ignore[arg-type]
    assert statuses == [RESTART_STATUS]


@pytest.mark.parametrize(("is_over", "status"), [(False, 143), (True, 0)])
def test_a_service_that_is_asked_to_end_helps_the_learner_to_save_first(
    context: RoleContext, statuses: list[int], is_over: bool, status: int
) -> None:
    waited: list[float] = []
    membership = SimpleNamespace(phase=lambda: "training", wait_while_heard=waited.append, is_over=is_over)
    asked = context._replace(stopped_status=143, interrupted=lambda: True)
    with pytest.raises(Ended):
        blocking_service._watch(asked, membership)  # type: ignore[arg-type]
    assert statuses == [status]
    assert len(waited) == 1


@pytest.mark.parametrize(("is_asked", "status"), [(False, RESTART_STATUS), (True, 143)])
def test_a_learner_that_was_asked_to_end_is_not_started_again_for_whom_it_lost(
    context: RoleContext, is_asked: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    monkeypatch.setattr("os._exit", found.append)
    asked = context._replace(interrupted=lambda: is_asked, stopped_status=143)
    LearnerWatchdog(asked, SimpleNamespace())._end_for(["parameter server 0 has been silent for 9 s"])  # type: ignore[arg-type]
    assert found[0] == status


LOST = "Graph execution error:\n\nSocket closed\nfrom remote target /job:worker/replica:0/task:0 while calling"


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (MemoryError(), "worker 0: MemoryError"),
        (tf.errors.UnavailableError(None, None, LOST), "worker 0 has lost learner 0 at localhost:1: Socket closed"),
        (tf.errors.InvalidArgumentError(None, None, "shapes differ"), "worker 0: shapes differ"),
    ],
    ids=["without a word", "lost", "its own fault"],
)
def test_a_service_that_fails_says_why_in_one_line_and_is_started_again(
    context: RoleContext,
    statuses: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
    line: str,
) -> None:
    joined = SimpleNamespace(join=lambda _: True, set_state=lambda _: None, phase=lambda: "training")
    monkeypatch.setattr(blocking_service, "_watch", lambda *_: None)

    def fails() -> None:
        raise failure

    with pytest.raises(Ended):
        blocking_service.serve(context, joined, fails)  # type: ignore[arg-type]
    assert statuses == [RESTART_STATUS]
    assert capsys.readouterr().err == f"tfdqn: {line}\n"


def test_a_learner_that_nobody_could_watch_any_longer_is_started_again(
    context: RoleContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []
    monkeypatch.setattr(watchdog, "end_now", ends.append)

    def unheard(_: Any) -> list[ProcessId]:
        raise KeyError("a mistake of ours")

    service = SimpleNamespace(roster=SimpleNamespace(unheard=unheard))
    with LearnerWatchdog(context._replace(process_id=LEARNER), service):  # type: ignore[arg-type]
        until(lambda: ends, "end")
    assert ends == ["the learner ends without saving: its watchdog has failed: KeyError: 'a mistake of ours'"]


@pytest.mark.parametrize(("is_saved", "status", "how"), [(True, 0, "after saving"), (False, 143, "without saving")])
def test_a_learner_that_is_held_up_ends_well_only_if_it_has_saved(
    context: RoleContext, monkeypatch: pytest.MonkeyPatch, is_saved: bool, status: int, how: str
) -> None:
    ends: list[tuple[str, int]] = []
    monkeypatch.setattr(watchdog, "end_now", lambda line, status: ends.append((line.rpartition(": ")[2], status)))
    monkeypatch.setattr(watchdog, "_END_SECONDS", 0.1)
    is_asked = Event()
    service = SimpleNamespace(roster=SimpleNamespace(unheard=lambda _: []))
    asked = context._replace(process_id=LEARNER, interrupted=is_asked.is_set)
    with LearnerWatchdog(asked, service) as watched:  # type: ignore[arg-type]
        watched.work.is_saved = is_saved
        is_asked.set()
        until(lambda: ends, "end")
    assert ends[0] == (f"ended {how}", status)


def test_a_learner_whose_updates_hang_is_started_again(context: RoleContext, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[str] = []
    monkeypatch.setattr(stall_detector, "end_stuck", lambda line, _: ends.append(line))
    monkeypatch.setattr(stall_detector, "_MOST_SECONDS_BETWEEN_CHECKS", 0.25)  # a pause of the machine is no hang
    service = SimpleNamespace(roster=SimpleNamespace(unheard=lambda _: []))
    hasty = context._replace(process_id=LEARNER, config=tiny("health.stuck_after_seconds=1"))
    with LearnerWatchdog(hasty, service) as watched:  # type: ignore[arg-type]
        watched.state = "learning"
        watched.work.record_progress("updates")
        until(lambda: ends, "end")
    assert ends[0] == "the learner has made no progress for 1 s (learning): ended, to be started again"


def test_a_learner_without_any_worker_waits(context: RoleContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long: they may come back."""
    monkeypatch.setattr(stall_detector, "end_stuck", lambda line, _: pytest.fail(line))
    looks: list[bool] = []
    config = tiny("learner.strategy=parameter_server", "learner.workers=1", "health.stuck_after_seconds=1")
    service = SimpleNamespace(roster=SimpleNamespace(unheard=lambda lines: list(lines)))
    with LearnerWatchdog(context._replace(process_id=LEARNER, config=config), service) as watched:  # type: ignore[arg-type]
        monkeypatch.setattr(watched.work, "check", lambda is_excused: looks.append(is_excused))
        until(lambda: len(looks) > 1, "looks")
    assert all(looks)
