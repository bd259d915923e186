"""The governor between acting and learning: never stuck, never far from the ratio."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdqn.replay_ratio import ReplayRatio

DEADLINE_SECONDS = 30.0


@settings(max_examples=200, deadline=None)
@given(
    min_size=st.integers(1, 200),
    env_steps_per_update=st.floats(0.05, 20),
    updates_per_call=st.integers(1, 60),
    num_envs=st.integers(1, 64),
    choices=st.lists(st.booleans(), min_size=1, max_size=150),
)
def test_one_side_can_always_go_on_and_neither_drifts(
    min_size: int, env_steps_per_update: float, updates_per_call: int, num_envs: int, choices: list[bool]
) -> None:
    ratio = ReplayRatio(min_size, env_steps_per_update, updates_per_call)
    for prefers_acting in choices:
        assert ratio.may_act() or ratio.may_learn()
        if ratio.may_act() and (prefers_acting or not ratio.may_learn()):
            ratio.acted(num_envs)
        else:
            ratio.learned(updates_per_call)
        due = max(ratio.transitions - min_size, 0) / env_steps_per_update
        ahead = due - ratio.train_steps
        assert -1e-6 <= ahead <= 2 * updates_per_call + 1 + num_envs / env_steps_per_update


def test_updates_are_owed_for_transitions_beyond_the_first_min_size() -> None:
    ratio = ReplayRatio(100, 10, 5)
    ratio.acted(100)
    assert ratio.updates_owed() == 0
    ratio.acted(49)  # 49 beyond: four updates, one short of a call
    assert (ratio.updates_owed(), ratio.may_learn()) == (4, False)
    ratio.acted(1)
    assert (ratio.updates_owed(), ratio.may_learn()) == (5, True)
    assert ratio.may_act()
    ratio.acted(50)  # ten owed: two calls
    assert not ratio.may_act()
    ratio.learned(5)
    assert ratio.may_act()


def test_fewer_than_one_environment_step_per_update_is_possible() -> None:
    ratio = ReplayRatio(10, 0.25, 4)
    ratio.acted(11)
    assert ratio.updates_owed() == 4


def test_a_resumed_run_goes_on_with_its_counts() -> None:
    ratio = ReplayRatio(100, 10, 5, transitions=1100, train_steps=95)
    assert ratio.updates_owed() == 5


def test_a_side_that_waits_is_told_in_time_that_it_may_not() -> None:
    ratio = ReplayRatio(1, 1, 1)
    assert not ratio.wait_to_learn(0.01)
    ratio.acted(3)
    assert ratio.wait_to_learn(0.01)
    assert not ratio.wait_to_act(0.01)


@pytest.mark.parametrize(("num_envs", "updates_per_call"), [(1, 1), (16, 50), (7, 3)])
def test_two_threads_hold_the_ratio_and_wake_one_another(num_envs: int, updates_per_call: int) -> None:
    """Waits are long: a lost wake-up would show as one that times out."""
    ratio = ReplayRatio(64, 2.0, updates_per_call)
    total, timeouts = 5000, []

    def learn() -> None:
        while ratio.train_steps + updates_per_call <= (total - 64) / 2:
            if not ratio.wait_to_learn(DEADLINE_SECONDS):
                timeouts.append("learner")
                return
            ratio.learned(updates_per_call)

    learner = threading.Thread(target=learn, daemon=True)
    learner.start()
    while ratio.transitions < total and not timeouts:
        if not ratio.wait_to_act(DEADLINE_SECONDS):
            timeouts.append("actor")
            break
        ratio.acted(num_envs)
    learner.join(DEADLINE_SECONDS)
    assert timeouts == []
    assert not learner.is_alive()
    assert abs((ratio.transitions - 64) / 2 - ratio.train_steps) <= 2 * updates_per_call + num_envs
