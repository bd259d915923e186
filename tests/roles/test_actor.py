"""The actor's process: it fills replay with what it counts, as the learner's weights and the job's end say."""

from contextlib import closing
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.support.actor_jobs import FREE, HELD, KEYS, Job, job_of
from tests.support.threaded_jobs import stored
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.acting.central_inference import Inference
from tfdqn.acting.exploration import Explorer
from tfdqn.acting.factory import make_q_function
from tfdqn.acting.policy import Policy
from tfdqn.coordination.messages import Counts, Heartbeat, Phase
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.errors import ConfigError, TaskError
from tfdqn.replay.reverb.remote_writer import HELD_BACK
from tfdqn.roles import actor as actor_role
from tfdqn.task_spec import discrete
from tfdqn.tasks.batched_task import BatchedTask


def test_it_writes_what_it_counts_and_tells_how_it_stands(free: Job) -> None:
    with free.actor() as actor:
        free.until_acted(actor, 500)
        until(lambda: free.state() == "acting" and acted_episodes(free), "episodes")  # a slow server holds it back
        heartbeat = acted_episodes(free)
        assert heartbeat is not None
        assert heartbeat.weights_version == 0
        assert heartbeat.episode_return == heartbeat.episode_length > 5  # CartPole's reward is 1 a step
        assert actor.ends_well() and actor.is_over is False
    counts, blocks = free.counts(), stored(free.client)
    assert counts.episodes > 10
    # Of n_step 1 each step is a transition: all are in the table but those of a block that is not full.
    assert counts.env_steps - 4 < 4 * blocks <= counts.env_steps


def test_weights_are_taken_as_they_come(free: Job) -> None:
    with free.actor() as actor:
        free.until_acted(actor, 100)
        free.learner.publish(50, free.learner.board.get().weights)
        until(lambda: acts_with(free, 50), "new weights")


def test_two_actors_have_rungs_and_draws_of_their_own(free: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Policy] = []
    initialise = Policy.__init__

    def noted(self: Policy, *arguments, **named) -> None:  # type: ignore[no-untyped-def]
        initialise(self, *arguments, **named)
        made.append(self)

    monkeypatch.setattr(Policy, "__init__", noted)
    with free.actor(0) as one, free.actor(1) as other:
        free.until_acted(one, 200)
        until(lambda: free.state(0) == free.state(1) == "acting", "both")
        assert one.error is other.error is None
    rungs = sorted(tuple(policy.explorer.exponents) for policy in made)
    np.testing.assert_allclose(np.concatenate(rungs), 1 + 7 * np.arange(8) / 7)


