"""The learner's part of a job: what is owed, who counts, and a job's run that goes on in one process."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.tiny_runs import latest, tiny
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.coordination.messages import Counts, Heartbeat
from tfdqn.coordination.roster import Roster
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.records import Counters
from tfdqn.replay.far_ratio import FarRatio
from tfdqn.storage.checkpoints import BEGINS_ANEW, CheckpointManager
from tfdqn.storage.run_directory import RunDir
from tfdqn.training import train
from tfdqn.training.distributed_session import FarActors, JobSession, _resumed


class Replay:
    """Replay servers that say what they are told to, and that were filled long ago."""

    min_size = 100

    def __init__(self, *due: int):
        self.due = list(due)
        self.known = 0
        self.polls = 0

    def poll(self) -> bool:
        self.polls += 1
        self.known = self.due.pop(0)
        return self.known >= 0

    def updates_due(self) -> int:
        return max(self.known, 0)

    def updates_due_unsampled(self) -> int:
        return 1_000

    def updates_sampled(self) -> float:
        return 0.0

    def can_be_sampled(self) -> bool:
        return True

    def transitions(self) -> int:
        return 7


def test_servers_are_asked_only_when_what_they_owed_is_used_up() -> None:
    replay = Replay(12, 3, 8)
    ratio = FarRatio(replay, None, tiny().learner)  # type: ignore[arg-type]
    assert ratio.wait_to_learn(5)
    ratio.learned(5)
    assert ratio.wait_to_learn(5)
    ratio.learned(5)
    assert (ratio.updates_owed(), replay.polls) == (2, 1)
    assert not ratio.wait_to_learn(5)
    assert ratio.wait_to_learn(5)
    assert (ratio.updates_owed(), replay.polls) == (8, 3)


def test_while_a_server_is_silent_nothing_is_owed() -> None:
    replay = Replay(-1, -1, 6)
    ratio = FarRatio(replay, None, tiny().learner)  # type: ignore[arg-type]
    assert [ratio.wait_to_learn(5) for _ in range(3)] == [False, False, True]


def beat(
    index: int, env_steps: int, version: int, episode_return: float | None, joined: str = "now"
) -> Heartbeat:
    return Heartbeat(
        process_id=ProcessId(Role.ACTOR, index),
        life=f"life of {index}",
        pid=1,
        host="here",
        joined=joined,
        state="acting",
        counts=Counts(env_steps=env_steps, episodes=env_steps // 10),
        episode_return=episode_return,
        weights_version=version,
    )


def test_updates_are_counted_on_from_the_first_call_that_was_made() -> None:
    """It compiles, for as long as it takes; later, to be asked for none is to go on, too."""
    work = StallDetector()
    learner = SimpleNamespace(metrics=None)

    def run(_: int) -> int:
        learner.metrics = "some"
        return 5

    learner.run = run
    session = SimpleNamespace(
        config=tiny(),
        ratio=FarRatio(Replay(3, 9, 2), None, tiny().learner),
        learner=learner,
        _count=lambda _: None,
        _work=work,
    )  # type: ignore[arg-type]
    counts = []
    for _ in range(3):
        JobSession.learn(session)  # type: ignore[arg-type]
        counts.append(dict(work._counts))
    assert counts == [{}, {"updates": 1}, {"updates": 2}]


def test_actors_elsewhere_are_counted_together_the_dead_included() -> None:
    roster = Roster("now", dead_after_seconds=100)
    roster.start_from(Counts(env_steps=1_000, episodes=5))
    actors = FarActors(roster)
    assert (actors.env_steps, actors.recent_return, actors.weights_version) == (1_000, None, 0)
    roster.add(beat(0, 100, 40, 20.0))
    roster.add(beat(1, 50, 30, None))
    roster.add(beat(2, 70, 10, 900.0, joined="a learner before"))
    assert (actors.env_steps, actors.episodes) == (1_150, 20)
    assert (actors.recent_return, actors.weights_version) == (20.0, 30)
    silent = FarActors(Roster("now", dead_after_seconds=0, counts=roster.counts()))
    assert (silent.env_steps, silent.weights_version) == (1_150, 0)


@pytest.mark.parametrize("backend", ["reverb", "in_graph"])
def test_what_a_job_saved_goes_on_in_one_process(tmp_path: Path, backend: str) -> None:
    """Its actors' episodes and its replay were elsewhere: both begin anew, everything else goes on."""
    run, keys = tmp_path / "run", f"replay.backend={backend}"
    train.train(tiny(keys, "stop.env_steps=600"), run)
    saved = latest(run)
    of_a_job = {"learner": saved.arrays("learner"), "actor": {}, "writer": {}, "replay": {}}
    CheckpointManager(run / "checkpoints").save(saved.counters, of_a_job, lambda folder: None)
    said: list[str] = []
    summary = train.train(tiny(keys, "stop.env_steps=1_200"), run, say=said.append)
    assert f"resumed at {saved.counters.env_steps:,} environment steps" in said[0]
    assert said[0].endswith(
        "0 transitions in replay; its actors and its replay were processes of their own: both start afresh"
    )
    assert summary.env_steps >= 1_200
    assert summary.episodes > saved.counters.episodes
    # Nothing is owed for the hundred transitions that fill the table anew.
    owed = (summary.env_steps - saved.counters.env_steps - 100) / 4
    assert owed - 15 <= summary.train_steps - saved.counters.train_steps <= owed + 1


def test_a_learner_says_where_it_goes_on_and_of_a_new_run_nothing(tmp_path: Path) -> None:
    run, replay = RunDir(tmp_path), SimpleNamespace(size=lambda: 700)
    assert _resumed(run, None, replay) == ""  # type: ignore[arg-type]
    run.metrics_file.touch()
    assert _resumed(run, None, replay) == BEGINS_ANEW  # type: ignore[arg-type]
    CheckpointManager(run.checkpoints).save(Counters(env_steps=1_200, train_steps=250), {}, lambda _: None)
    said = _resumed(run, latest(run.path), replay)  # type: ignore[arg-type]
    assert said.startswith("resumed at 1,200 environment steps and 250 updates (checkpoint ")
    assert said.endswith(" old), 700 transitions in replay")
