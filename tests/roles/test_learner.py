"""How the learner's process comes to its end: whom it waits for, for how long, and what it leaves then."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.support.run_files import a_summary
from tests.support.tiny_runs import tiny
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.coordination import sudden_end
from tfdqn.coordination.messages import EvaluatorReport, Heartbeat, Phase
from tfdqn.coordination.roster import Roster
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.errors import PeerLostError
from tfdqn.records import Counters, Summary
from tfdqn.roles import learner
from tfdqn.roles.context import RoleContext
from tfdqn.storage.json_lines import append_line
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_evaluations, why_stopped, write_summary
from tfdqn.tracking.factory import rewind
from tfdqn.training import finish

DONE = EvaluatorReport(best_return=20.0, is_done=True)


class End:
    """The end of a job whose training has come to its reason to stop; all but the learner's own part is stood in for.

    What happens, in order, is in `events`. Time passes only where the learner sleeps.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, patience_seconds: float = 60.0):
        self.run, self.events, self.said = RunDir(folder), list[str](), list[str]()
        self.roster, self.report = Roster("now", dead_after_seconds=0.3), EvaluatorReport()
        self.polls = 0
        self.now = 100.0
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep)
        monkeypatch.setattr(learner, "time", clock)
        monkeypatch.setattr("tfdqn.coordination.roster.time", clock)
        config = tiny(f"health.patience_seconds={patience_seconds}")
        topology = Topology(learner="localhost:1", replay_server=("localhost:2",), actor=1, evaluator=1)
        self.job = RoleContext(config, topology, LEARNER, folder, self.said.append, self.interrupted)
        for name, stand_in in {
            "Chief": lambda *_: SimpleNamespace(close=self.note("chief"), lost_peers_as_cluster_error=nullcontext),
            "start_session": lambda *_: self.session(),
            "begin_tracking": lambda *_, **__: None,
            "TrainingMonitor": lambda *_, **__: SimpleNamespace(
                seconds=1.0,
                show=lambda: None,
                log_last=self.note("logged"),
                record_video=lambda _: None,
                finished=lambda _: None,
                close=self.note("watch"),
            ),
            "learning_devices": lambda _: ["CPU:0"],
            "_meet": lambda *_: None,
        }.items():
            monkeypatch.setattr(learner, name, stand_in)
        monkeypatch.setattr(finish, "_write_results", self.results)
        monkeypatch.setattr(learner.loops, "learn", lambda *_: self.events.append("learned") or "all was taken")

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    actors, environment_restarts = SimpleNamespace(episodes=10), 0

    def note(self, event: str) -> Any:
        return lambda *_: self.events.append(event)

    def results(self, session: Any, summary: Summary) -> Summary:
        self.events.append("results")
        return summary

    def session(self) -> Any:
        return SimpleNamespace(
            run_dir=self.run,
            config=Config(),
            env_steps=1_000,
            counters=Counters(env_steps=1_200, train_steps=250),
            learner=SimpleNamespace(train_steps=250),
            parts=self,
            work=StallDetector(),
            save=self.note("saved"),
            close=self.note("session"),
        )

    @property
    def evaluations(self) -> EvaluatorReport:
        return self.report

    def interrupted(self) -> bool:
        """Asked at each look; what happens meanwhile is what a test puts here."""
        self.polls += 1
        return self.meanwhile()

    def meanwhile(self) -> bool:
        return False

    def comes(self) -> bool:
        """The end; whether the job is over."""
        watchdog = SimpleNamespace(state="", work=StallDetector(), release_peers=self.note("expects nobody"))
        service = SimpleNamespace(roster=self.roster, end=self.note("over"), phase="training")
        return learner._learn(self.job, self.run, service, None, watchdog)  # type: ignore[arg-type]

    def beat(self) -> None:
        process_id = ProcessId(Role.EVALUATOR)
        self.roster.add(
            Heartbeat(process_id=process_id, life="its", pid=1, host="here", joined="now", state="evaluating")
        )


@pytest.fixture
def end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> End:
    return End(tmp_path, monkeypatch)


