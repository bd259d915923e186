"""Many environments step as one: one autoreset rule, true ends, frames, pictures."""

import sys
from collections import Counter

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tests.support.toy_environments import Chain, chain_values
from tfdqn.config import Task
from tfdqn.errors import FaultyTaskError, TaskError
from tfdqn.task_spec import discrete
from tfdqn.tasks.registry import make_task

HERE = "tests.support.toy_environments"


def task(name, num_envs=2, **settings):
    return make_task(Task(id=f"{HERE}:{name}", num_envs=num_envs, **settings))


def zeros(batched):
    return np.zeros(batched.num_envs, np.int32)


def test_cartpole_is_stepped_by_its_own_vector_version():
    with_own = make_task(Task(num_envs=3))
    observation, legal = with_own.reset(seed=1)
    assert type(with_own._envs).__name__ == "CartPoleVectorEnv"
    assert observation["observation"].shape == (3, 4) and legal is None
    step = with_own.step(zeros(with_own))
    assert [array.dtype for array in step[1:5]] == [np.float32, np.bool_, np.bool_, np.bool_]
    assert step.legal_actions is None


@pytest.mark.parametrize("vectorization", ["own", "sync"])
def test_both_ways_to_step_cartpole_keep_the_same_rules_at_an_episodes_end(vectorization):
    cartpole = make_task(Task(num_envs=4, vectorization=vectorization))
    cartpole.reset(seed=0)
    done_before, resets = np.zeros(4, bool), 0
    for _ in range(60):
        step = cartpole.step(zeros(cartpole))
        np.testing.assert_array_equal(step.is_reset, done_before)
        assert not (step.reward[step.is_reset]).any() and (step.reward[~step.is_reset] == 1).all()
        angle = np.abs(step.observation["observation"][:, 2])
        assert (angle[step.terminated] > 0.2).all() and (angle[step.is_reset] <= 0.05).all()
        done_before = step.terminated | step.truncated
        resets += step.is_reset.sum()
    assert resets > 8


def test_an_own_version_that_resets_otherwise_is_not_used(monkeypatch):
    own = type(make_task(Task(num_envs=1))._envs)
    monkeypatch.setitem(own.metadata, "autoreset_mode", AutoresetMode.SAME_STEP)
    assert isinstance(make_task(Task(num_envs=1))._envs, SyncVectorEnv)
    with pytest.raises(TaskError, match="does not reset on the step after"):
        make_task(Task(vectorization="own"))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"id": "Acrobot-v1"}, "has no vectorised version"),
        ({"frame_stack": 2}, "can't stack frames"),
        ({"action_masks": True}, "no action masks"),
    ],
)
def test_asking_for_an_own_version_that_cannot_serve_says_why(settings, reason):
    with pytest.raises(TaskError, match=reason):
        make_task(Task(vectorization="own", **settings))


def test_an_own_version_that_lacks_a_keyword_is_not_used(monkeypatch):
    spec = gymnasium.spec("CartPole-v1")
    monkeypatch.setattr(spec, "vector_entry_point", lambda num_envs: None)
    assert isinstance(make_task(Task(num_envs=1))._envs, SyncVectorEnv)
    with pytest.raises(TaskError, match="takes no max_episode_steps"):
        make_task(Task(vectorization="own"))


@pytest.mark.parametrize(
    ("how", "terminated", "truncated"),
    [("terminated", True, False), ("truncated", False, True), ("terminated truncated", True, False)],
)
def test_terminated_and_truncated_stay_apart_and_terminated_wins(how, terminated, truncated):
    counter = task("Counter-v0", kwargs={"ends_at": 2, "how": how})
    counter.reset(seed=0)
    counter.step(zeros(counter))
    step = counter.step(zeros(counter))
    assert (step.terminated == terminated).all() and (step.truncated == truncated).all()
    assert (step.observation["observation"] == 2).all()  # the episode's true last observation
    step = counter.step(zeros(counter))
    assert step.is_reset.all() and not step.terminated.any() and not step.truncated.any()
    assert (step.observation["observation"] == 0).all() and (step.reward == 0).all()


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1"])
def test_max_episode_steps_truncates(name):
    short = make_task(Task(id=name, num_envs=2, max_episode_steps=3))
    assert short.spec.max_episode_steps == 3
    short.reset(seed=0)
    truncated = [short.step(zeros(short)).truncated.all() for _ in range(8)]
    assert truncated == [False, False, True, False, False, False, True, False]


def test_arrays_that_a_step_gave_never_change_afterwards():
    for batched in (task("Counter-v0"), make_task(Task(num_envs=2)), task("Nested-v0")):
        observation, _ = batched.reset(seed=0)
        kept = [*observation.values()]
        for _ in range(3):
            step = batched.step(zeros(batched))
            kept += [*step.observation.values(), *step[1:5]]
        before = [array.copy() for array in kept]
        for _ in range(5):
            batched.step(zeros(batched))
        for array, copy in zip(kept, before, strict=True):
            np.testing.assert_array_equal(array, copy)


def test_float64_observations_arrive_as_float32():
    counter = task("Counter-v0")
    observation, _ = counter.reset(seed=0)
    assert observation["observation"].dtype == np.float32
    assert counter.spec.observation["observation"].dtype == "float32"


