"""Every action of gymnasium's spaces has an index of its own, and what can't be so is refused in one line."""

import math
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from gymnasium import Space, spaces
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.dials import Dials
from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_differences import differences
from tfdqn.task_spec import ActionSpec, ArraySpec, OwnActions, TaskSpec, discrete
from tfdqn.tasks.adapters.actions import action_spec, to_environment
from tfdqn.tasks.registry import make_task, resolve_spec

MOST = 3_000  # actions of a space that are looked at one by one
SHAPES = st.sampled_from([(), (1,), (3,), (2, 2)])
FLOATS, WHOLE = [np.float16, np.float32, np.float64], [np.int8, np.uint8, np.int32, np.int64, np.uint64, np.bool_]


def _limits(info: np.iinfo) -> tuple[int, int]:
    """Of wide integers, what gymnasium can draw a sample from."""
    return max(int(info.min), -(2**60)), min(int(info.max), 2**60)


@st.composite
def boxes(draw: st.DrawFn) -> spaces.Box:
    shape, dtype = draw(SHAPES), draw(st.sampled_from(FLOATS + WHOLE))
    size = math.prod(shape)
    if np.dtype(dtype).kind == "f":
        numbers = st.floats(-1e4, 1e4, width=16).map(lambda number: number + 0.0)  # to NumPy, −0.0 < 0.0
        ends = [sorted(draw(st.tuples(numbers, numbers))) for _ in range(size)]
    else:
        limits = (0, 1) if dtype is np.bool_ else _limits(np.iinfo(dtype))
        ends = [sorted(draw(st.tuples(*[st.integers(*limits)] * 2))) for _ in range(size)]
    low, high = (np.array(each, dtype).reshape(shape) for each in zip(*ends, strict=True))
    return spaces.Box(low, high, shape, dtype)


SPACES = st.one_of(
    st.builds(
        lambda n, start, dtype: spaces.Discrete(n, start=start, dtype=dtype),
        st.integers(1, 30),
        st.integers(-9, 9),
        st.sampled_from([np.int64, np.int32, np.int8]),
    ),
    st.builds(
        lambda shape, seed: spaces.MultiDiscrete(
            np.random.default_rng(seed).integers(1, 5, shape), start=np.random.default_rng(seed).integers(-9, 9, shape)
        ),
        st.sampled_from([(1,), (3,), (2, 2)]),
        st.integers(0, 99),
    ),
    st.sampled_from([1, 4, (2, 3)]).map(spaces.MultiBinary),
    boxes(),
)


def spec_of(space: Space, bins: int | tuple[int, ...], form: str) -> ActionSpec:
    is_box = isinstance(space, spaces.Box)
    return action_spec(space, Task(action_bins=bins if is_box else 0, action_form=form))  # type: ignore[arg-type]


def every_index(spec: ActionSpec, rng: np.random.Generator) -> np.ndarray:
    """All of them, or of very many some without a double."""
    total = math.prod(spec.counts)
    numbers = np.arange(total) if total <= MOST else np.unique(rng.integers(total, size=MOST))
    if len(spec.num_actions) == 1:
        return numbers.astype(np.int32)
    return np.stack(np.unravel_index(numbers, spec.counts), axis=1).astype(np.int32)


def one_by_one(spec: ActionSpec, indices: np.ndarray) -> list[list[float]]:
    """What each index stands for, by an element's values and without strides."""
    places = np.transpose(np.unravel_index(indices, spec.counts)) if len(spec.num_actions) == 1 else indices
    return [[spec.values(element)[i] for element, i in enumerate(each)] for each in places]


@pytest.mark.filterwarnings("ignore:.*Casting input x")  # of a number without axes
@settings(max_examples=150)
@given(SPACES, st.one_of(st.integers(1, 5), st.integers(0, 9)), st.sampled_from(["product", "branches"]))
def test_every_index_is_another_action(space: Space, bins: int, form: str) -> None:
    assume(bins > 1)
    each: int | tuple[int, ...] = bins
    if bins > 5:  # of each element another number
        each = tuple(1 + (bins + element) % 4 for element in range(math.prod(space.shape or ())))
        assume(max(each, default=0) > 1)
    try:
        spec = spec_of(space, each, form)
    except TaskError as error:
        assert "than its bounds enclose" in str(error)
        return
    own_actions, rng = OwnActions(spec), np.random.default_rng(0)
    indices = every_index(spec, rng)
    own = own_actions(indices)
    sample = np.asarray(space.sample())
    assert own.shape == (len(indices), *sample.shape) and own.dtype == sample.dtype
    for action in own:
        assert space.contains(action)
    assert len({action.tobytes() for action in own}) == len(indices)
    np.testing.assert_array_equal(own.reshape(len(own), -1), one_by_one(spec, indices))
    np.testing.assert_array_equal(own_actions(indices[0]), own[0])  # of one environment
    assert msgspec.json.decode(msgspec.json.encode(spec), type=ActionSpec) == spec


