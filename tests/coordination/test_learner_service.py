"""What the learner answers those who call it: whom it refuses, how it says that the job is over, and how it stands."""

from contextlib import closing
from types import SimpleNamespace

import pytest

from tests.support.threaded_jobs import ACTOR, FAST, Learner, learner, membership
from tests.support.tiny_runs import tiny
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.coordination import learner_service as control_module
from tfdqn.coordination.membership import Membership
from tfdqn.coordination.messages import EvaluatorReport, Hello, Inspection, Nothing, Phase, Welcome
from tfdqn.coordination.rpc import Caller, RefusedError
from tfdqn.errors import ConfigError

pytestmark = pytest.mark.usefixtures("beats")


def test_another_configuration_is_refused_by_its_keys(there: Learner) -> None:
    other = tiny(*FAST, "agent.n_step=3", "task.id=Acrobot-v1")
    with closing(membership(there.address, other)) as one, pytest.raises(ConfigError) as error:
        one.join()
    assert str(error.value) == (
        'learner 0 refuses actor 1: its configuration is not the learner\'s: task.id = "Acrobot-v1" where the '
        'learner has "CartPole-v1"; agent.n_step = 3 where the learner has 1'
    )


def test_a_strangers_heartbeats_take_nobodys_place(there: Learner, config: Config) -> None:
    """Whatever it calls itself, and before anybody has refused it."""
    with closing(membership(there.address, config)) as one:
        one.join()
        one.set_state("acting")
        until(lambda: there.service.roster.present(Role.ACTOR), "a heartbeat")
        stranger = membership(there.address, tiny(*FAST, "agent.n_step=3"))
        until(lambda: stranger._is_refused, "a refusal")
        assert [each.heartbeat.life for each in there.service.roster.status()] == [one.life]
        stranger.close()


@pytest.mark.parametrize("name", [ProcessId(Role.ACTOR, 8), ProcessId(Role.REPLAY_SERVER), LEARNER], ids=str)
def test_who_has_no_part_in_the_learners_job_is_refused(there: Learner, config: Config, name: ProcessId) -> None:
    with closing(Membership(name, Topology(learner=there.address), config, print)) as one:
        until(lambda: one._is_refused, "a refusal")
        with pytest.raises(ConfigError) as error:
            one.join()
    has = {Role.ACTOR: "8 actors", Role.REPLAY_SERVER: "no replay server", Role.LEARNER: "1 learner"}
    assert str(error.value) == (
        f"learner 0 refuses {name}: its cluster is not the learner's, which has {has[name.role]}"
    )
    assert there.service.roster.status() == ()


def test_who_has_joined_hears_of_a_learner_with_another_configuration(there: Learner, config: Config) -> None:
    with closing(membership(there.address, config)) as one:
        one.join()
        there.service.close()
        there.config = tiny(*FAST, "agent.n_step=3")
        there.begin()
        until(lambda: one._is_refused, "a refusal")
        with pytest.raises(ConfigError, match=r"agent\.n_step = 1 where the learner has 3"):
            one.phase_now()


def test_a_report_for_a_life_of_the_learner_before_is_not_taken_for_this_ones(there: Learner) -> None:
    taken = list[EvaluatorReport]()
    there.service.on_evaluated = taken.append
    with closing(Caller(there.address)) as caller:
        for life in ("another", there.service.life):
            caller("evaluated", EvaluatorReport(joined=life, best_return=20.0), Nothing, PATIENCE_SECONDS)
    assert [each.joined for each in taken] == [there.service.life]


def test_of_many_keys_that_differ_a_few_are_named(there: Learner) -> None:
    keys = [
        "checkpoint.keep=7",
        "agent.n_step=3",
        "seed=5",
        "stop.env_steps=7000",
        "evaluation.episodes=9",
        "learner.batch_size=4",
    ]
    with closing(membership(there.address, tiny(*FAST, *keys))) as one, pytest.raises(ConfigError) as error:
        one.join()
    assert str(error.value).endswith("; and 1 more")
    assert str(error.value).count("where the learner has") == 5


@pytest.mark.parametrize("text", ["", "[agent]\nn_step = 0", "no TOML", "[" * 10_000, "seed = 1\nother = 2"])
def test_a_text_that_is_no_configuration_is_refused(there: Learner, text: str) -> None:
    with closing(Caller(there.address)) as caller, pytest.raises(RefusedError):
        caller("hello", Hello(process_id=ACTOR, config=text), Welcome, 60)


def test_the_end_is_heard_by_all_who_live_and_nobody_waits_for_the_dead(
    there: Learner, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "_SECONDS_TO_HEAR_IT_IS_OVER", 60.0)
    settings = tiny(*FAST, "health.dead_after_seconds=0.5")
    with (
        learner(settings, {}) as mortal,
        closing(membership(mortal.address, settings)) as one,
        closing(Membership(ProcessId(Role.ACTOR, 0), Topology(learner=mortal.address), settings, print)) as dead,
    ):
        one.join(), dead.join()
        dead._closed.set()
        dead._thread.join(PATIENCE_SECONDS)  # it tells nothing more
        until(lambda: len(mortal.service.roster.present(Role.ACTOR)) == 1, "a death")
        mortal.service.end()
        until(lambda: one.phase() == Phase.OVER, "the end")
        assert dead.phase() == Phase.TRAINING


def test_how_the_job_stands_can_be_asked_when_the_learner_knows(there: Learner, config: Config) -> None:
    with closing(membership(there.address, config)) as one:
        with pytest.raises(RefusedError, match="starting"):
            one.call("inspect", Nothing(), Inspection, 60)
        inspection = Inspection(
            phase=Phase.TRAINING,
            state="learning",
            env_steps=5,
            train_steps=1,
            episodes=1,
            seconds=2.0,
            weights_version=1,
            updates_per_second=3.0,
            best_return=None,
            processes=there.service.roster.status(),
        )
        there.service.inspection = lambda: inspection
        assert one.call("inspect", Nothing(), Inspection, 60) == inspection


def test_time_in_which_the_learner_was_stopped_is_no_silence_of_the_others(
    there: Learner, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would begin again from its last checkpoint, though nobody is lost."""
    now = [100.0]
    monkeypatch.setattr("tfdqn.system.interval.time", SimpleNamespace(monotonic=lambda: now[0]))
    there.service.close()
    roster = there.begin().roster
    with closing(membership(there.address, config)) as one:
        one.join()
        until(lambda: roster.present(Role.ACTOR), "a heartbeat")
    now[0] += 100 * config.health.dead_after_seconds
    assert roster.present(Role.ACTOR) and not roster.lost([ACTOR])
    for _ in range(6):
        assert roster.status()
        now[0] += config.health.dead_after_seconds / 5
    assert roster.lost([ACTOR]) == {ACTOR: "actor 1 has been silent for 7 s"}


def test_who_asks_how_it_stands_hears_whether_it_starts_or_has_finished_already(there: Learner) -> None:
    with closing(Caller(there.address)) as caller:
        for phase, why in ((Phase.TRAINING, "the learner is starting"), (Phase.OVER, "the run has finished already")):
            there.service.phase = phase
            with pytest.raises(RefusedError, match=f"^{why}$"):
                caller("inspect", Nothing(), Inspection, PATIENCE_SECONDS)