def test_actions_count_from_zero_whatever_the_task_calls_them():
    shifted = task("StartAtThree-v0")
    assert shifted.spec.actions == discrete(2, 3)
    assert shifted.spec.observation["observation"].start == -1
    shifted.reset(seed=0)
    step = shifted.step(np.array([0, 1], np.int32))
    np.testing.assert_array_equal(step.reward, [3, 4])


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("dict", {"count", "place_x", "place_bits"}),
        ("tuple", {"observation_0", "observation_1_x", "observation_1_bits"}),
    ],
)
def test_dict_and_tuple_observations_become_flat(kind, names):
    nested = task("Nested-v0", kwargs={"kind": kind})
    assert set(nested.spec.observation) == names
    nested.reset(seed=0)
    nested.step(zeros(nested))
    observation = nested.step(zeros(nested)).observation
    assert set(observation) == names
    by_end = {name.rpartition("_")[2]: array for name, array in observation.items()}
    np.testing.assert_allclose(by_end["x"], np.full((2, 2), 0.2))
    np.testing.assert_array_equal(by_end["bits"], [[0, 1, 0], [0, 1, 0]])


def test_frames_are_stacked_oldest_first_and_start_anew_with_each_episode():
    counter = task("Counter-v0", num_envs=1, frame_stack=3, kwargs={"ends_at": 3})
    assert counter.spec.observation["observation"].frame_stack == 3
    observation, _ = counter.reset(seed=0)
    seen = [observation["observation"][0, :, 0].tolist()]
    seen += [counter.step(zeros(counter)).observation["observation"][0, :, 0].tolist() for _ in range(5)]
    assert seen == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 0], [0, 0, 1]]


def test_stacked_categories_stay_categories():
    chain = task("Chain-v0", frame_stack=2)
    spec = chain.spec.observation["observation"]
    assert (spec.shape, spec.categories, spec.dtype) == ((2,), 5, "int32")
    observation, _ = chain.reset(seed=0)
    assert observation["observation"].shape == (2, 2)


def test_environments_have_seeds_of_their_own_and_a_reset_repeats():
    batched = make_task(Task(id="Acrobot-v1", num_envs=4))
    first = batched.reset(seed=1)[0]["observation"]
    again = batched.reset(seed=1)[0]["observation"]
    other = batched.reset(seed=2)[0]["observation"]
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(np.concatenate([first, other]), axis=0)) == 8


def test_one_environment_can_be_rendered():
    for name, shape in (("CartPole-v1", (400, 600, 3)), (f"{HERE}:Catch-v0", (40, 40, 3))):
        rendered = make_task(Task(id=name), render_mode="rgb_array")
        assert rendered.num_envs == 1
        rendered.reset(seed=0)
        picture = rendered.render()
        assert picture.shape == shape and picture.dtype == np.uint8 and picture.max() > 0
        rendered.close()
    assert make_task(Task(num_envs=1)).render() is None


def test_a_step_of_many_environments_takes_as_many_calls_as_one_of_few():
    def calls(num_envs):
        batched = make_task(Task(num_envs=num_envs))
        batched.reset(seed=0)
        answer = batched._envs.step(zeros(batched))
        batched._envs.step = lambda _: answer  # what gymnasium itself calls is not ours to say
        counted = Counter()
        sys.setprofile(lambda frame, event, _: counted.update([event]))
        try:
            batched.step(zeros(batched))
        finally:
            sys.setprofile(None)
        return counted["call"] + counted["c_call"]

    assert calls(64) == calls(2)


def test_the_chains_stated_values_are_those_of_value_iteration():
    discount, values = 0.9, np.zeros((Chain.LENGTH, 2))
    env = Chain()
    for _ in range(100):
        for position in range(Chain.LENGTH):
            for action in range(2):
                env.set_state({"position": position})
                after, reward, terminated, _, _ = env.step(action)
                values[position, action] = reward + discount * (not terminated) * values[after].max()
    np.testing.assert_allclose(chain_values(discount), values, rtol=1e-6)


def test_catch_is_won_by_following_the_ball():
    catch = task("Catch-v0", num_envs=4)
    observation, _ = catch.reset(seed=0)
    rewards = []
    for _ in range(9):
        board = observation["observation"].reshape(4, 10, 5)
        ball, paddle = board[:, :9].max(axis=1).argmax(axis=1), board[:, 9].argmax(axis=1)
        step = catch.step((1 + np.sign(ball - paddle)).astype(np.int32))
        observation = step.observation
        rewards.append(step.reward)
    assert step.terminated.all()
    np.testing.assert_array_equal(np.sum(rewards, axis=0), np.ones(4))


class Slips(Chain):
    """A step to the right from the start breaks the contract."""

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        observation, *rest = super().step(action)
        return (99 if observation else observation, *rest)  # type: ignore[return-value]


gymnasium.register("Slips-v0", Slips)


def test_what_environments_keep_is_not_saved_once_one_has_broken_its_contract() -> None:
    task = make_task(Task(id=f"{__name__}:Slips-v0", num_envs=2, vectorization="sync"))
    task.reset(0)
    task.step(np.zeros(2, np.int32))
    assert task.state() is not None
    with pytest.raises(FaultyTaskError, match="step 2: observation is 99"):
        task.step(np.array([0, 1], np.int32))
    assert task.state() is None  # the first has gone on, and the second not
    task.reset(0)
    assert task.state() is not None