@given(boxes(), st.integers(2, 6))
def test_a_grids_ends_are_the_bounds_and_its_steps_are_even(box: spaces.Box, bins: int) -> None:
    try:
        spec = spec_of(box, bins, "product")
    except TaskError:
        return
    is_float = box.dtype is not None and box.dtype.kind == "f"
    for element, (low, high) in enumerate(zip(box.low.flat, box.high.flat, strict=True)):
        there_are = (1 if low == high else bins) if is_float else int(high) - int(low) + 1
        values = spec.values(element)
        assert len(values) == min(bins, there_are)
        assert (values[0], values[-1]) == (low, high)
        exact = [float(value) if is_float else int(value) for value in values]
        step = (exact[-1] - exact[0]) / max(len(exact) - 1, 1)
        for before, after in pairwise(exact):  # half a whole number, or a float16's distance to the next
            assert abs(after - before - step) <= (16 if is_float else 1) + 1e-12 * abs(step)


def test_of_a_product_the_last_dimension_changes_fastest() -> None:
    own_actions = OwnActions(action_spec(spaces.MultiDiscrete([2, 3], start=[5, -1]), Task()))
    assert own_actions(np.arange(6)).tolist() == [[5, -1], [5, 0], [5, 1], [6, -1], [6, 0], [6, 1]]
    box = spaces.Box(np.float32([-1, 0]), np.float32([1, 4]))
    assert OwnActions(action_spec(box, Task(action_bins=(3, 2))))(np.arange(6)).tolist() == [
        [-1, 0], [-1, 4], [0, 0], [0, 4], [1, 0], [1, 4]
    ]  # fmt: skip


def test_one_value_is_the_middle_and_whole_numbers_are_no_more_than_there_are() -> None:
    assert OwnActions(action_spec(spaces.Box(-1.0, 3.0, (2,)), Task(action_bins=(1, 2))))(np.arange(2)).tolist() == [
        [1.0, -1.0],
        [1.0, 3.0],
    ]
    bits = action_spec(spaces.Box(0, 1, (3,), np.int8), Task(action_bins=9))
    assert bits.counts == (2, 2, 2)
    assert action_spec(spaces.Box(0, 9, (1,), np.int32), Task(action_bins=4)).values(0).tolist() == [0, 3, 6, 9]
    # 0, 3.33, 6.67 and 10: the nearest
    assert action_spec(spaces.Box(0, 10, (1,), np.int32), Task(action_bins=4)).values(0).tolist() == [0, 3, 7, 10]


def test_a_step_costs_nothing_where_actions_count_from_zero() -> None:
    def spec(actions: ActionSpec) -> TaskSpec:
        return TaskSpec(id="Some-v0", observation={"x": ArraySpec(shape=(), dtype="float32")}, actions=actions)

    assert to_environment(spec(discrete(3))) is None
    shifted = to_environment(spec(discrete(3, -1)))
    assert shifted is not None and shifted(np.array([0, 2], np.int32)).tolist() == [-1, 1]


