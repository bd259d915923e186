"""Which images the networks would misread, and what is said of them."""

import pytest

from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.tasks.checking.images import has_channels_first, image_findings, scaled_image_findings


def said(*arrays: ArraySpec, largest: float = 255.0) -> list[str]:
    spec = TaskSpec(id="x", observation={f"x{i}": each for i, each in enumerate(arrays)}, actions=discrete(2))
    return [each.found for each in image_findings(spec, largest)]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 84, 84), True),
        ((3, 84, 84), True),
        ((3, 210, 160), True),
        ((4, 128, 64), True),  # a stack of grey frames
        ((12, 84, 84), True),
        ((3, 16, 16), True),
        ((84, 84, 3), False),
        ((84, 84, 1), False),
        ((10, 10, 4), False),
        ((1, 10, 10), True),
        ((3, 10, 10), True),
        ((4, 10, 10), True),
        ((1, 3, 3), True),
        ((4, 8, 8), True),
        ((4, 7, 7), False),  # also a board of 4 × 7 cells
        ((4, 10, 12), False),
        ((2, 3, 3), False),
        ((8, 16, 16), False),
        ((8, 8, 111), False),
        ((17, 19, 19), False),
        ((7, 7, 512), False),
        ((10, 60, 40), False),  # also ten tables
        ((84, 84), False),
        ((3, 84), False),
    ],
)
def test_channels_are_first_where_hardly_anything_else_can_be_meant(shape: tuple[int, ...], expected: bool) -> None:
    for dtype in "uint8", "float32":
        assert has_channels_first(ArraySpec(shape=shape, dtype=dtype)) is expected
        stacked = ArraySpec(shape=(4, *shape), dtype=dtype, frame_stack=4)
        assert has_channels_first(stacked) is expected
    assert not has_channels_first(ArraySpec(shape=shape, dtype="int32", categories=5))


def test_channels_first_are_said_with_the_wrapper_that_moves_them() -> None:
    (line,) = said(ArraySpec(shape=(3, 84, 96), dtype="uint8", high=(255.0,), bounds=((0.0, 255.0),)))
    assert (
        "TransformObservation(env, lambda image: image.transpose(1, 2, 0), Box(0, 255, (84, 96, 3), np.uint8))" in line
    )
    for bounds in (), ((None, None),), ((0.0, None),):
        (line,) = said(ArraySpec(shape=(3, 84, 84), dtype="float32", bounds=bounds))
        assert "Box(LOW, HIGH, (84, 84, 3), np.float32))" in line


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ((), "has none"),
        (((None, None),), "has none"),
        (((0.0, None),), "has none"),
        (((-3e38, 3e38),), "is above 65,535"),
        (((0.0, 255.0),), "differ from pixel to pixel"),
    ],
)
def test_large_numbers_of_unknown_scale_are_said_with_the_reason(bounds: tuple, why: str) -> None:
    image = ArraySpec(shape=(84, 84, 3), dtype="float32", bounds=bounds)
    (line,) = said(image, largest=254.9)
    assert line.startswith("numbers reach 254.9") and why in line and "\n" not in line
    assert said(image, largest=10.0) == []


def test_of_an_image_that_networks_read_rightly_nothing_is_said() -> None:
    assert said(ArraySpec(shape=(84, 84, 3), dtype="uint8")) == []
    assert said(ArraySpec(shape=(84, 84, 3), dtype="float32", high=(255.0,), bounds=((0.0, 255.0),))) == []
    assert said(ArraySpec(shape=(84, 84, 3), dtype="float32", bounds=((0.0, 1.0),))) == []


def test_of_what_is_no_image_nothing_is_said() -> None:
    assert said(ArraySpec(shape=(84, 84), dtype="float32")) == []
    vector = ArraySpec(shape=(84,), dtype="float32")
    assert said(vector) == [] and said(vector, vector) == []


def test_of_an_image_and_numbers_it_is_said_which_networks_read_them() -> None:
    image, vector = ArraySpec(shape=(3, 84, 84), dtype="uint8"), ArraySpec(shape=(2,), dtype="float32")
    (line,) = said(vector, image, image)
    assert line.startswith("mlp reads the pixels of x1 and x2 as numbers, since nature_cnn, small_cnn and impala take ")
    assert "docs/your_algorithm.md" in line


def said_of_scaled(image: ArraySpec, largest: float) -> list[str]:
    spec = TaskSpec(id="x", observation={"x": image}, actions=discrete(2))
    return [each.found for each in scaled_image_findings(spec, {"x": largest})]


def test_an_image_that_is_scaled_already_is_said_with_the_bound_that_divides_it() -> None:
    image = ArraySpec(shape=(84, 84, 3), dtype="float32", high=(255.0,), bounds=((0.0, 255.0),))
    (line,) = said_of_scaled(image, 0.96)
    assert line.startswith('numbers of observation "x" reach only 0.96, but networks divide them by 255')
    assert said_of_scaled(image, 1.0) and "\n" not in line
    for largest in (0.0, 1.5, 255.0):  # blank, or in use
        assert said_of_scaled(image, largest) == []
    assert said_of_scaled(ArraySpec(shape=(84, 84), dtype="float32", high=(2.0,)), 0.5) == []
    assert said_of_scaled(ArraySpec(shape=(84, 84, 2), dtype="float32", high=(1.0, 255.0)), 0.5) == []
    assert said_of_scaled(ArraySpec(shape=(128,), dtype="uint8", high=(255.0,)), 1.0) == []
