"""The supervisor with stand-ins for the processes: who is started again, who is given up, in which order all end."""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import PROJECT
from tests.runs import tiny
from tfdqn.config import Health
from tfdqn.errors import ClusterError
from tfdqn.membership import FINISHING, TRAINING
from tfdqn.messages import Inspection
from tfdqn.program import local_topology, make_program
from tfdqn.supervisor import JobStatus, Supervisor
from tfdqn.topology import Member, Role

STAND_IN = (sys.executable, str(PROJECT / "tests" / "stand_in.py"))
PATIENCE_SECONDS = 60.0
EVERY = ("learner.strategy=parameter_server", "acting.actors=2")


class Job:
    """A job of stand-ins, and what is seen of it; each step of a script waits until its condition holds.

    Args:
      folder: where the stand-ins find what they are told, and leave what they did.
      share: who of the job is run; everybody if not given.
    """

    def __init__(
        self, folder: Path, *overrides: str, health: Health | None = None, share: tuple[Member, ...] = ()
    ):
        self.folder, self.lines = folder, list[str]()
        self.status = JobStatus([], None)
        config = tiny(*overrides)
        program = make_program(
            config, local_topology(config), config_file="c.toml", cluster_file="cluster.json", run_dir="run"
        )
        if share:
            program = program.share(share)
        logs = folder / "processes"
        logs.mkdir(exist_ok=True)
        health = health or Health(dead_after_seconds=20.0)
        self.supervisor = Supervisor(program, logs, logs / "beats", health, self, STAND_IN)
        self._began = time.monotonic()

    def say(self, line: str) -> None:
        self.lines.append(line)

    def show(self, status: JobStatus) -> None:
        self.status = status

    def tell(self, name: str, *lives: str) -> None:
        (self.folder / f"{name}.do").write_text("\n".join(lives))

    def end(self) -> None:
        (self.folder / "over").touch()

    def run(self, *steps: Callable[[], object]) -> bool:
        """Runs the job; each step is asked again and again until it holds. Then it is over, or `stop` says stop."""
        left = list(steps)

        def interrupted() -> bool:
            assert time.monotonic() < self._began + PATIENCE_SECONDS, (left, self.lines, self.status)
            if left and (holds := left[0]()):
                left.pop(0)
                if holds is stop:
                    return True
                if not left:
                    self.end()
            return False

        return self.supervisor.run(interrupted)

    def pids(self, name: str) -> list[int]:
        file = self.folder / f"{name}.lives"
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    def lives(self, name: str, count: int = 1) -> Callable[[], bool]:
        """Whether that many lives of a process have begun, and the last is at work."""
        return lambda: len(self.pids(name)) == count and self.row(name).state == "at work"

    def row(self, name: str):  # type: ignore[no-untyped-def]
        return next(row for row in self.status.rows if row.member.file_stem == name)

    def everybody_works(self) -> bool:
        return bool(self.status.rows) and all(row.state == "at work" for row in self.status.rows)

    def everybody(self) -> list[int]:
        return [pid for file in self.folder.glob("*.lives") for pid in self.pids(file.stem)]


