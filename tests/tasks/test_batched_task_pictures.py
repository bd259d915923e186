"""Whatever an environment draws is one kind of picture, or one line that says what it gave."""

import re
from typing import Any

import numpy as np
import pytest

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.batched_task import as_picture
from tfdqn.tasks.registry import make_task

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14
GREY = np.repeat(RGB[..., :1], 3, axis=2)


@pytest.mark.parametrize(
    ("drawn", "picture"),
    [
        (RGB, RGB),
        (RGB.tolist(), RGB),
        (RGB.astype(np.int64), RGB),
        (RGB.astype(np.float64), RGB),
        (RGB / 255, RGB),
        (np.where(RGB > 100, 300.0, -7.0), np.where(RGB > 100, 255, 0)),
        (RGB > 100, np.where(RGB > 100, 255, 0)),
        (np.concatenate([RGB, RGB[..., :1]], axis=2), RGB),  # an alpha channel
        (RGB[..., 0], GREY),
        (RGB[..., :1], GREY),
        ([RGB * 0, RGB], RGB),  # the frames since the last call
    ],
)
def test_numbers_of_any_kind_are_one_picture(drawn: Any, picture: np.ndarray) -> None:
    found = as_picture(drawn)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, picture)


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (None, "its render() gave None"),
        ("ascii art", "shape ()"),
        ([], "shape (0,)"),
        ([[1, 2], [3]], "a list that is not a picture"),
        (np.zeros((2, 3, 2)), "shape (2, 3, 2)"),
        (np.zeros((0, 3, 3)), "shape (0, 3, 3)"),
        (np.full((2, 2, 3), "x"), "<U1"),
        (np.full((2, 2, 3), np.nan), "not finite"),
    ],
)
def test_what_is_no_picture_is_said(drawn: Any, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        as_picture(drawn)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("none", r"Draws-v0 could not be rendered: its render\(\) gave None"),
        ("raises", r"Draws-v0 could not be rendered: .*odd_environments\.py:\d+: RuntimeError: no display"),
    ],
)
def test_a_task_that_can_not_be_rendered_says_why_in_one_line(how: str, said: str) -> None:
    task = make_task(Task(id="tests.support.toy_environments:Draws-v0", kwargs={"how": how}), render_mode="rgb_array")
    task.reset(seed=0)
    with pytest.raises(TaskError) as caught:
        task.render()
    assert re.search(f"{said}$", str(caught.value))
