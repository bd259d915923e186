"""What a person sees of a job of many processes: the table on a terminal, the lines elsewhere, the logs' own lines."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tfdqn.cli.live_table import JobView, process_table, totals
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.coordination.messages import Heartbeat, Inspection, ProcessStatus
from tfdqn.launch.supervisor import STOPPING, JobStatus, Row


def a_row(role: Role = Role.ACTOR, index: int = 0, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "process_id": ProcessId(role, index),
        "state": "acting",
        "pid": 4_711,
        "steps_per_second": 1_250.4,
        "seconds_since_heartbeat": 0.4,
        "restarts": 0,
        "log": Path("nowhere.log"),
    }
    return Row(**values | changes)


def a_status(index: int, *, seconds_since_heartbeat: float = 0.5, **changes: Any) -> ProcessStatus:
    values: dict[str, Any] = {
        "process_id": ProcessId(Role.ACTOR, index),
        "life": "a",
        "pid": 1,
        "host": "here",
        "joined": "b",
        "state": "acting",
        "steps_per_second": 1_000.0,
        "episode_return": 20.0,
    }
    return ProcessStatus(heartbeat=Heartbeat(**values | changes), seconds_since_heartbeat=seconds_since_heartbeat)


def an_inspection(*processes: ProcessStatus) -> Inspection:
    return Inspection(
        phase="training",
        state="learning",
        env_steps=125_000,
        train_steps=12_500,
        episodes=1_000,
        seconds=10.0,
        weights_version=12_450,
        updates_per_second=200.0,
        best_return=475.0,
        processes=processes,
        pid=815,
        host="there",
    )


LEARNER_ROW = a_row(Role.LEARNER, state="learning", steps_per_second=0.0)


def rendered(rows: list[Row], room: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as captured:
        console.print(process_table(rows, room))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_table_has_a_line_for_each_process() -> None:
    lost = a_row(index=1, state="starting again", pid=None, seconds_since_heartbeat=None, steps_per_second=0.0)
    _, learner, first, second = rendered([LEARNER_ROW, a_row(), lost._replace(restarts=2)])
    assert learner.split() == ["learner", "0", "learning", "4711", "0", "s"]
    assert first.split() == ["actor", "0", "acting", "4711", "1,250", "steps/s", "0", "s"]
    assert second.split() == ["actor", "1", "starting", "again", "2"]


def test_in_a_small_terminal_the_largest_roles_share_a_line_each() -> None:
    actors = [a_row(index=i, restarts=i % 2, seconds_since_heartbeat=i / 100) for i in range(300)]
    servers = [a_row(Role.REPLAY_SERVER, i, state="serving", steps_per_second=0.0) for i in range(3)]
    actors[7] = actors[7]._replace(state="starting", steps_per_second=0.0)
    lines = rendered([*servers, LEARNER_ROW, *actors], room=6)
    assert [line.split()[0] for line in lines[1:]] == ["replay", "replay", "replay", "learner", "300"]
    assert " ".join(lines[-1].split()) == "300 actors 299 acting, 1 starting 373,870 steps/s 3 s 150"
    assert len(rendered([*servers, LEARNER_ROW, *actors], room=4)) == 4


def test_the_totals_are_of_those_who_are_there() -> None:
    statuses = a_status(0), a_status(1, episode_return=40.0), a_status(2, seconds_since_heartbeat=60.0)
    figures = totals(an_inspection(*statuses), 500_000, "learning")
    assert (figures.env_steps_per_second, figures.episode_return) == (2_000.0, 30.0)
    assert (figures.env_steps, figures.total_env_steps, figures.best_return) == (125_000, 500_000, 475.0)
    assert totals(an_inspection(), 1, "learning").episode_return is None


def test_on_a_terminal_the_table_stands_above_a_bar_and_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=30, highlight=False)
    with JobView(500_000, console=console) as view:
        view.say("actor 1 was killed: it is started again")
        view.show(JobStatus([LEARNER_ROW, a_row()], an_inspection(a_status(0))))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("actor 1 was killed", "heartbeat", "1,250", "━", "learning: 125,000/500,000 steps, 1,000 steps/s"):
        assert text in shown


def test_a_job_that_stops_has_no_speed_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.cli.live_view.PLAIN_LINE_INTERVAL_SECONDS", 0.0)
    inspection = an_inspection(a_status(0))
    for state, figures in (
        ("acting", "learning: 125,000/500,000 steps, 1,000 steps/s, 200 updates/s, return 20.0, best 475.0, 0:30 left"),
        (STOPPING, "learning: 125,000/500,000 steps, return 20.0, best 475.0"),
    ):
        *_, line = lines_of(JobStatus([LEARNER_ROW, a_row(state=state)], inspection), monkeypatch=monkeypatch)
        assert line.startswith(figures)


def lines_of(*statuses: JobStatus, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("tfdqn.cli.live_view._REFRESH_SECONDS", 0.0)
    console = Console(file=io.StringIO(), width=200, highlight=False)
    with JobView(500_000, console=console) as view:
        for status in statuses:
            view.show(status)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_elsewhere_each_state_of_a_life_is_said_once_and_for_all_who_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    actors = [a_row(index=i) for i in (0, 1, 2, 4)]
    held = [actor._replace(state="held back by the replay ratio") for actor in actors[:1]]
    counting = [
        actor._replace(state=f"serving {count:,} transitions") for count in (0, 999, 1_000) for actor in actors[3:]
    ]
    silent = [actor._replace(state="silent for 4 s") for actor in actors]
    again = [actor._replace(restarts=1) for actor in actors[1:2]]
    begins = [actor._replace(state="creating its environments") for actor in actors]
    statuses = [JobStatus(rows, None) for rows in (begins[:2], begins, actors, held, actors, counting, silent, again)]
    statuses[0].rows.append(LEARNER_ROW._replace(state="starting"))
    assert lines_of(*statuses, monkeypatch=monkeypatch) == [
        "actors 0–2, 4: acting",
        "actor 0: held back by the replay ratio",
        "actor 4: serving 0 transitions",
        "actor 1: acting",
    ]


def test_elsewhere_the_totals_are_said_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.cli.live_view.PLAIN_LINE_INTERVAL_SECONDS", 0.0)
    status = JobStatus([LEARNER_ROW], an_inspection())
    assert lines_of(status, status, monkeypatch=monkeypatch) == [
        "learner 0: learning",
        *["learning: 125,000/500,000 steps, 200 updates/s, best 475.0"] * 2,
    ]


class Closed(io.StringIO):
    """A terminal that is gone."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_closed_takes_no_job_with_it() -> None:
    with JobView(500_000, console=Console(file=Closed(), width=100)) as view:
        view.say("hello")
        view.show(JobStatus([LEARNER_ROW], None))
        view.say("is anybody there?")


def test_what_processes_print_is_shown_line_by_line_without_the_chatter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "actor-0.log"
    log.write_text("of an earlier run\n")
    console = Console(file=io.StringIO(), width=200, highlight=False)
    status = JobStatus([a_row(state="", log=log)], None)
    view = JobView(500_000, tmp_path, console)
    new = tmp_path / "actor-1.log"
    new.write_text("before anybody looked\n")
    status.rows.append(a_row(state="", log=new, process_id=ProcessId(Role.ACTOR, 1)))
    view.show(status)
    with log.open("a") as file:
        file.write("I0000 00:00:1731.1 2 rpc.cc:11] hi\n2026-01-01 10:00:00.123: W tensorflow/core\n")
        file.write("[reverb/cc/platform/server.cc:71] Started\nactor 0: joined\nhalf")
    view.show(status)
    with log.open("a") as file:
        file.write(" a line\n")
    view.show(status)
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "actor 1 | before anybody looked",
        "actor 0 | joined",
        "actor 0 | half a line",
    ]
