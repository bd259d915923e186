"""Who takes part, by their heartbeats: what they counted is neither lost nor doubled, and silence is death."""

import pytest

from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.coordination import roster as roster_module
from tfdqn.coordination.messages import Counts, Heartbeat
from tfdqn.coordination.roster import Roster


class Clock:
    """Stands in for `time`: it goes on when it is told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(roster_module, "time", made)
    return made


def heartbeat(index: int = 0, life: str = "a", joined: str = "L", steps: int = 0, role: Role = Role.ACTOR) -> Heartbeat:
    return Heartbeat(
        process_id=ProcessId(role, index),
        life=life,
        pid=1,
        host="h",
        joined=joined,
        state="acting",
        counts=Counts(env_steps=steps, episodes=steps // 10),
    )


def test_counts_are_everybodys_together_and_those_of_before() -> None:
    roster = Roster("L", 8)
    roster.start_from(Counts(env_steps=1000, episodes=3))
    roster.add(heartbeat(0, "a", steps=10))
    roster.add(heartbeat(1, "b", steps=20))
    roster.add(heartbeat(0, "a", steps=50))
    assert roster.counts() == Counts(env_steps=1070, episodes=3 + 7)
    roster.start_from(Counts(env_steps=5))
    assert roster.counts() == Counts(env_steps=75, episodes=7)


def test_what_a_process_counted_stays_when_another_takes_its_place() -> None:
    roster = Roster("L", 8)
    roster.add(heartbeat(0, "a", steps=50))
    roster.add(heartbeat(0, "a again", steps=5))
    roster.add(heartbeat(0, "a again", steps=8))
    assert roster.counts().env_steps == 58


def test_a_heartbeat_that_was_overtaken_takes_nothing_away() -> None:
    roster = Roster("L", 8)
    counted = []
    for steps in (50, 40, 60):
        roster.add(heartbeat(steps=steps))
        counted.append(roster.counts().env_steps)
    assert counted == [50, 50, 60]


def test_who_has_not_joined_this_life_is_seen_and_counts_nothing() -> None:
    roster = Roster("L", 8)
    roster.add(heartbeat(0, joined="", steps=5))
    roster.add(heartbeat(1, joined="another", steps=5))
    assert roster.counts() == Counts()
    assert len(roster.status()) == 2
    assert roster.present(Role.ACTOR) == []


def test_status_is_in_order_and_says_for_how_long_each_is_silent(clock: Clock) -> None:
    roster = Roster("L", 8)
    for index in (2, 0, 1):
        roster.add(heartbeat(index))
        clock.now += 1
    assert [(each.heartbeat.process_id.index, each.seconds_since_heartbeat) for each in roster.status()] == [
        (0, 2),
        (1, 1),
        (2, 3),
    ]


def test_present_are_those_of_a_role_that_are_not_silent(clock: Clock) -> None:
    roster = Roster("L", 8)
    roster.add(heartbeat(0))
    clock.now += 5
    roster.add(heartbeat(1))
    roster.add(heartbeat(0, role=Role.EVALUATOR))
    clock.now += 4
    assert [each.process_id for each in roster.present(Role.ACTOR)] == [ProcessId(Role.ACTOR, 1)]


def test_each_kind_of_death_has_its_words(clock: Clock) -> None:
    roster = Roster("L", 8)
    workers = [ProcessId(Role.WORKER, index) for index in range(4)]
    roster.add(heartbeat(1, role=Role.WORKER))
    clock.now += 8
    roster.add(heartbeat(2, role=Role.WORKER, joined=""))
    roster.add(heartbeat(3, role=Role.WORKER))
    assert list(roster.lost(workers).values()) == [
        "worker 0 has not joined",
        "worker 1 has been silent for 8 s",
        "worker 2 has started again",
    ]


def test_quiet_are_all_that_took_part_and_are_silent_of_whatever_role(clock: Clock) -> None:
    roster = Roster("L", 8)
    roster.add(heartbeat(0, role=Role.WORKER))
    roster.add(heartbeat(1, role=Role.WORKER))
    workers = [ProcessId(Role.WORKER, index) for index in range(3)]
    clock.now += 7
    roster.add(heartbeat(1, "another life", "", role=Role.WORKER))
    assert roster.unheard(workers) == []
    clock.now += 1
    assert roster.unheard(workers) == [workers[0]]