def stop() -> object:
    return stop


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("STAND_INS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    yield tmp_path


def exists(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_job_runs_until_its_learner_has_done(folder: Path) -> None:
    job = Job(folder, *EVERY)
    assert job.run(job.everybody_works)
    assert job.supervisor.has_saved
    assert len(job.everybody()) == 8
    assert [row.state for row in job.status.rows] == ["ended"] * 8
    assert not any(map(exists, job.everybody()))
    assert job.lines == []


def test_who_asks_for_it_and_who_is_killed_is_started_again_at_once_however_often(folder: Path) -> None:
    job = Job(folder)
    job.tell("actor-0", *["75"] * 6, "steady")
    kills = [
        step
        for life in range(1, 6)
        for step in (job.lives("replay_server-0", life), lambda: kill(job, "replay_server-0"))
    ]
    assert job.run(job.lives("actor-0", 7), *kills, job.lives("replay_server-0", 6))
    assert (
        "actor 0 has ended with status 75 (ValueError: something broke): it is started again" in job.lines[0]
    )
    assert any(
        "replay server 0 was killed by signal 9 (SIGKILL): it is started" in line for line in job.lines
    )
    assert (job.row("actor-0").restarts, job.row("evaluator-0").restarts) == (6, 0)


def kill(job: Job, name: str, number: int = signal.SIGKILL) -> bool:
    os.kill(job.pids(name)[-1], number)
    return True


def test_who_fails_again_and_again_is_given_up_and_the_log_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfdqn.supervised._PAUSE_SECONDS", 0.2)
    job = Job(folder)
    job.tell("actor-0", "unready 3")
    with pytest.raises(
        ClusterError,
        match=r"actor 0 has ended with status 3 \(ValueError: something broke\), 5 times in a row.*actor-0.log",
    ):
        job.run()
    assert len(job.pids("actor-0")) == 5
    assert "started again in 2 s" in job.lines[-1]
    assert not any(map(exists, job.everybody()))
    assert (folder / "order").read_text().split()[-1] == "replay_server-0"


def test_a_users_mistake_ends_the_job_in_one_line(folder: Path) -> None:
    job = Job(folder)
    job.tell("replay_server-0", "refuse")
    with pytest.raises(ClusterError) as error:
        job.run()
    assert str(error.value) == "replay server 0: task.id = 3: no such thing"
    assert len(job.pids("replay_server-0")) == 1
    assert not any(map(exists, job.everybody()))


def test_where_there_is_no_room_for_a_process_the_others_end_in_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(folder)

    def no_room() -> bool:
        def refused(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("tfdqn.supervised.start_process", refused)
        return kill(job, "actor-0")

    with pytest.raises(
        ClusterError, match=r"actor 0 can't be started: No space left on device \(.*actor-0.log\)"
    ):
        job.run(job.everybody_works, no_room, lambda: False)
    assert (folder / "order").read_text().split() == ["evaluator-0", "learner-0", "replay_server-0"]
    assert not any(map(exists, job.everybody()))


def test_who_is_stopped_or_dies_leaves_no_child_behind_and_is_started_again(folder: Path) -> None:
    job = Job(folder, health=Health(dead_after_seconds=1.0))
    job.tell("actor-0", "child", "child", "steady")
    assert job.run(
        job.everybody_works,
        lambda: kill(job, "actor-0", signal.SIGSTOP),
        job.lives("actor-0", 2),
        lambda: kill(job, "actor-0"),
        job.lives("actor-0", 3),
        lambda: not any(map(exists, job.pids("actor-0")[:2])),
        lambda: not any(descendants_of_session(pid) for pid in job.pids("actor-0")[:2]),
    )
    assert "actor 0 has given no sign of life for 1 s: killed" in job.lines


def descendants_of_session(session: int) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and session_of(int(entry.name)) == session and exists(int(entry.name))
    ]


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def test_who_ends_well_although_the_learner_goes_on_is_missed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(folder)
    monkeypatch.setattr(type(job.supervisor), "_is_missed", lambda *_: True)
    assert job.run(job.everybody_works, lambda: kill(job, "actor-0", signal.SIGTERM), job.lives("actor-0", 2))
    # Others, too, where they are seen to have ended before the learner is.
    assert job.lines[0] == "actor 0 has ended, but the job goes on: it is started again"


def test_ctrl_c_stops_all_in_order_and_the_deaf_are_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfdqn.supervisor._OTHERS_GRACE_SECONDS", 1.0)
    job = Job(folder, *EVERY)
    job.tell("worker-1", "deaf")
    assert not job.run(job.everybody_works, stop)
    assert job.supervisor.has_saved
    order = (folder / "order").read_text().split()
    assert sorted(order[:3]) == ["actor-0", "actor-1", "evaluator-0"]
    assert order[3:5] == ["learner-0", "worker-0"]
    assert sorted(order[5:]) == ["parameter_server-0", "replay_server-0"]
    assert "worker 1 does not end: killed" in job.lines[-1]
    assert not any(map(exists, job.everybody()))


def test_ctrl_c_while_somebody_waits_to_be_started_again_starts_nobody(folder: Path) -> None:
    job = Job(folder)
    job.tell("learner-0", "unready 3")
    assert not job.run(lambda: any("again in 2 s" in line for line in job.lines), stop)
    assert not job.supervisor.has_saved
    assert (len(job.pids("learner-0")), job.row("learner-0").state) == (3, "ended")
    assert not any(map(exists, job.everybody()))


def test_silence_is_shown_before_it_is_death_and_a_first_sign_has_longer(folder: Path) -> None:
    job = Job(folder, health=Health(dead_after_seconds=3.0, patience_seconds=6.0))
    job.tell("actor-0", "mute", "steady")
    job.tell("evaluator-0", "signless", "steady")
    seen: set[str] = set()
    show = job.show

    def watching(status: JobStatus) -> None:
        show(status)
        seen.update(row.state for row in status.rows)

    job.show = watching  # type: ignore[method-assign]
    assert not job.run(job.lives("actor-0", 2), job.lives("evaluator-0", 2), stop)
    assert job.lines[:2] == [
        "actor 0 has given no sign of life for 3 s: killed",
        "actor 0 was killed by signal 9 (SIGKILL): it is started again; its log is "
        f"{folder / 'processes' / 'actor-0.log'}",
    ]
    assert "evaluator 0 has given no sign of life for 6 s: killed" in job.lines
    assert {"starting", "at work", "silent for 2 s", "stopping", "ended"} <= seen


class FarLearner:
    """Stands in for the watch on a learner that another supervisor runs: heard at this very moment, or no more."""

    def __init__(self, address: str):
        self.phase, self.is_heard = TRAINING, True

    def close(self) -> None:
        pass

    @property
    def newest(self) -> Inspection:
        return Inspection(
            **{"phase": self.phase, "state": "learning", "env_steps": 1, "train_steps": 1, "episodes": 1},
            **{"seconds": 1.0, "weights_version": 1, "updates_per_second": 1.0, "best_return": None},
            members=(),
        )

    @property
    def heard_seconds(self) -> float:
        return time.monotonic() if self.is_heard else float("-inf")


@pytest.fixture
def far_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.supervisor.LearnerWatch", FarLearner)
    monkeypatch.setattr("tfdqn.supervisor._BEYOND_DOUBT_SECONDS", 0.2)


ACTORS = (Member(Role.ACTOR, 0), Member(Role.ACTOR, 1))


@pytest.mark.usefixtures("far_learner")
def test_a_share_without_the_learner_is_over_when_all_have_ended_and_the_learner_trains_no_more(
    folder: Path,
) -> None:
    job = Job(folder, *EVERY, share=(*ACTORS, Member(Role.REPLAY_SERVER)))

    def is_finishing() -> bool:
        job.supervisor._watch.phase = FINISHING  # type: ignore[misc]
        return True

    assert job.run(job.everybody_works, is_finishing)
    assert len(job.everybody()) == len(job.status.rows) == 3
    assert not job.supervisor.has_saved
    assert not any(map(exists, job.everybody()))


@pytest.mark.usefixtures("far_learner")
def test_who_is_alone_and_ends_well_is_missed_by_a_learner_elsewhere_that_goes_on(folder: Path) -> None:
    job = Job(folder, share=(Member(Role.EVALUATOR),))

    def has_gone() -> bool:
        job.supervisor._watch.is_heard = False  # type: ignore[attr-defined]
        return True

    job.supervisor._health = Health(dead_after_seconds=1.0)
    assert job.run(
        job.everybody_works,
        lambda: kill(job, "evaluator-0", signal.SIGTERM),
        job.lives("evaluator-0", 2),
        has_gone,
    )
    assert job.lines == ["evaluator 0 has ended, but the job goes on: it is started again"]


@pytest.mark.usefixtures("far_learner")
def test_a_share_that_is_stopped_ends_in_order_and_is_not_over(folder: Path) -> None:
    job = Job(folder, *EVERY, share=(*ACTORS, Member(Role.REPLAY_SERVER)))
    assert not job.run(job.everybody_works, stop)
    order = (folder / "order").read_text().split()
    assert (sorted(order[:2]), order[2:]) == (["actor-0", "actor-1"], ["replay_server-0"])
