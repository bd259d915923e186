"""The governor between acting and learning: never stuck, never far from the ratio."""

import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdqn.replay.replay_ratio import Balance, ReplayRatio

DEADLINE_SECONDS = 60.0


def act(ratio: ReplayRatio, env_steps: int) -> None:
    """One step of so many environments, none of which was reset."""
    assert ratio.begin_to_act(env_steps)
    ratio.acted(env_steps, env_steps, env_steps)


@settings(max_examples=200)
@given(
    min_size=st.integers(1, 200),
    env_steps_per_update=st.floats(0.05, 20),
    updates_per_call=st.integers(1, 60),
    num_envs=st.integers(1, 64),
    choices=st.lists(st.sampled_from(["begin", "end", "learn"]), min_size=1, max_size=300),
)
def test_one_side_can_always_go_on_and_neither_drifts(
    min_size: int, env_steps_per_update: float, updates_per_call: int, num_envs: int, choices: list[str]
) -> None:
    """However many actors there are: each step that begins while others are under way is another one's."""
    ratio, under_way = ReplayRatio(min_size, env_steps_per_update, updates_per_call), 0
    for preferred in choices:
        assert ratio.may_act() or ratio.may_learn() or under_way
        possible = {"begin": ratio.may_act(), "end": under_way > 0, "learn": ratio.may_learn()}
        choice = preferred if possible[preferred] else next(name for name, may in possible.items() if may)
        if choice == "begin":
            assert ratio.begin_to_act(num_envs)
            under_way += 1
        elif choice == "end":
            ratio.acted(num_envs, num_envs, num_envs)
            under_way -= 1
        else:
            ratio.learned(updates_per_call)
        due = max(ratio.transitions - min_size, 0) / env_steps_per_update
        ahead = due - ratio.train_steps
        assert -1e-6 <= ahead <= 2 * updates_per_call + 1 + num_envs / env_steps_per_update
    assert ratio.transitions == ratio.env_steps


def test_updates_are_owed_for_transitions_beyond_the_first_min_size() -> None:
    ratio = ReplayRatio(100, 10, 5)
    act(ratio, 100)
    assert ratio.updates_owed() == 0
    act(ratio, 49)  # 49 beyond: four updates, one short of a call
    assert (ratio.updates_owed(), ratio.may_learn()) == (4, False)
    act(ratio, 1)
    assert (ratio.updates_owed(), ratio.may_learn()) == (5, True)
    assert ratio.may_act()
    act(ratio, 50)  # ten owed: two calls
    assert not ratio.may_act()
    ratio.learned(5)
    assert ratio.may_act()


def test_fewer_than_one_environment_step_per_update_is_possible() -> None:
    ratio = ReplayRatio(10, 0.25, 4)
    act(ratio, 11)
    assert ratio.updates_owed() == 4


def test_a_resumed_run_goes_on_with_its_counts() -> None:
    ratio = ReplayRatio(100, 10, 5, 1200, Balance(1100, 0, 95), 1199)
    assert ratio.updates_owed() == 5
    assert not ratio.acting_is_done()
    act(ratio, 1)
    assert ratio.acting_is_done()


def test_steps_under_way_count_as_taken_until_it_is_known_what_came_of_them() -> None:
    ratio = ReplayRatio(1, 1, 1)
    assert ratio.begin_to_act(2)
    assert ratio.begin_to_act(2)  # with the first, one update would be owed: a call's, not two
    assert not ratio.begin_to_act(2)
    assert not ratio.may_learn()
    ratio.acted(2, 0, 0)  # both environments were only reset
    assert ratio.begin_to_act(2)


def test_acting_ends_within_a_step_of_the_last_environment_step() -> None:
    ratio = ReplayRatio(1000, 1, 1, 10)
    assert ratio.begin_to_act(4) and ratio.begin_to_act(4) and ratio.begin_to_act(4)
    assert not ratio.begin_to_act(4)  # twelve are under way
    for env_steps in (4, 1, 4):
        assert not ratio.acting_is_done()
        ratio.acted(4, env_steps, env_steps)
    assert ratio.begin_to_act(4)  # resets took part of them: one is left
    ratio.acted(4, 4, 4)
    assert ratio.acting_is_done() and not ratio.may_act()


def test_a_side_that_waits_is_told_in_time_that_it_may_not() -> None:
    ratio = ReplayRatio(1, 1, 1)
    assert not ratio.wait_to_learn(0.01)
    act(ratio, 3)
    assert ratio.wait_to_learn(0.01)
    assert not ratio.begin_to_act(1, 0.01)


def test_all_actors_are_woken_for_whom_there_is_room() -> None:
    """Nobody ends a step meanwhile, which would wake the next."""
    ratio, asking, begun = ReplayRatio(1, 1, 1), threading.Barrier(4), []
    act(ratio, 3)

    def begin() -> None:
        asking.wait(DEADLINE_SECONDS)
        begun.append(ratio.begin_to_act(1, DEADLINE_SECONDS))

    waiting = [threading.Thread(target=begin, daemon=True) for _ in range(3)]
    for thread in waiting:
        thread.start()
    deadline = time.monotonic() + DEADLINE_SECONDS
    asking.wait(DEADLINE_SECONDS)
    time.sleep(0.1)  # until they wait; one that comes later need not be woken
    assert begun == []
    ratio.learned(2)  # room for two: each will owe an update, and a third would be beyond two calls
    while len(begun) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert begun == [True, True]
    assert time.monotonic() < deadline
    ratio.learned(1)
    for thread in waiting:
        thread.join(DEADLINE_SECONDS)
    assert begun == [True] * 3


@pytest.mark.parametrize("actors", [1, 3])
@pytest.mark.parametrize(("num_envs", "updates_per_call"), [(1, 1), (16, 50), (7, 3)])
def test_threads_hold_the_ratio_count_exactly_and_wake_one_another(
    num_envs: int, updates_per_call: int, actors: int
) -> None:
    """A lost wake-up would show as a wait that succeeds only when its time is over."""
    total, patience_seconds = 2000, 30.0
    ratio = ReplayRatio(64, 2.0, updates_per_call, total)
    taken, late, finished = [0] * actors, [], threading.Event()

    def timely(wait: Callable[[float], bool], who: str) -> bool:
        start = time.monotonic()
        may = wait(patience_seconds)
        if may and time.monotonic() - start >= patience_seconds:
            late.append(who)
        return may

    def learn() -> None:
        while not finished.is_set() or ratio.may_learn():
            if timely(ratio.wait_to_learn, "learner"):
                ratio.learned(updates_per_call)

    def keep_acting(actor: int) -> None:
        while not ratio.acting_is_done():
            if timely(partial(ratio.begin_to_act, num_envs), f"actor {actor}"):
                taken[actor] += num_envs
                ratio.acted(num_envs, num_envs, num_envs)

    acting = [threading.Thread(target=keep_acting, args=(i,), daemon=True) for i in range(actors)]
    learning = threading.Thread(target=learn, daemon=True)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in [*acting, learning]:
            thread.start()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not ratio.acting_is_done() and time.monotonic() < deadline:
            time.sleep(0.001)
        finished.set()
        while ratio.may_learn() and time.monotonic() < deadline:
            time.sleep(0.001)
    finally:
        sys.setswitchinterval(interval)
    assert late == []  # who has nothing left to do waits until its time is over, and is not waited for
    assert sum(taken) == ratio.transitions == ratio.env_steps
    assert total <= ratio.env_steps < total + num_envs
    assert not ratio.may_learn()
    assert 0 <= (ratio.transitions - 64) / 2 - ratio.train_steps < 2 * updates_per_call