def test_exploration_fades_by_the_steps_of_all(free: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    choose = Explorer.choose
    monkeypatch.setattr(
        Explorer,
        "choose",
        lambda self, q, legal, rng, steps: (seen.append(steps), choose(self, q, legal, rng, steps))[1],
    )
    free.learner.service.roster.start_from(Counts(env_steps=5000))
    with free.actor() as actor:
        free.until_acted(actor, 5100)
    assert seen[0] == 5000
    assert all(later >= earlier for earlier, later in pairwise(seen))


def test_it_waits_until_a_resumed_learner_knows_how_far_the_job_is(tmp_path: Path) -> None:
    """Else it would explore as at the beginning, and act beyond the end, until its next heartbeat is answered."""
    config = tiny(*KEYS, "health.beat_seconds=0.3", "learner.updates_per_call=1000", "stop.env_steps=6000")
    with job_of(config, tmp_path) as job:
        there = job.learner
        given, there.board = there.board.get(), WeightsBoard()
        there.service.close()
        service = there.begin()
        with job.actor() as actor:
            until(lambda: job.state().startswith("waiting for the "), "waiting")
            service.roster.start_from(Counts(env_steps=5000))
            there.board.put(given)
            until(lambda: job.state() == "done acting" or actor.error, "its end of acting")
            until(lambda: job.counts().env_steps >= 6000 or actor.error, "its last counts")
            assert job.counts().env_steps < 6000 + 4
            assert actor.ends_well()


def test_an_actor_that_starts_again_does_not_repeat_itself(free: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    reset, make_actor = BatchedTask.reset, actor_role.make_actor
    monkeypatch.setattr(BatchedTask, "reset", lambda self, seed: (seeds.append(seed), reset(self, seed))[1])
    monkeypatch.setattr(actor_role, "make_actor", lambda *given: (seeds.append(given[5]), make_actor(*given))[1])
    for _ in range(2):
        with free.actor() as actor:
            until(lambda: free.state() == "acting" or actor.error, "acting")
            assert actor.ends_well()
    assert len(seeds) == len(set(seeds)) == 4


def test_it_stops_at_the_jobs_last_step_and_ends_with_the_job(tmp_path: Path) -> None:
    config = tiny(*KEYS, "learner.updates_per_call=200", "stop.env_steps=1000")
    with job_of(config, tmp_path) as job:
        with job.actor() as actor:
            until(lambda: job.state() == "done acting" or actor.error, "its end of acting")
            until(lambda: job.counts().env_steps >= 1000 or actor.error, "its last counts")
            assert job.counts().env_steps < 1000 + 4
            job.learner.service.phase = Phase.FINISHING
            until(lambda: job.state() == "done acting", "patience")
            job.learner.service.phase = Phase.OVER
            actor.ended()
        assert job.counts().env_steps - 4 < 4 * stored(job.client) <= job.counts().env_steps


def test_alone_of_two_it_takes_all_steps_without_waiting_for_heartbeats(tmp_path: Path) -> None:
    """It takes half of what is left, and asks what is left then, not once a heartbeat."""
    seldom = ("health.beat_seconds=60", "health.dead_after_seconds=120")
    config = tiny(*KEYS, *seldom, "learner.updates_per_call=200", "stop.env_steps=1000")
    with job_of(config, tmp_path) as job, job.actor() as actor:
        until(lambda: job.counts().env_steps >= 1000 or actor.error, "its last counts")
        assert job.counts().env_steps < 1000 + 4
        assert actor.ends_well()


def test_when_the_job_finishes_it_stops_at_once_and_beats_on(held: Job) -> None:
    with held.actor() as actor:
        until(lambda: held.state() == HELD_BACK or actor.error, "being held back")
        held.learner.service.phase = Phase.FINISHING
        until(lambda: held.state() == "done acting", "its end of acting")
        held.learner.service.phase = Phase.OVER
        actor.ended()
        assert actor.is_over is True


def test_another_configuration_or_another_task_is_refused(free: Job) -> None:
    with free.actor(config=HELD) as actor, pytest.raises(ConfigError, match="configuration is not the learner"):
        actor.ended()
    there = free.learner
    there.service.task_spec = msgspec.structs.replace(there.task_spec, actions=discrete(3))
    with free.actor() as actor, pytest.raises(TaskError, match=r"actions\.counts"):
        actor.ended()


def test_where_the_learner_computes_its_values_it_acts_as_ever_and_waits_while_there_is_none(tmp_path: Path) -> None:
    config = msgspec.structs.replace(FREE, acting=msgspec.structs.replace(FREE.acting, inference="central"))
    with job_of(config, tmp_path) as job:
        there = job.learner
        q_function = make_q_function(config, there.task_spec)
        with closing(Inference(q_function, there.task_spec, there.board, 64, np.random.default_rng(0))) as inference:
            there.service.q_values = inference
            with job.actor(0) as actor, job.actor(1) as other:
                until(lambda: job.state(0) == job.state(1) == "acting" or actor.error or other.error, "both")
                job.until_acted(actor, 500)
                there.publish(50, there.board.get().weights)
                until(lambda: acts_with(job, 50), "new weights")
                there.service.close()
                service = there.begin()  # which computes nothing yet
                until(lambda: job.state(0).startswith("waiting for Q-values"), "waiting")
                service.q_values = inference
                job.until_acted(actor, job.counts().env_steps + 200)
                assert actor.ends_well() and other.ends_well()


def acted_episodes(job: Job) -> Heartbeat | None:
    """A heartbeat that tells of some."""
    heartbeat = job.heartbeat()
    return None if heartbeat is None or heartbeat.episode_return is None else heartbeat


def acts_with(job: Job, version: int) -> bool:
    heartbeat = job.heartbeat()
    return heartbeat is not None and heartbeat.weights_version == version
