"""A job as its learner knows it: who counts, what it saves, and how its run goes on in one process."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.parity import local
from tests.support.random_episodes import VECTOR
from tests.support.tiny_runs import latest, policy_weights, tiny
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.coordination.messages import Counts, Heartbeat
from tfdqn.coordination.roster import Roster
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.errors import CheckpointError
from tfdqn.evaluation.evaluator import scores
from tfdqn.records import Evaluation
from tfdqn.storage.best_policy import save_best
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.run_directory import RunDir
from tfdqn.training import call
from tfdqn.training.remote_parts import RemoteActors, RemoteParts
from tfdqn.training.session import Session, start_session


def heartbeat(index: int, env_steps: int, version: int, episode_return: float | None, joined: str = "now") -> Heartbeat:
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


def test_actors_elsewhere_are_counted_together_the_dead_included() -> None:
    now = [0.0]
    roster = Roster("now", dead_after_seconds=100, now=lambda: now[0])
    roster.start_from(Counts(env_steps=1_000, episodes=5))
    actors = RemoteActors(roster)
    assert (roster.counts().env_steps, actors.recent_return, actors.weights_version) == (1_000, None, 0)
    roster.add(heartbeat(0, 100, 40, 20.0))
    roster.add(heartbeat(1, 50, 30, None))
    roster.add(heartbeat(2, 70, 10, 900.0, joined="a learner before"))
    assert (roster.counts().env_steps, actors.episodes) == (1_150, 20)
    assert (actors.recent_return, actors.weights_version) == (20.0, 30)
    now[0] = 100.0  # they have been silent for long
    assert (actors.episodes, actors.recent_return, actors.weights_version) == (20, None, 0)


@pytest.mark.parametrize("backend", ["reverb", "in_graph"])
def test_what_a_job_saved_goes_on_in_one_process(tmp_path: Path, backend: str) -> None:
    """Its actors' episodes and its replay were elsewhere: both begin anew, everything else goes on."""
    run, keys = tmp_path / "run", f"replay.backend={backend}"
    call.train(tiny(keys, "stop.env_steps=600"), run)
    saved = latest(run)
    of_a_job = {"learner": saved.arrays("learner"), "actor": {}, "writer": {}, "replay": {}}
    CheckpointManager(run / "checkpoints").save(saved.counters, of_a_job, lambda folder: None)
    said: list[str] = []
    summary = call.train(tiny(keys, "stop.env_steps=1_200"), run, say=said.append)
    assert f"resumed at {saved.counters.env_steps:,} environment steps" in said[1]
    assert said[1].endswith(
        "0 transitions in replay; its actors and its replay were processes of their own: both start afresh"
    )
    assert summary.env_steps >= 1_200
    assert summary.episodes > saved.counters.episodes
    # Nothing is owed for the hundred transitions that fill the table anew.
    owed = (summary.env_steps - saved.counters.env_steps - 100) / 4
    assert owed - 15 <= summary.train_steps - saved.counters.train_steps <= owed + 1


class Elsewhere:
    """A job's replay and other processes; servers that can't write what they hold."""

    def __init__(self, life: str = "the first life") -> None:
        self.life = life
        self.roster, self.task_spec = Roster("now", dead_after_seconds=100), VECTOR
        self.board = WeightsBoard()
        self.min_size, self.stored = 100, 700

    def save(self) -> None:
        raise CheckpointError("replay server 0 does not answer")

    def clear(self) -> None:
        self.stored = 0

    def number(self) -> int:
        return self.stored

    size = transitions = updates_due = updates_due_unsampled = updates_sampled = number

    def update_priorities(self, priorities: object) -> None:
        pytest.fail("its samples have none")

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, arrays: Mapping[str, Any]) -> None:
        assert not arrays


def test_a_job_saves_what_its_learner_knows_and_goes_on_from_there(tmp_path: Path) -> None:
    """What the others hold is theirs, and theirs to report."""
    run, config, said = RunDir(tmp_path / "run"), tiny(), list[str]()

    def session(there: Elsewhere) -> Session[RemoteParts]:
        chief = SimpleNamespace(make_updater=lambda *_: local(config, VECTOR))
        make_parts = partial(RemoteParts, config, run, there, there, said.append)
        return start_session(config, run, chief, make_parts, said.append)  # type: ignore[arg-type]

    with run.claim(config):
        first = session(there := Elsewhere())
        assert (there.stored, there.start) == (0, there.life)
        assert said == ["replay is emptied: its 700 transitions are of a learner that has left no checkpoint"]
        assert first.parts.emptied == said.pop()
        assert (first.resumed, first.env_steps_before, first.env_steps) == ("", -1, 0)
        first.parts._roster.add(heartbeat(0, 1_200, 0, 20.0))
        first.save(3.0)
        assert said == ["warning: replay server 0 does not answer"]
        saved = latest(run.path)
        assert set(saved.arrays("actor")) == {"environment_restarts"}
        assert not saved.arrays("writer") and not saved.arrays("replay")
        run.metrics_file.touch()
        second = session(there := Elsewhere("a second"))
    assert there.start == "the first life"
    assert second.parts.emptied == second.put_aside == ""
    assert second.resumed.startswith("resumed at 1,200 environment steps and 0 updates (checkpoint ")
    assert second.resumed.endswith(" old), 700 transitions in replay")
    assert (second.env_steps_before, second.env_steps, second.parts.actors.episodes) == (1_200, 1_200, 120)


def test_a_job_that_begins_anew_puts_the_results_of_the_start_before_aside_before_others_learn_of_it(
    tmp_path: Path,
) -> None:
    run, config, said = RunDir(tmp_path / "run"), tiny("stop.return_at_least=490"), list[str]()
    call.train(config, run.path)
    lucky = Evaluation(env_steps=1, train_steps=2, scores=scores(np.full(4, 500.0), np.ones(4)), is_best=True)
    save_best(run.best_weights, policy_weights(run.path, "best"), lucky)
    shutil.rmtree(run.checkpoints)
    there, found = Elsewhere(), list[bool]()
    put = there.board.put
    there.board.put = lambda given: (found.append(run.best_weights.exists()), put(given))[1]  # type: ignore[method-assign]
    chief = SimpleNamespace(make_updater=lambda *_: local(config, VECTOR))
    with run.claim(config):
        make_parts = partial(RemoteParts, config, run, there, there, said.append)
        session = start_session(config, run, chief, make_parts, said.append)  # type: ignore[arg-type]
    assert found == [False] and there.start == there.life
    assert (session.parts.evaluations.best_return, session.reason_to_stop()) == (None, None)
    assert "put aside: best/weights.npz and summary.json to best/superseded-1" in said[-1]
    assert session.put_aside == said[-1]
