"""Spaces become flat, typed arrays, and the unusable ones are refused by name."""

import msgspec
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete, flat_name
from tfdqn.tasks.contract import Contract
from tfdqn.tasks.observations import observation_specs
from tfdqn.tasks.registry import make_task

SHAPES = st.lists(st.integers(1, 3), max_size=3).map(tuple)
LEAVES = st.one_of(
    st.builds(
        lambda shape, dtype: spaces.Box(0, 1, shape, dtype),
        SHAPES,
        st.sampled_from([np.float32, np.float64, np.float16, np.uint8, np.int64, np.int16, np.bool_]),
    ),
    st.builds(lambda shape: spaces.Box(-np.inf, np.inf, shape), SHAPES),
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 9), st.integers(-9, 9)),
    st.lists(st.integers(1, 5), min_size=1, max_size=3).map(spaces.MultiDiscrete),
    st.builds(lambda start: spaces.MultiDiscrete([[3, 4], [2, 2]], start=[[start, 0], [1, -3]]), st.integers(-9, 9)),
    st.integers(1, 4).map(spaces.MultiBinary),
    st.just(spaces.MultiBinary((2, 3))),
)
SPACES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(spaces.Tuple),
        st.dictionaries(st.sampled_from(["x", "y 1", "0", "é"]), parts, min_size=1).map(spaces.Dict),
    ),
    max_leaves=6,
)


def number_of_arrays(space):
    parts = getattr(space, "spaces", None)
    if parts is None:
        return 1
    return sum(number_of_arrays(part) for part in (parts.values() if isinstance(parts, dict) else parts))


@settings(max_examples=150)
@given(space=SPACES, seed=st.integers(0, 99), batch=st.integers(1, 3))
def test_every_array_of_a_nested_space_has_a_name_of_its_own_and_is_what_its_spec_says(space, seed, batch):
    specs = observation_specs(space)
    assert len(specs) == number_of_arrays(space)
    assert all(name.isidentifier() and name.isascii() for name in specs)
    batched = batch_space(space, batch)
    batched.seed(seed)
    spec = TaskSpec(id="Own-v0", observation=specs, actions=discrete(2))
    observation, _ = Contract(space, spec, batch).reset((batched.sample(), {}))
    assert list(observation) == list(specs)
    for name, array in observation.items():
        spec = specs[name]
        assert array.shape == (batch, *spec.shape)
        assert array.dtype == spec.dtype
        if spec.categories:
            assert spec.start <= array.min() and array.max() < spec.start + spec.categories
        assert len(spec.high) == (spec.dtype == "uint8")
        assert not spec.high or np.all(array <= spec.high[0])


@pytest.mark.parametrize(
    ("space", "bounds"),
    [
        (spaces.Box(-1.0, 1.0, (2, 3)), ((-1.0, 1.0),)),
        (spaces.Box(-np.inf, np.inf, (3,)), ((None, None),)),
        (spaces.Box(np.array([0.0, -np.inf]), np.array([0.5, 2.0])), ((0.0, 0.5), (None, 2.0))),
        (spaces.Box(np.arange(65.0), np.arange(65.0) + 1), ((0.0, 65.0),)),
        (
            spaces.Box(np.arange(66).reshape(2, 33), np.full((2, 33), 99), dtype=np.int16),
            tuple((float(low), 99.0) for low in range(66)),
        ),
        (spaces.Box(np.zeros(999, np.uint8), np.full(999, 7, np.uint8), dtype=np.uint8), ((0.0, 7.0),)),
        (spaces.Box(0, 255, (3, 3), np.uint8), ((0.0, 255.0),)),
        (spaces.MultiBinary(3), ((0.0, 1.0),)),
        (spaces.Box(np.array([-3, 0]), np.array([4, 9]), dtype=np.int64), ((-3.0, 4.0), (0.0, 9.0))),
    ],
)
def test_bounds_are_one_pair_for_all_or_a_pair_for_each(space, bounds):
    for frames in (1, 4):
        (spec,) = observation_specs(space, frames).values()
        assert spec.bounds == bounds
        assert msgspec.json.decode(msgspec.json.encode(spec), type=ArraySpec) == spec


@settings(max_examples=50)
@given(space=SPACES, frames=st.integers(2, 4))
def test_stacked_frames_add_a_leading_axis_and_keep_what_each_number_means(space, frames):
    one, stacked = observation_specs(space), observation_specs(space, frames)
    for name, spec in stacked.items():
        assert spec.shape == (frames, *one[name].shape)
        assert spec.frame_stack == frames
        meaning = (spec.dtype, spec.categories, spec.start, spec.high)
        assert meaning == (one[name].dtype, one[name].categories, one[name].start, one[name].high)


def test_names_follow_the_nesting():
    space = spaces.Dict({"a": spaces.Tuple([spaces.Discrete(2), spaces.Dict({"b": spaces.Discrete(2)})])})
    assert list(observation_specs(space)) == ["a_0", "a_1_b"]
    assert list(observation_specs(space["a"])) == ["observation_0", "observation_1_b"]
    assert list(observation_specs(spaces.Discrete(2))) == ["observation"]