UNUSABLE = [
    (spaces.Box(-1.0, 1.0, (2,)), Task(), r"task\.action_bins must say how many values"),
    (spaces.Box(-np.inf, 1.0, (2,)), Task(action_bins=3), "it is unbounded"),
    (spaces.Box(-1.0, 1.0, (2,)), Task(action_bins=(3, 3, 3)), r"action_bins = \[3, 3, 3\]: 2 numbers are needed"),
    (spaces.Box(0.0, np.float32(1e-45), (1,)), Task(action_bins=3), "more numbers than its bounds enclose"),
    (spaces.MultiDiscrete([2, 2]), Task(action_bins=3), "task.action_bins is for actions of a Box"),
    (spaces.Tuple([spaces.Discrete(2)]), Task(), "allowed are Discrete, MultiDiscrete, MultiBinary and bounded Box"),
    (spaces.Dict({"x": spaces.Discrete(2)}), Task(), "allowed are Discrete, "),
    (spaces.MultiDiscrete([101] * 3), Task(), r'1,030,301, more than 1,000,000; task\.action_form = "branches"'),
    (spaces.MultiBinary(20_000), Task(), r'10\^6021, more than 1,000,000; task\.action_form = "branches"'),
    (
        spaces.MultiDiscrete([600_000] * 2),
        Task(action_form="branches"),
        "1,200,000 in all dimensions, more than 1,000,000",
    ),
    (spaces.MultiDiscrete([2_000_000_000]), Task(), "2,000,000,000 in all dimensions, more than 1,000,000"),
    (spaces.Box(0.0, 1.0, (0,)), Task(action_bins=3), "an array without elements leaves nothing to choose"),
    (spaces.Box(0.0, 1.0, (2,)), Task(action_bins=1), "task.action_bins leaves a single action: take at least 2"),
    (spaces.Box(0.0, 1.0, (2,)), Task(action_bins=(1, 1)), "task.action_bins leaves a single action"),
]


@pytest.mark.parametrize(("space", "task", "why"), UNUSABLE, ids=lambda each: each if isinstance(each, str) else "")
def test_what_cannot_be_learned_is_one_line(space: Space, task: Task, why: str) -> None:
    with pytest.raises(TaskError, match=f"actions are {type(space).__name__}.*{why}|^{why}") as caught:
        action_spec(space, task)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_million_of_branches_is_no_product() -> None:
    spec = action_spec(spaces.MultiDiscrete([101] * 3), Task(action_form="branches"))
    assert spec.num_actions == (101, 101, 101)


@pytest.mark.parametrize("kwargs", [{}, {"kind": "box"}, {"kind": "binary"}], ids=str)
@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_environments_get_their_own_actions(kwargs: dict, vectorization: str) -> None:
    """Each dial of its own, so that one set wrong is seen in the reward."""
    positions = 2 if kwargs.get("kind") == "binary" else 3
    task = Task(
        id="tests.support.dials:Dials-v0",
        num_envs=4,
        kwargs={"dials": 3, "positions": positions, **kwargs},
        action_bins=3 if kwargs.get("kind") == "box" else 0,
        vectorization=vectorization,  # type: ignore[arg-type]
    )
    batched = make_task(task)
    try:
        assert batched.spec.num_actions == (positions**3,) and batched.spec == resolve_spec(task)
        observation, _ = batched.reset(seed=1)
        for _ in range(Dials.STEPS):
            digits = np.rint(observation["observation"] * (positions - 1)).astype(int)
            step = batched.step((digits @ [positions**2, positions, 1]).astype(np.int32))
            np.testing.assert_allclose(step.reward, 1, atol=1e-6)
            observation = step.observation
        assert step.terminated.all()
    finally:
        batched.close()


def test_the_users_names_are_of_a_product_alone() -> None:
    dials = Task(id="tests.support.dials:Dials-v0", kwargs={"dials": 2, "positions": 2}, action_names=("a", "b"))
    with pytest.raises(TaskError, match="it has 2, and the task 4"):
        resolve_spec(dials)
    with pytest.raises(TaskError, match=r"task\.action_names: not with several action dimensions"):
        resolve_spec(msgspec.structs.replace(dials, action_form="branches"))


OLDER = b"""{"id": "Old-v0", "observation": {"observation": {"shape": [4], "dtype": "float32"}},
"num_actions": [3], "action_start": [-1], "action_masks": true}"""


def test_what_earlier_versions_kept_of_a_task_is_read() -> None:
    spec = TaskSpec.from_json(OLDER)
    assert (spec.num_actions, spec.actions, spec.action_masks) == ((3,), discrete(3, -1), True)
    assert TaskSpec.from_json(spec.to_json()) == spec
    now = msgspec.structs.replace(spec, actions=discrete(3))
    assert differences(spec, now) == "actions.low is (0,), not (-1,); actions.high is (2,), not (1,)"
    narrow = action_spec(spaces.Discrete(3, start=-1, dtype=np.int32), Task())  # of whose type they kept nothing
    assert differences(spec, msgspec.structs.replace(spec, actions=narrow)) == ""
    for damage in (b'"3"', b"[3, 4]", b"null"):
        with pytest.raises(msgspec.ValidationError):
            TaskSpec.from_json(OLDER.replace(b"[3]", damage))