def test_while_the_results_are_drawn_the_learner_is_known_to_be_saved(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    end.report, session, seen = DONE, end.session(), list[bool]()
    end.session = lambda: session  # type: ignore[method-assign]

    def results(_: Any, summary: Summary) -> Summary:
        seen.extend((session.work.is_saved, end.run.is_saved))
        return summary

    monkeypatch.setattr(finish, "_write_results", results)
    monkeypatch.setattr(session, "save", lambda _: seen.append(session.work.is_saved))
    assert end.comes() and seen == [False, True, True]


def test_who_learns_in_lockstep_is_watched_until_it_has_been_sent_home(end: End) -> None:
    end.report = DONE
    assert end.comes()
    trained = ["learned", "logged", "saved", "results"]
    assert end.events == [*trained, "watch", "session", "expects nobody", "chief", "over"]


def test_a_run_that_is_stopped_before_its_last_evaluation_has_not_finished(end: End) -> None:
    end.meanwhile = lambda: end.polls >= 3  # type: ignore[method-assign]
    assert not end.comes()
    assert end.events == ["learned", "logged", "saved", "watch", "session"]
    assert end.said == ["interrupted and saved at 1,000 environment steps"]


def test_what_has_ended_it_before_the_job_is_over_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end, kept = End(tmp_path / "run", monkeypatch), []

    def train(*_: Any) -> bool:
        sudden_end.end_now("the learner is stuck")  # as its watchdog does
        kept.append(why_stopped(end.run.end_file))
        return is_over

    monkeypatch.setattr(learner, "_train", train)
    monkeypatch.setattr("os._exit", lambda status: None)
    for is_over in (True, False):
        assert learner.run(end.job) is is_over
        kept.append(why_stopped(end.run.end_file))
    stuck = "the learner is stuck"
    assert kept == [stuck, stuck, stuck, "it was interrupted by the program that trained it"]


def test_patience_with_the_evaluator_begins_when_it_was_last_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there for longer than patience, then away for less, and comes back."""
    end = End(tmp_path, monkeypatch, patience_seconds=1.0)
    monkeypatch.setattr(learner, "_POLL_SECONDS", 0.05)

    def meanwhile() -> bool:
        if end.polls <= 30:
            end.beat()
        elif end.polls > 40:
            end.report = DONE
        return False

    end.meanwhile = meanwhile  # type: ignore[method-assign]
    end.comes()
    assert end.said == ["finished: all was taken"]


def test_without_an_evaluator_it_finishes_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = End(tmp_path, monkeypatch, patience_seconds=0.2)
    end.comes()
    assert end.said[0].startswith("warning: there is no evaluator")
    assert "results" in end.events


@pytest.mark.parametrize(("evaluator", "checkpoint", "is_kept"), [(0, -1, False), (0, 1_200, True), (1, -1, True)])
def test_a_job_without_an_evaluator_puts_the_evaluations_of_the_start_before_aside_itself(
    end: End, monkeypatch: pytest.MonkeyPatch, evaluator: int, checkpoint: int, is_kept: bool
) -> None:
    def begin(session: Any, kept_env_steps: int | None) -> None:
        rewind(session.run_dir, session.env_steps_before, kept_env_steps)

    append_line(end.run.evaluations_file, {"env_steps": 500, "mean_return": 9.5})
    end.job = end.job._replace(topology=msgspec.structs.replace(end.job.topology, evaluator=evaluator))
    end.report, session = DONE, end.session()
    session.env_steps_before = checkpoint
    end.session = lambda: session  # type: ignore[method-assign]
    monkeypatch.setattr(learner, "begin_tracking", begin)
    assert end.comes()
    assert bool(read_evaluations(end.run.evaluations_file)) is is_kept


@pytest.mark.parametrize(("train_steps", "is_left_alone"), [(250, True), (100, False)])
def test_only_a_summary_of_what_was_learned_last_is_left_alone(end: End, train_steps: int, is_left_alone: bool) -> None:
    """One of before the run was made longer is not."""
    summary = a_summary(train_steps=train_steps)
    write_summary(end.run.summary_file, summary)
    end.report = DONE
    end.comes()
    assert ("results" not in end.events) is is_left_alone


def test_the_others_hear_of_what_a_start_anew_discards() -> None:
    progress = SimpleNamespace(
        **{"phase": "learning", "env_steps": 1, "train_steps": 1, "seconds": 1.0},
        **{"updates_per_second": 1.0, "best_return": None},
    )
    actors, replay = SimpleNamespace(episodes=1), SimpleNamespace(status=tuple)
    parts = SimpleNamespace(emptied="replay is emptied", actors=actors, replay=replay)
    session: Any = SimpleNamespace(resumed="no checkpoint yet", put_aside="", parts=parts)
    service: Any = SimpleNamespace(phase=Phase.TRAINING, life="a", roster=Roster("now", dead_after_seconds=0.3))
    monitor: Any = SimpleNamespace(progress=lambda _: progress)
    watchdog: Any = SimpleNamespace(doing="learning")
    assert learner._inspection(service, session, monitor, watchdog).discarded == ("replay is emptied",)
    session.put_aside = "results were put aside"
    inspection = learner._inspection(service, session, monitor, watchdog)
    assert (inspection.resumed, inspection.discarded) == (session.resumed, (parts.emptied, session.put_aside))


def test_it_waits_for_the_missing_and_names_them_whenever_they_are_others(end: End) -> None:
    both, one = {"worker 0": "it is silent", "worker 1": "it is silent"}, {"worker 0": "it is silent"}
    missing = iter([both, both, one, one, {}])
    assert learner._are_there(end.job, lambda: next(missing))
    assert end.said == ["waiting for worker 0, worker 1", "waiting for worker 0"]


def test_its_patience_with_the_missing_ends(end: End) -> None:
    with pytest.raises(PeerLostError, match=r"^it has not joined, after 60 s of waiting: the learner gives up$"):
        learner._are_there(end.job, lambda: {"worker 0": "it has not joined"})


def test_nobody_is_waited_for_once_the_user_has_asked_to_stop(end: End) -> None:
    end.meanwhile = lambda: True  # type: ignore[method-assign]
    assert not learner._are_there(end.job, lambda: {"worker 0": "it has not joined"})


def test_a_learner_that_starts_again_does_not_repeat_the_noise_of_central_inference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []

    def inference(*arguments: Any) -> Any:
        drawn.append(arguments[-1].random())
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(learner, "make_q_function", lambda *_: None)
    monkeypatch.setattr(learner, "Inference", inference)
    config = tiny("acting.inference=central", "network.noisy=true")
    job = RoleContext(config, Topology(learner="localhost:1"), LEARNER, tmp_path, print, lambda: False)
    for life in ("first", "second"):
        service: Any = SimpleNamespace(life=life, task_spec=None, board=None)
        with learner._inference(job, service):
            pass
    assert len(drawn) == len(set(drawn)) == 2
