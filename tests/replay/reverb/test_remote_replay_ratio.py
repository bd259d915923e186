"""What a learner owes whose replay is elsewhere: asked for seldom, and nothing while that is silent."""

from tests.support.tiny_runs import tiny
from tfdqn.replay.replay_ratio import Balance
from tfdqn.replay.reverb.remote_replay import RemoteReplayRatio


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
    ratio = RemoteReplayRatio(replay, Balance(), tiny(), lambda: 0)  # type: ignore[arg-type]
    assert ratio.wait_to_learn(0.0)
    ratio.learned(5)
    assert ratio.wait_to_learn(0.0)
    ratio.learned(5)
    assert (ratio.updates_owed(), replay.polls) == (2, 1)
    assert not ratio.wait_to_learn(0.0)
    assert ratio.wait_to_learn(0.0)
    assert (ratio.updates_owed(), replay.polls) == (8, 3)


def test_while_a_server_is_silent_nothing_is_owed() -> None:
    replay = Replay(-1, -1, 6)
    ratio = RemoteReplayRatio(replay, Balance(), tiny(), lambda: 0)  # type: ignore[arg-type]
    assert [ratio.wait_to_learn(0.0) for _ in range(3)] == [False, False, True]


def test_acting_is_done_once_the_servers_have_counted_the_last_steps() -> None:
    """What they counted before may be short of many updates."""
    config, steps = tiny(), [0]
    ratio = RemoteReplayRatio(Replay(3, 28), Balance(), config, lambda: steps[0])  # type: ignore[arg-type]
    assert not ratio.wait_to_learn(0.0)
    steps[0] = config.stop.env_steps
    assert not ratio.acting_is_done()
    assert ratio.wait_to_learn(0.0) and ratio.acting_is_done() and ratio.updates_owed() == 28
    assert not RemoteReplayRatio(Replay(), Balance(), config, lambda: steps[0] - 1).acting_is_done()  # type: ignore[arg-type]
    # A run that had taken all its steps before.
    assert RemoteReplayRatio(Replay(), Balance(), config, lambda: steps[0]).acting_is_done()  # type: ignore[arg-type]


def test_a_silent_server_has_counted_nothing() -> None:
    config, steps = tiny(), [0]
    ratio = RemoteReplayRatio(Replay(-1, 2), Balance(), config, lambda: steps[0])  # type: ignore[arg-type]
    steps[0] = config.stop.env_steps
    assert not ratio.wait_to_learn(0.0) and not ratio.acting_is_done()
    assert not ratio.wait_to_learn(0.0) and ratio.acting_is_done()


def test_a_thread_that_finds_acting_done_finds_all_that_is_owed() -> None:
    """The learner's main thread asks at any moment, and ends the run once acting is done and too little is owed."""
    config, steps, owed = tiny(), [0], []

    class Watched(RemoteReplayRatio):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if hasattr(self, "_least_earned") and self.acting_is_done():
                owed.append(self.updates_owed())

    replay = Replay(12, 12)
    replay.updates_sampled = lambda: 10.0  # type: ignore[method-assign]
    saved = Balance().with_updates_owed(15, replay.min_size, config.learner)
    ratio = Watched(replay, saved, config, lambda: steps[0])  # type: ignore[arg-type]
    assert ratio.wait_to_learn(0.0)
    ratio.learned(25)
    steps[0] = config.stop.env_steps
    assert not ratio.may_learn() and ratio.wait_to_learn(0.0)
    assert owed == [12] and ratio.updates_owed() == 12
