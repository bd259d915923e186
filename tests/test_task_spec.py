"""What an array of an observation tells of its numbers' scale."""

import pytest

from tfdqn.task_spec import ArraySpec

ANY, UNIT, PIXELS = ((None, None),), ((-1.0, 1.0),), ((0.0, 300.0),)


@pytest.mark.parametrize(
    ("array", "is_of_unknown_scale"),
    [
        (ArraySpec(shape=(), dtype="float32", bounds=ANY), True),
        (ArraySpec(shape=(3,), dtype="float32", bounds=UNIT), True),
        (ArraySpec(shape=(3,), dtype="int32", bounds=PIXELS), True),
        (ArraySpec(shape=(4, 3), dtype="float32", bounds=ANY, frame_stack=4), True),
        (ArraySpec(shape=(5, 5), dtype="float32", bounds=ANY), True),
        (ArraySpec(shape=(5, 5), dtype="float32", bounds=((-1.0, None),)), True),
        (ArraySpec(shape=(2, 2), dtype="float32", bounds=(*UNIT * 3, (0.0, 8.0))), True),
        (ArraySpec(shape=(2, 2, 2, 2), dtype="float32", bounds=UNIT), True),
        (ArraySpec(shape=(5, 5), dtype="float32", bounds=UNIT), False),
        (ArraySpec(shape=(4, 5, 5), dtype="float32", bounds=UNIT, frame_stack=4), False),
        (ArraySpec(shape=(5, 5, 3), dtype="float32", high=(300.0,), bounds=PIXELS), False),
        (ArraySpec(shape=(3,), dtype="uint8", high=(1.0,), bounds=((0.0, 1.0),)), False),
        (ArraySpec(shape=(3,), dtype="uint8"), False),
        (ArraySpec(shape=(3,), dtype="int32", categories=7), False),
    ],
    ids=str,
)
def test_numbers_are_of_unknown_scale_where_nothing_scales_them(array: ArraySpec, is_of_unknown_scale: bool) -> None:
    assert array.is_of_unknown_scale is is_of_unknown_scale
