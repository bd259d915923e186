"""A process's tie to the learner: it joins, gives its heartbeat and is counted, also where the learner is replaced."""

import re
import socket
import threading
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from tests.support.threaded_jobs import ACTOR, FAST, Learner, free_address, learner, membership
from tests.support.tiny_runs import tiny
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.cluster.roles import Role
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.coordination import membership as membership_module
from tfdqn.coordination import stall_detector
from tfdqn.coordination.heartbeat_files import heartbeat_file, read_heartbeat
from tfdqn.coordination.membership import LearnerRestartedError, Membership, seconds_between_calls
from tfdqn.coordination.messages import Counts, Phase
from tfdqn.errors import PeerLostError

pytestmark = pytest.mark.usefixtures("beats")


class Figures:
    """Counts that a test sets."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self) -> dict:
        counts = Counts(env_steps=self.steps, episodes=self.steps // 10)
        return {"counts": counts, "steps_per_second": 7.5, "episode_return": 3.0, "weights_version": 12}


def test_who_joins_is_welcomed_and_knows_at_once_how_the_job_stands(there: Learner, config: Config) -> None:
    there.service.roster.start_from(Counts(env_steps=400))
    with closing(membership(there.address, config)) as one:
        welcome = one.join()
        assert welcome is not None
        assert (welcome.life, welcome.task_spec) == (there.service.life, there.task_spec)
        assert one.joined == welcome.life
        assert one.env_steps(0) == 400
        assert one.phase() == Phase.TRAINING
        assert one.env_steps(0) == 400


def test_heartbeats_tell_figures_and_what_it_does(there: Learner, config: Config) -> None:
    with closing(membership(there.address, config)) as one:
        one.join()
        one.set_state("acting")
        one.report_with(Figures())
        until(lambda: there.service.roster.status()[0].heartbeat.steps_per_second, "figures")
        heartbeat = there.service.roster.status()[0].heartbeat
        assert (heartbeat.process_id, heartbeat.state, heartbeat.episode_return, heartbeat.weights_version) == (
            ACTOR,
            "acting",
            3.0,
            12,
        )
        assert heartbeat.life == one.life


def test_the_jobs_steps_are_those_heard_and_ones_own_since(there: Learner, config: Config) -> None:
    figures = Figures()
    with closing(membership(there.address, config)) as one:
        one.report_with(figures)
        one.join()
        figures.steps = 100
        there.service.roster.start_from(Counts(env_steps=1000))
        until(lambda: one.env_steps(130, alike=4) == 1220, "the others' steps, and that one's own are heard")
        assert one.env_steps(100) == 1100
        assert one.env_steps(130) == 1130


def test_who_ends_with_the_learner_waits_until_it_is_heard_no_more(there: Learner, config: Config) -> None:
    with closing(membership(there.address, config)) as one:
        one._reply_seconds = PATIENCE_SECONDS  # no reply of one that lives is late
        one.join()
        waiting = threading.Thread(target=one.wait_while_heard, args=(60.0,), daemon=True)
        waiting.start()
        waiting.join(1.0)
        assert waiting.is_alive()
        there.service.close()
        waiting.join(PATIENCE_SECONDS)
        assert not waiting.is_alive()


def test_the_last_heartbeat_tells_what_was_counted_to_the_end(
    there: Learner, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_REPLY_SECONDS", "_LAST_REPLY_SECONDS"):
        monkeypatch.setattr(membership_module, name, PATIENCE_SECONDS)
    figures = Figures()
    one = membership(there.address, config)
    one.report_with(figures)
    one.join()
    figures.steps = 77
    one.close()
    assert there.service.roster.counts() == Counts(env_steps=77, episodes=7)


def test_another_life_of_the_learner_is_noticed_and_told_only_what_is_new(there: Learner, config: Config) -> None:
    figures = Figures()
    with closing(membership(there.address, config)) as one:
        one.report_with(figures)
        one.join()
        figures.steps = 100
        until(lambda: there.service.roster.counts().env_steps == 100, "counts")
        until(lambda: one.env_steps(100) == 100, "an answer")
        assert one.learner_has_begun and one.start is not None
        there.service.close()
        figures.steps = 130  # while nobody listens
        there.begin().roster.start_from(Counts(env_steps=90))  # the checkpoint missed ten of them

        def is_noticed() -> bool:
            try:
                one.phase()
            except LearnerRestartedError:
                return True
            return False

        until(is_noticed, "another life")
        assert not one.learner_has_begun and one.start is None  # of the one that it has joined
        assert there.service.roster.counts().env_steps == 90  # it has not joined yet
        one.join()
        until(lambda: there.service.roster.counts().env_steps == 90 + 30, "counts of what is new")
        figures.steps = 150
        until(lambda: there.service.roster.counts().env_steps == 90 + 50, "further counts")
        assert one.env_steps(150) == 140


def test_joining_the_same_life_again_loses_no_count(there: Learner, config: Config) -> None:
    figures = Figures()
    with closing(membership(there.address, config)) as one:
        one.report_with(figures)
        one.join()
        figures.steps = 100
        until(lambda: one.env_steps(100) == 100, "an answer")
        one.join()
        figures.steps = 120
        until(lambda: there.service.roster.counts().env_steps == 120, "all counts")


def test_one_call_joins_the_learner_that_has_taken_its_place(there: Learner, config: Config) -> None:
    with closing(membership(there.address, config)) as one:
        one.join()
        there.service.close()
        life = there.begin().life
        until(lambda: one.phase_now() == Phase.TRAINING and one.joined == life, "the new life")
        assert one.phase_now(lambda: True) is None


CHECK = "check that learner 0 runs there, that this host reaches it, and that the run has not finished"


def test_waiting_for_a_learner_ends_with_patience_or_at_the_users_wish(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patience ends as soon as it has said that it waits: by a clock of the test's."""
    now, where, said = [100.0], free_address(), list[str]()
    monkeypatch.setattr(membership_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def say(line: str) -> None:
        said.append(line)
        now[0] += config.health.patience_seconds + 1

    with closing(Membership(ACTOR, Topology(learner=where), config, say)) as one:
        with pytest.raises(PeerLostError, match=f"actor 1 gives up; {CHECK}$"):
            one.join()
        assert said == [f"actor 1: waiting for learner 0 at {where}"]
        assert one.join(lambda: True) is None


def test_who_waits_for_a_learner_says_again_where_and_what_to_check(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run may have finished, where this host doesn't see its directory."""
    monkeypatch.setattr("tfdqn.coordination.membership._SAY_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("tfdqn.coordination.membership._RETRY_SECONDS", 0.01)
    where, said = free_address(), list[str]()
    with closing(Membership(ACTOR, Topology(learner=where), config, said.append)) as one:
        assert one.join(lambda: len(said) > 2) is None
    line = f"actor 1: waiting for learner 0 at {where}"
    assert said == [line, *[f"{line}; {CHECK}"] * 2]


def test_who_waits_for_a_learner_whose_host_is_unknown_says_that(config: Config) -> None:
    said: list[str] = []
    with closing(Membership(ACTOR, Topology(learner="nowhere.invalid:1"), config, said.append)) as one:
        assert one.join(lambda: bool(said)) is None
    assert said == ["actor 1: waiting for learner 0 at nowhere.invalid:1: this machine doesn't know its host"]


def test_a_learner_that_falls_silent_is_given_up_in_the_end(there: Learner, config: Config) -> None:
    with closing(membership(there.address, config)) as one:
        one.join()
        assert one.phase() == Phase.TRAINING
        there.service.close()
        one._settings = msgspec.structs.replace(config.health, patience_seconds=0.5)

        def is_given_up() -> bool:
            try:
                one.phase()
            except PeerLostError as error:
                return "has been silent" in str(error)
            return False

        until(is_given_up, "end of patience")


def test_the_heartbeat_file_is_there_until_the_end_whether_or_not_the_learner_answers(
    config: Config, beats: Path
) -> None:
    """The learner is stopped: it accepts connections and says nothing."""
    impatient = tiny(*FAST, "health.dead_after_seconds=0.5")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with closing(membership(f"127.0.0.1:{silent.getsockname()[1]}", impatient)) as one:
            one.set_state("waiting in vain")
            seen: set[float] = set()

            def is_renewed() -> bool:
                heartbeat = read_heartbeat(heartbeat_file(ACTOR))
                if heartbeat is not None and heartbeat.state == "waiting in vain":
                    seen.add(heartbeat.seconds)
                gaps = [later - earlier for earlier, later in pairwise(sorted(seen))]
                return len(gaps) > 2 and min(gaps) < impatient.health.dead_after_seconds

            until(is_renewed, "new heartbeats")
    assert list(beats.iterdir()) == []


def test_a_process_that_can_write_no_heartbeat_file_still_calls_the_learner(
    there: Learner, config: Config, beats: Path
) -> None:
    beats.write_text("a file where the folder should be")
    said: list[str] = []
    topology = Topology(learner=there.address)
    with closing(Membership(ACTOR, topology, config, said.append)) as one:
        assert one.join() is not None
        until(lambda: there.service.roster.present(Role.ACTOR), "a heartbeat")
        one._send(5.0)
    assert said == [
        f"warning: actor 1: no heartbeat can be written to {beats / 'actor-1.json'} (File exists): "
        "`tfdqn health` will take it for dead"
    ]


def test_who_says_no_more_that_its_work_goes_on_is_ended(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls go on: no other process would see that it hangs."""
    ends: list[str] = []
    monkeypatch.setattr(stall_detector, "end_stuck", lambda line, _: ends.append(line))
    hasty = tiny(*FAST, "health.stuck_after_seconds=1")
    with learner(hasty, {}) as there, closing(membership(there.address, hasty)) as one:
        one.join()
        one.set_state("acting")
        one.work.record_progress()
        until(lambda: ends, "its end")
    assert re.fullmatch(r"actor 1 has made no progress for \d+ s \(acting\): ended, to be started again", ends[0])


def test_a_heart_that_fails_is_told_of(there: Learner, config: Config) -> None:
    with closing(membership(there.address, config)) as one:
        one.join()
        one.report_with(lambda: {"no_such_field": 1})

        def has_failed() -> bool:
            try:
                one.phase()
            except RuntimeError:
                return True
            return False

        until(has_failed, "the failure")


def test_where_a_thousand_ask_each_asks_less_often_but_never_so_seldom_as_to_seem_dead() -> None:
    few, many = tiny("acting.actors=10"), tiny("acting.actors=1000")
    assert [seconds_between_calls(each, few) for each in (0.1, 1.0)] == [0.1, 1.0]
    assert [seconds_between_calls(each, many) for each in (0.1, 1.0, 5.0)] == [2.0, 2.0, 5.0]
    hasty = tiny("acting.actors=1000", "health.dead_after_seconds=2.0")
    assert seconds_between_calls(0.1, hasty) == 0.5


def test_replies_are_awaited_for_less_than_death() -> None:
    with closing(membership(free_address(), tiny(*FAST, "health.dead_after_seconds=2.0"))) as one:
        assert one._reply_seconds == 1.0
    assert Config().health.dead_after_seconds >= membership_module._REPLY_SECONDS
