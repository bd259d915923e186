"""Masks of several action dimensions: the forms in which an environment may give them, and what is refused."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tests.support.actions import branches
from tests.support.dials import Dials
from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_spec import MaskForms, discrete
from tfdqn.tasks.adapters.actions import action_spec
from tfdqn.tasks.adapters.legal_actions import MaskReader, MaskSource, batched_masks
from tfdqn.tasks.array_contract import Breach
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.registry import make_task

COUNTS = (3, 1, 2)
FLAT = np.array([True, False, True, True, False, True])
ROWS = np.array([[True, False, True], [True, False, False], [False, True, False]])


def reader(form: str = "auto") -> MaskReader:
    return MaskReader(MaskSource("info", branches(*COUNTS), form), None, "Some-v0")


@pytest.mark.parametrize(
    "given",
    [
        FLAT,
        FLAT.astype(np.int8).tolist(),
        ROWS,
        ROWS.tolist(),
        ROWS | np.array([[0, 0, 0], [0, 1, 1], [0, 0, 1]], bool),  # beyond a branch's own actions nothing counts
        (np.array([1, 0, 1], np.int8), np.array([1], np.int8), np.array([0, 1], np.int8)),  # as sample() takes
        [[True, False, True], [True], [False, True]],
        np.where(FLAT, 0.0, -np.inf),
    ],
    ids=["in a row", "a list", "rows", "lists of rows", "rows with padding", "a tuple", "lists", "logits"],
)
def test_a_mask_may_be_in_a_row_in_rows_or_one_for_each_dimension(given: Any) -> None:
    found = reader().one(None, {"action_mask": given}, False)["action_mask"]
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, ROWS)


def test_a_vector_versions_masks_lead_with_the_environments() -> None:
    for given in (np.stack([FLAT, ~FLAT | FLAT]), np.stack([ROWS, ROWS | True])):
        found = reader().many(None, {"action_mask": given}, np.zeros(2, bool))["action_mask"]
        everything = [[True, True, True], [True, False, False], [True, True, False]]
        np.testing.assert_array_equal(found, [ROWS, everything])


@pytest.mark.parametrize(
    ("given", "how"),
    [
        (FLAT[:5], r"has shape \(5,\), not \(6,\) or \(3, 3\)"),
        (ROWS[:2], r"has shape \(2, 3\), not \(6,\) or \(3, 3\)"),
        (np.array([1, 1, 1, 0, 1, 1]), "has no legal action"),  # of the second dimension
        ([[1, 1, 1], [0], [1, 1]], "has no legal action$"),
        ([[1.0, 1.0, 1.0], [0.0], [1.0, 1.0]], 'has no legal action: if 0 means legal, set task.action_mask_form = "l'),
        ([[1, 1, 1], [], [1, 1]], "has rows of several lengths"),
        (FLAT * np.nan, "not a boolean for each action"),
    ],
)
def test_what_is_no_mask_is_one_line(given: Any, how: str) -> None:
    with pytest.raises(Breach, match=how):
        reader().one(None, {"action_mask": given}, False)
    with pytest.raises(Breach, match="has no legal action"):
        reader().many(None, {"action_mask": np.stack([FLAT, FLAT & False])}, np.zeros(2, bool))


def test_rows_of_other_lengths_are_one_line() -> None:
    uneven = (FLAT[:3], FLAT[:1], FLAT[:3])
    with pytest.raises(Breach, match=r"has rows of several lengths, not the shape \(6,\) or \(3, 3\)"):
        reader().one(None, {"action_mask": uneven}, False)
    product = MaskReader(MaskSource("info", discrete(6), "auto"), None, "Some-v0")
    with pytest.raises(Breach, match=r"has rows of several lengths, not the shape \(6,\)"):
        product.one(None, {"action_mask": uneven}, False)


def test_where_none_is_given_all_of_a_dimensions_own_are_legal() -> None:
    everything = np.array([[True, True, True], [True, False, False], [True, True, False]])
    masks = np.stack([ROWS, np.zeros((3, 3), bool)])
    np.testing.assert_array_equal(batched_masks({"action_mask": masks}, 2, everything), [ROWS, everything])
    np.testing.assert_array_equal(batched_masks({}, 2, everything), [everything, everything])


def test_where_a_terminal_state_leaves_a_dimension_without_an_action_all_of_its_own_are_legal() -> None:
    """Two lowest floats, of two dimensions without an action, would be -inf, and NaN times a discount of 0."""
    everything = np.array([[True, True, True], [True, False, False], [True, True, False]])
    given = ROWS & np.array([[False], [True], [False]])
    terminal = reader().one(None, {"action_mask": given}, True)["action_mask"]
    found = batched_masks({"action_mask": terminal[np.newaxis]}, 1, everything)
    np.testing.assert_array_equal(found, [everything])
    partly = ROWS & np.array([[True], [True], [False]])
    np.testing.assert_array_equal(
        batched_masks({"action_mask": partly[np.newaxis]}, 1, everything), [[ROWS[0], ROWS[1], everything[2]]]
    )


class MaskedDials(Dials):
    """Only what is shown, and the position above it, is legal of each dial."""

    def __init__(self, place: str = "info", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._place = place
        if place == "observation":
            mask = spaces.Box(0, 1, (int(sum(self._counts)),), np.int8)
            self.observation_space = spaces.Dict({"dials": self.observation_space, "action_mask": mask})

    def _masks(self) -> list[np.ndarray]:
        shown = np.rint(self._shown * np.maximum(self._counts - 1, 1)).astype(int)
        return [np.isin(np.arange(n), (k, k + 1)).astype(np.int8) for n, k in zip(self._counts, shown, strict=True)]

    def action_masks(self) -> np.ndarray:
        return np.concatenate(self._masks())

    def reset(self, **kwargs: Any) -> tuple[Any, dict]:
        observation, _ = super().reset(**kwargs)
        return self._with_masks(observation)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        observation, reward, terminated, truncated, _ = super().step(action)
        seen, info = self._with_masks(observation)
        return seen, reward, terminated, truncated, info

    def _with_masks(self, observation: np.ndarray) -> tuple[Any, dict]:
        if self._place == "observation":
            return {"dials": observation, "action_mask": self.action_masks()}, {}
        return observation, {"action_mask": tuple(self._masks())} if self._place == "info" else {}


gymnasium.register("MaskedDials-v0", MaskedDials)


@pytest.mark.parametrize("place", ["info", "observation", "method:action_masks"])
@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_a_tasks_masks_come_from_wherever_they_are(place: str, vectorization: str) -> None:
    task = Task(
        id=f"{__name__}:MaskedDials-v0",
        num_envs=3,
        kwargs={"dials": 3, "narrow": True, "place": place},
        vectorization=vectorization,  # type: ignore[arg-type]
        action_form="branches",
        action_masks=True,
        action_mask_source=place,
    )
    batched = make_task(task)
    try:
        _plays_by_its_masks(batched)
    finally:
        batched.close()


def _plays_by_its_masks(batched: BatchedTask) -> None:
    observation, legal = batched.reset(seed=1)
    counts = np.array(batched.spec.num_actions)
    assert counts.tolist() == [5, 4, 3] and batched.spec.mask_shape == (3, 5)
    for _ in range(Dials.STEPS - 1):
        shown = np.rint(next(iter(observation.values())) * (counts - 1)).astype(int)
        places = np.arange(5)
        expected = ((places == shown[..., None]) | (places == shown[..., None] + 1)) & (places < counts[:, None])
        np.testing.assert_array_equal(legal, expected)
        step = batched.step(shown.astype(np.int32))
        np.testing.assert_allclose(step.reward, 1, atol=1e-6)
        observation, legal = step.observation, step.legal_actions


def test_a_masks_space_of_another_shape_is_refused() -> None:
    task = Task(
        id=f"{__name__}:MaskedDials-v0",
        kwargs={"dials": 3, "place": "observation"},
        action_masks=True,
        action_mask_source="observation",
    )
    with pytest.raises(TaskError, match=r"has shape \(15,\), not \(125,\) or \(5, 5, 5\), one for each .*branches"):
        make_task(task)


@pytest.mark.parametrize(
    ("form", "given", "hint"),
    [
        ("product", np.ones(7), 'not (12,) or (3, 4): task.action_form = "branches" takes such masks'),
        ("product", (np.ones(3), np.ones(4)), 'or (3, 4): task.action_form = "branches" takes such masks'),
        ("branches", np.ones((3, 4)), 'not (7,) or (2, 4): task.action_form = "product" takes such masks'),
        ("branches", np.ones(12), 'not (7,) or (2, 4): task.action_form = "product" takes such masks'),
        ("branches", np.ones(5), "not (7,) or (2, 4)"),
    ],
)
def test_a_mask_of_the_other_form_of_actions_is_refused_with_the_key_to_set(form: str, given: Any, hint: str) -> None:
    actions = action_spec(spaces.MultiDiscrete([3, 4]), Task(action_form=form))
    with pytest.raises(Breach) as raised:
        MaskReader(MaskSource("info", actions, "auto"), None, "Some-v0").one(None, {"action_mask": given}, False)
    assert str(raised.value).endswith(hint)
    batch = [given, given] if isinstance(given, tuple) else np.stack([given, given])
    with pytest.raises(Breach, match="takes such masks$" if "takes" in hint else r"\(2, 7\) or \(2, 2, 4\)$"):
        MaskReader(MaskSource("info", actions, "auto"), None, "Some-v0").many(
            None, {"action_mask": batch}, np.zeros(2, bool)
        )


def product() -> MaskForms:
    return MaskForms(action_spec(spaces.MultiDiscrete([2, 3]), Task()))


def test_the_mask_of_a_product_may_have_the_shape_of_its_grid() -> None:
    grid = np.array([[False, True, True], [True, False, False]])  # (0, 1), (0, 2), (1, 0): 1, 2 and 3 of the product
    for given in (grid, grid.tolist(), np.array([0, 1, 1, 1, 0, 0])):
        np.testing.assert_array_equal(product().in_a_row(given), [0, 1, 1, 1, 0, 0])
        np.testing.assert_array_equal(product().in_a_row([given, given], (2,)), [[0, 1, 1, 1, 0, 0]] * 2)
    with pytest.raises(ValueError, match=r"^has shape \(3, 2\), not \(6,\) or \(2, 3\)$"):
        product().in_a_row(grid.T)
    three = MaskForms(action_spec(spaces.MultiBinary((3, 1)), Task()))  # an element is an axis, however they lie
    assert three.in_a_row(np.ones((2, 2, 2))).shape == (8,)


def test_a_batch_of_masks_may_be_of_rows_or_of_an_array_for_each_dimension() -> None:
    """Three masks of three dimensions, so that rows taken for dimensions would be seen."""
    forms, cells = MaskForms(branches(2, 2, 2)), np.random.default_rng(0).random((3, 3, 2)) < 0.5
    rows = cells.reshape(3, 6)
    for given in (cells, cells.tolist(), rows, list(cells), tuple(np.swapaxes(cells, 0, 1))):
        np.testing.assert_array_equal(forms.in_a_row(given, (3,)), rows)
    uneven, given_rows = MaskForms(branches(*COUNTS)), [[[1, 0, 1], [1], [0, 1]]] * 4
    each_dimension = [np.array([[1, 0, 1]] * 4), np.array([[1]] * 4), np.array([[0, 1]] * 4)]
    for given in (given_rows, each_dimension, tuple(each_dimension), np.array(given_rows, object)):
        np.testing.assert_array_equal(uneven.in_a_row(given, (4,)), [FLAT] * 4)
    for wrong in (given_rows[:3], [*given_rows[:3], [[1, 0, 1], [1, 1], [0]]]):
        with pytest.raises(ValueError, match=r"^has (rows of several lengths|shape)"):
            uneven.in_a_row(wrong, (4,))
