"""The supervisor of a share of a job, whose learner may be elsewhere; with stand-ins for the processes."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_role_job import EVERY, Job, kill, stop
from tests.support.processes import is_running
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.config import Health
from tfdqn.coordination.messages import Inspection, Phase


class FarLearner:
    """Stands in for the watch on a learner that another supervisor runs: heard at this very moment, or no more."""

    def __init__(self, address: str):
        self.phase, self.is_heard = Phase.TRAINING, True
        self.last_heard_seconds = float("-inf")
        self.life = self.resumed = ""
        self.discarded: tuple[str, ...] = ()

    def close(self) -> None:
        pass

    @property
    def newest(self) -> Inspection:
        return Inspection(
            **{"phase": self.phase, "state": "learning", "env_steps": 1, "train_steps": 1, "episodes": 1},
            **{"seconds": 1.0, "weights_version": 1, "updates_per_second": 1.0, "best_return": None},
            **{"processes": (), "life": self.life, "resumed": self.resumed, "discarded": self.discarded},
        )

    @property
    def heard_seconds(self) -> float:
        return time.monotonic() if self.is_heard else self.last_heard_seconds

    def phase_after(self, seconds: float) -> Phase | None:
        return self.phase if self.heard_seconds > seconds else None


@pytest.fixture
def far_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.launch.supervisor.LearnerPoller", FarLearner)
    monkeypatch.setattr("tfdqn.launch.supervisor._MISSED_AFTER_SECONDS", 0.2)


ACTORS = (ProcessId(Role.ACTOR, 0), ProcessId(Role.ACTOR, 1))


@pytest.mark.usefixtures("far_learner")
def test_a_share_without_the_learner_is_over_when_all_have_ended_and_the_learner_trains_no_more(folder: Path) -> None:
    job = Job(folder, *EVERY, share=(*ACTORS, ProcessId(Role.REPLAY_SERVER)))

    def is_finishing() -> bool:
        job.supervisor._learner.phase = Phase.FINISHING  # type: ignore[misc]
        return True

    assert job.run(job.everybody_works, is_finishing)
    assert len(job.everybody()) == len(job.status.rows) == 3
    assert not job.supervisor.has_saved
    assert not any(map(is_running, job.everybody()))


@pytest.mark.usefixtures("far_learner")
def test_who_is_alone_and_ends_well_is_missed_by_a_learner_elsewhere_that_goes_on(folder: Path) -> None:
    job = Job(folder, share=(ProcessId(Role.EVALUATOR),))

    def has_gone() -> bool:
        job.supervisor._learner.is_heard = False  # type: ignore[attr-defined]
        return True

    job.supervisor._health = Health(dead_after_seconds=1.0)
    assert job.run(
        job.everybody_works, lambda: kill(job, "evaluator-0", signal.SIGTERM), job.lives("evaluator-0", 2), has_gone
    )
    assert job.lines == ["evaluator 0 has ended, but the job goes on: it is started again"]


@pytest.mark.usefixtures("far_learner")
def test_a_share_that_is_stopped_ends_in_order_and_is_not_over(folder: Path) -> None:
    job = Job(folder, *EVERY, share=(*ACTORS, ProcessId(Role.REPLAY_SERVER)))
    assert not job.run(job.everybody_works, stop)
    order = (folder / "order").read_text().split()
    assert (sorted(order[:2]), order[2:]) == (["actor-0", "actor-1"], ["replay_server-0"])


@pytest.mark.usefixtures("far_learner")
def test_where_each_life_of_the_learner_goes_on_is_said_once(folder: Path) -> None:
    job = Job(folder, *EVERY, share=ACTORS)
    learner = job.supervisor._learner

    def lives(life: str, resumed: str, lines: list[str]) -> Callable[[], bool]:
        def step() -> bool:
            learner.life, learner.resumed = life, resumed  # type: ignore[attr-defined]
            return job.lines == lines

        return step

    first, again = "learner 0: no checkpoint yet: starting from the beginning", "learner 0: resumed at 7 steps"
    job.run(
        job.everybody_works,
        lives("a", "", []),
        lives("b", "no checkpoint yet: starting from the beginning", [first]),
        lives("c", "resumed at 7 steps", [first, again]),
        lives("d", "resumed at 7 steps", [first, again, again]),
        stop,
    )


@pytest.mark.usefixtures("far_learner")
def test_what_a_learner_discards_that_begins_anew_is_said_once(folder: Path) -> None:
    job = Job(folder, *EVERY, share=ACTORS)
    learner: Any = job.supervisor._learner
    lines = ["no checkpoint yet: starting from the beginning", "replay is emptied: …", "results … were put aside: …"]
    said = [f"learner 0: {line}" for line in lines]

    def begins_anew() -> bool:
        learner.life, learner.resumed, learner.discarded = "a", lines[0], tuple(lines[1:])
        return job.lines == said

    def continues() -> bool:
        learner.life, learner.resumed, learner.discarded = "b", "resumed at 7 steps", ()
        return job.lines == [*said, "learner 0: resumed at 7 steps"]

    job.run(job.everybody_works, begins_anew, continues, stop)


@pytest.mark.usefixtures("far_learner")
def test_what_a_learner_said_in_an_earlier_life_is_not_shown_in_the_next(folder: Path) -> None:
    job = Job(folder)
    learner: Any = job.supervisor._learner

    def is_killed() -> bool:
        assert job.status.inspection is not None
        learner.is_heard, learner.last_heard_seconds = False, time.monotonic()
        return kill(job, "learner-0")

    def is_quiet() -> bool:
        if not job.lives("learner-0", 2)():
            return False
        assert job.status.inspection is None
        learner.is_heard = True
        return True

    assert job.run(job.everybody_works, is_killed, is_quiet, lambda: job.status.inspection is not None)
