"""The supervisor with stand-ins for the processes: who is started again, who is given up, in which order all end."""

import errno
import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from tests.support.fake_role_job import EVERY, Job, kill, stop
from tests.support.processes import is_running
from tfdqn.cluster.roles import TRAITS, Role
from tfdqn.config import Health
from tfdqn.coordination.heartbeat_files import Finding, health_of_all
from tfdqn.errors import ClusterError, RefusedProcessError
from tfdqn.launch.supervisor import JobStatus


@pytest.fixture
def looks_count_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look counts a quarter of a second of silence at most: a pause of the whole machine is not death."""
    monkeypatch.setattr("tfdqn.launch.supervised_process._MOST_SECONDS_BETWEEN_LOOKS", 0.25)


def test_a_job_runs_until_its_learner_has_done(folder: Path) -> None:
    job = Job(folder, *EVERY)
    assert job.run(job.everybody_works)
    assert job.supervisor.has_saved
    assert len(job.everybody()) == 8
    assert [row.state for row in job.status.rows] == ["ended"] * 8
    assert not any(map(is_running, job.everybody()))
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
    assert "actor 0 has ended with status 75 (ValueError: something broke): it is started again" in job.lines[0]
    assert any("replay server 0 was killed by signal 9 (SIGKILL): it is started" in line for line in job.lines)
    assert (job.row("actor-0").restarts, job.row("evaluator-0").restarts) == (6, 0)


def test_who_fails_again_and_again_is_given_up_and_the_log_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfdqn.launch.supervised_process._PAUSE_SECONDS", 0.1)
    job = Job(folder)
    job.tell("actor-0", "unready 3")
    with pytest.raises(
        ClusterError,
        match=r"actor 0 has ended with status 3 \(ValueError: something broke\), 5 times in a row within a minute "
        r"of its start: given up; see .*actor-0.log",
    ) as error:
        job.run()
    assert not isinstance(error.value, RefusedProcessError)
    assert len(job.pids("actor-0")) == 5
    assert "started again in 1 s" in job.lines[-1]
    assert not any(map(is_running, job.everybody()))
    assert (folder / "order").read_text().split()[-1] == "replay_server-0"


def test_a_users_mistake_ends_the_job_in_one_line(folder: Path) -> None:
    job = Job(folder)
    job.tell("replay_server-0", "refuse")
    with pytest.raises(RefusedProcessError) as error:
        job.run()
    assert str(error.value) == "replay server 0: task.id = 3: no such thing"
    assert len(job.pids("replay_server-0")) == 1
    assert not any(map(is_running, job.everybody()))


def test_of_a_log_that_was_moved_away_it_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.launch.supervisor.own_line", lambda log, since_bytes: log.unlink() or "")
    job = Job(folder)
    job.tell("replay_server-0", "refuse")
    said = r"^replay server 0: has ended with status 2; its log was moved or removed: .*replay_server-0\.log$"
    with pytest.raises(RefusedProcessError, match=said):
        job.run()


def test_where_there_is_no_room_for_a_process_the_others_end_in_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(folder)

    def no_room() -> bool:
        def refused(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("subprocess.Popen", refused)
        return kill(job, "actor-0")

    with pytest.raises(ClusterError, match=r"actor 0 can't be started: No space left on device \(.*actor-0.log\)"):
        job.run(job.everybody_works, no_room, lambda: False)
    assert (folder / "order").read_text().split() == ["evaluator-0", "learner-0", "replay_server-0"]
    assert not any(map(is_running, job.everybody()))


def test_what_can_t_be_executed_is_named(folder: Path) -> None:
    job = Job(folder, command=(str(folder / "python"),))
    (folder / "python").touch()
    with pytest.raises(ClusterError, match=r"can't be started: Permission denied \(.*/python\)"):
        job.run()


@pytest.mark.usefixtures("looks_count_little")
def test_who_is_stopped_or_dies_leaves_no_child_behind_and_is_started_again(folder: Path) -> None:
    job = Job(folder, health=Health(dead_after_seconds=2.0))
    job.tell("actor-0", "child", "child", "steady")
    assert job.run(
        job.everybody_works,
        lambda: kill(job, "actor-0", signal.SIGSTOP),
        job.lives("actor-0", 2),
        lambda: kill(job, "actor-0"),
        job.lives("actor-0", 3),
        lambda: not any(map(is_running, job.pids("actor-0")[:2])),
        lambda: not any(descendants_of_session(pid) for pid in job.pids("actor-0")[:2]),
    )
    assert "actor 0 has given no heartbeat for 2 s: killed" in job.lines


def descendants_of_session(session: int) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and session_of(int(entry.name)) == session and is_running(int(entry.name))
    ]


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def test_who_ends_well_although_the_learner_goes_on_is_missed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(folder)
    monkeypatch.setattr(type(job.supervisor), "_is_missed", lambda *_: True)
    assert job.run(job.everybody_works, lambda: kill(job, "actor-0", signal.SIGTERM), job.lives("actor-0", 2))
    # Others, too, where they are seen to have ended before the learner is.
    assert job.lines[0] == "actor 0 has ended, but the job goes on: it is started again"


def test_ctrl_c_stops_all_in_order_and_the_deaf_are_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient, now = replace(TRAITS[Role.WORKER], grace_seconds=3), [time.monotonic()]

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        now[0] += seconds

    # A clock that counts what the supervisor sleeps: a pause of the machine takes nothing of anybody's grace.
    monkeypatch.setattr("tfdqn.launch.supervisor.time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setitem(TRAITS, Role.WORKER, impatient)
    monkeypatch.setattr("tfdqn.launch.supervisor._SAID_SECONDS", 2.0)
    job = Job(folder, *EVERY)
    job.tell("worker-1", "deaf")
    assert not job.run(job.everybody_works, stop)
    assert job.supervisor.has_saved
    order = (folder / "order").read_text().split()
    assert sorted(order[:3]) == ["actor-0", "actor-1", "evaluator-0"]
    assert order[3:5] == ["learner-0", "worker-0"]
    assert sorted(order[5:]) == ["parameter_server-0", "replay_server-0"]
    said = [line for line in job.lines if "worker 1" in line]  # others may be slow to end, too
    assert re.fullmatch(r"waiting for .*worker 1 to end, for 1 s at most", said[-2])
    assert "worker 1 does not end: killed" in said[-1]
    assert not any(map(is_running, job.everybody()))


def test_who_is_asked_to_end_and_can_not_end_well_says_why(folder: Path) -> None:
    job = Job(folder)
    job.tell("learner-0", "full")
    assert not job.run(job.everybody_works, stop)
    assert not job.supervisor.has_saved
    assert job.lines[1:] == ["learner 0: run: the disk is full: make room"]


def test_ctrl_c_while_somebody_waits_to_be_started_again_starts_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PAUSE_SECONDS", "_MOST_PAUSE_SECONDS"):
        monkeypatch.setattr(f"tfdqn.launch.supervised_process.{name}", 600.0)
    job = Job(folder)
    job.tell("learner-0", "unready 3")
    assert not job.run(lambda: any("it is started again in " in line for line in job.lines), stop)
    assert not job.supervisor.has_saved
    assert (len(job.pids("learner-0")), job.row("learner-0").state) == (1, "ended")
    assert not any(map(is_running, job.everybody()))


def test_who_was_started_again_and_has_given_no_heartbeat_yet_is_said_to_be_starting(folder: Path) -> None:
    job = Job(folder)
    job.tell("actor-0", "steady", "signless", "steady")

    def is_starting() -> bool:
        found = health_of_all(folder / "processes" / "beats", within_seconds=0.0)
        return len(job.pids("actor-0")) == 2 and Finding("actor 0: starting", is_well=True) in found

    def is_killed() -> bool:
        return kill(job, "actor-0")

    assert not job.run(job.lives("actor-0", 1), is_killed, is_starting, is_killed, job.lives("actor-0", 3), stop)


@pytest.mark.usefixtures("looks_count_little")
def test_silence_is_shown_before_it_is_death_and_a_first_heartbeat_has_longer(folder: Path) -> None:
    job = Job(folder, health=Health(dead_after_seconds=2.0, patience_seconds=6.0))
    job.tell("actor-0", "mute", "steady")
    job.tell("evaluator-0", "signless", "steady")
    seen: set[str] = set()
    show = job.show

    def watching(status: JobStatus) -> None:
        show(status)
        seen.update(row.state for row in status.rows)

    job.show = watching  # type: ignore[method-assign]
    assert not job.run(job.lives("actor-0", 2), job.lives("evaluator-0", 2), stop)
    assert [line for line in job.lines if line.startswith("actor 0")][:2] == [
        "actor 0 has given no heartbeat for 2 s: killed",
        "actor 0 was killed by signal 9 (SIGKILL): it is started again; its log is "
        f"{folder / 'processes' / 'actor-0.log'}",
    ]
    assert "evaluator 0 has given no heartbeat for 6 s: killed" in job.lines
    assert {"starting", "at work", "silent for 1 s", "stopping", "ended"} <= seen