@pytest.mark.parametrize(
    ("prefix", "key", "name"),
    [
        ("", "speed", "speed"),
        ("", "left camera", "left_camera"),
        ("", "joint/1", "joint_1"),
        ("", "0", "observation_0"),
        ("", 0, "observation_0"),
        ("", "_x", "observation__x"),
        ("", "é", "observation__"),
        ("", "", "observation_"),
        ("camera", "0", "camera_0"),
        ("camera", "left eye", "camera_left_eye"),
    ],
)
def test_a_flat_name_is_one_that_a_served_input_can_have(prefix, key, name):
    assert flat_name(prefix, key) == name


def test_two_parts_with_one_flat_name_are_refused():
    space = spaces.Dict({"a": spaces.Dict({"b": spaces.Discrete(2)}), "a_b": spaces.Discrete(3)})
    with pytest.raises(TaskError, match=r'"a_b" is Discrete\(3\): another part .* same flat name'):
        observation_specs(space)


@pytest.mark.parametrize(
    ("space", "high"),
    [
        (spaces.Box(0, 255, (84, 84), np.uint8), (255.0,)),
        (spaces.Box(0, 1, (3, 3), np.uint8), (1.0,)),
        (spaces.Box(np.zeros(2, np.uint8), np.array([3, 7], np.uint8), dtype=np.uint8), (7.0,)),
        (spaces.MultiBinary(3), (1.0,)),
        (spaces.Box(0, 1, (2,), np.bool_), (1.0,)),
        (spaces.Box(0, 7, (2,), np.int32), ()),
        (spaces.Box(0, 7, (2,), np.float32), ()),
        (spaces.Box(-1e300, 1e300, (1,), np.float64), ()),
        (spaces.Box(0, 255, (84, 84, 3), np.float32), (255.0,)),
        (spaces.Box(0, 255, (4, 84, 84), np.int32), (255.0,)),
        (spaces.Box(0, 255, (84, 84), np.float64), (255.0,)),
        (spaces.Box(0, 65_535, (84, 84, 1), np.uint16), (65_535.0,)),
        (spaces.Box(-128, 127, (84, 84, 1), np.int8), (128.0,)),
        (spaces.Box(0, 1, (84, 84, 3), np.float32), ()),
        (spaces.Box(-1, 1, (84, 84, 3), np.float32), ()),
        (spaces.Box(0, np.inf, (84, 84, 3), np.float32), ()),
        (spaces.Box(0, np.finfo(np.float32).max, (84, 84, 3), np.float32), ()),
        (spaces.Box(0, np.tile(np.float32([255, 255, 255, 10]), (8, 9, 1))), (255.0, 255.0, 255.0, 10.0)),
        (spaces.Box(0, np.float32([[1, 100], [1, 100]])), ()),  # readings, not pixels
        (spaces.Box(0, 100, (4, 3, 2, 2), np.float32), ()),
    ],
    ids=str,
)
def test_bytes_and_images_keep_the_numbers_that_they_are_scaled_by(space, high):
    assert observation_specs(space)["observation"].high == high


def test_uneven_multi_discrete_covers_the_range_of_all_its_parts_and_keeps_that_of_each():
    space = spaces.MultiDiscrete([2, 3], start=[-1, 4])
    spec = observation_specs(space)["observation"]
    assert (spec.start, spec.categories) == (-1, 8)
    assert spec.bounds == ((-1, 0), (4, 6))
    even = observation_specs(spaces.MultiDiscrete([3, 3], start=[1, 1]))["observation"]
    assert (even.start, even.categories, even.bounds) == (1, 3, ())


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (spaces.Box(-np.inf, np.inf, (2,), np.int32), r"Box\(.*int32\): it is unbounded; an integer Box"),
        (spaces.Box(0, 2**40, (2,), np.int64), "it is unbounded"),
        (spaces.Box(0, 1, (3, 0)), r"shape \(3, 0\) holds no number"),
        (spaces.Tuple([]), "it is empty"),
        (spaces.Text(5), "no fixed arrays; allowed are Box, Discrete"),
        (spaces.Sequence(spaces.Discrete(2)), "no fixed arrays"),
        (spaces.Graph(spaces.Discrete(2), None), "no fixed arrays"),
        (spaces.OneOf([spaces.Discrete(2), spaces.Box(0, 1)]), "no fixed arrays"),
        (spaces.Space((2,), np.float32), "no fixed arrays"),
        (spaces.Discrete(10**9), "at most 1,000,000 categories"),
    ],
)
def test_a_space_that_cannot_be_used_is_named_with_its_key_and_what_is_allowed(space, reason):
    with pytest.raises(TaskError, match=reason):
        observation_specs(space)
    with pytest.raises(TaskError, match=f'observation "inside" is .*{reason.split(";")[0]}') as caught:
        observation_specs(spaces.Dict({"inside": space}))
    assert "\n" not in str(caught.value)
    for whole in (space, spaces.Tuple([spaces.Discrete(2), spaces.Dict({"inside": space})])):
        task = Task(id="tests.support.toy_environments:Odd-v0", kwargs={"space": whole, "observation": 0})
        with pytest.raises(TaskError, match=f"Odd-v0: observation .*{reason.split(';')[0]}") as caught:
            make_task(task)
        assert type(caught.value) is TaskError and "\n" not in str(caught.value)


def test_an_empty_dict_is_refused():
    with pytest.raises(TaskError, match="it is empty"):
        observation_specs(spaces.Dict({}))
