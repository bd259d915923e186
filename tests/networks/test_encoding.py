"""Observations become features: categories, bytes and images, the same in TensorFlow and in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.networks import encoding
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete


def spec(**observation: ArraySpec) -> TaskSpec:
    return TaskSpec(id="Some-v0", observation=observation, actions=discrete(3))


def both(array: np.ndarray, array_spec: ArraySpec) -> np.ndarray:
    """The features of one array, after a check that TensorFlow's and NumPy's agree."""
    task_spec = spec(observation=array_spec)
    found = encoding.encode_numpy({"observation": array}, task_spec)
    np.testing.assert_array_equal(found, encoding.encode({"observation": tf.constant(array)}, task_spec))
    assert found.dtype == np.float32
    return found


def test_a_category_is_one_hot_from_its_start() -> None:
    task_spec = spec(observation=ArraySpec(shape=(), dtype="int32", categories=4, start=-2))
    observation: dict[str, np.ndarray] = {"observation": np.array([-2, 0, 1], np.int32)}
    expected = np.eye(4)[[0, 2, 3]]
    np.testing.assert_array_equal(encoding.encode_numpy(observation, task_spec), expected)
    np.testing.assert_array_equal(encoding.encode(observation, task_spec), expected)


def test_bytes_are_scaled_to_the_unit_interval_and_numbers_are_not() -> None:
    task_spec = spec(a=ArraySpec(shape=(2,), dtype="uint8"), b=ArraySpec(shape=(1,), dtype="int32"))
    observation: dict[str, np.ndarray] = {"a": np.array([[0, 255]], np.uint8), "b": np.array([[7]], np.int32)}
    np.testing.assert_allclose(encoding.encode_numpy(observation, task_spec), [[0, 1, 7]])
    assert encoding.num_features(task_spec) == 3


@pytest.mark.parametrize("start", [0, 5, -3])
def test_what_is_no_category_is_all_zero(start: int) -> None:
    ends = np.iinfo(np.int32)
    outside = [start - 4, start - 1, start + 4, start + 5, ends.min, ends.max]
    found = both(
        np.array([[start, each] for each in outside], np.int32),
        ArraySpec(shape=(2,), dtype="int32", categories=4, start=start),
    )
    np.testing.assert_array_equal(found, np.tile(np.eye(8)[0], (len(outside), 1)))


def test_a_million_categories_cost_one_row_each() -> None:
    categories = 2**20  # as a square matrix: four terabytes
    found = both(np.array([7, 2**20 - 1], np.int32), ArraySpec(shape=(), dtype="int32", categories=categories))
    assert found.shape == (2, categories)
    np.testing.assert_array_equal(np.argwhere(found), [[0, 7], [1, 2**20 - 1]])


@pytest.mark.parametrize(
    ("high", "expected"),
    [
        ((), [[0, 1 / 255, 1]]),  # unknown
        ((255.0,), [[0, 1 / 255, 1]]),
        ((1.0,), [[0, 1, 255]]),  # a board of noughts and ones
        ((0.0,), [[0, 1, 255]]),  # what is always 0 stays so
    ],
)
def test_bytes_are_divided_by_their_own_upper_bound(high: tuple[float, ...], expected: list) -> None:
    array_spec = ArraySpec(shape=(3,), dtype="uint8", high=high)
    np.testing.assert_allclose(both(np.array([[0, 1, 255]], np.uint8), array_spec), expected, rtol=1e-6)


@pytest.mark.parametrize("frame_stack", [1, 2])
@pytest.mark.parametrize(
    ("dtype", "high", "each"),
    [
        ("float32", (255.0,), (127.5, 127.5, 127.5)),
        ("int32", (254.0,), (127, 127, 127)),
        ("float32", (255.0, 10.0, 1.0), (127.5, 5.0, 0.5)),
    ],
)
def test_an_image_of_numbers_is_divided_by_its_bound_or_each_channel_by_its_own(
    dtype: str, high: tuple[float, ...], each: tuple[float, ...], frame_stack: int
) -> None:
    shape = (2, 4, 5, 3) if frame_stack > 1 else (4, 5, 3)
    picture = ArraySpec(shape=shape, dtype=dtype, high=high, frame_stack=frame_stack)
    half_bright = np.broadcast_to(np.array(each, dtype), (7, *shape))
    np.testing.assert_allclose(both(half_bright, picture), 0.5, rtol=1e-6)
    encoded = encoding.encode_image(tf.constant(half_bright), picture)
    np.testing.assert_allclose(encoded, np.full((7, 4, 5, 3 * frame_stack), 0.5), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_numbers_without_a_bound_are_taken_as_they_are(dtype: str) -> None:
    numbers = np.full((2, 4, 5, 3), 100, dtype)
    np.testing.assert_array_equal(both(numbers, ArraySpec(shape=(4, 5, 3), dtype=dtype)), np.full((2, 60), 100))


@pytest.mark.parametrize("frame_stack", [1, 2])
def test_an_image_is_divided_by_its_own_upper_bound(frame_stack: int) -> None:
    shape = (2, 4, 3) if frame_stack > 1 else (4, 3)
    board = ArraySpec(shape=shape, dtype="uint8", high=(4.0,), frame_stack=frame_stack)
    encoded = encoding.encode_image(tf.fill((5, *shape), tf.constant(4, tf.uint8)), board)
    np.testing.assert_array_equal(encoded, np.ones((5, 4, 3, frame_stack)))


@pytest.mark.parametrize("colours", [(), (3,)])
def test_each_stacked_frame_stays_in_channels_of_its_own(colours: tuple[int, ...]) -> None:
    """Poison one frame: only its channels may show it, and every pixel must stay where it was."""
    frames, rng = 4, np.random.default_rng(2)
    each = ArraySpec(shape=(frames, 5, 6, *colours), dtype="uint8", frame_stack=frames)
    image = rng.integers(100, size=(2, *each.shape)).astype(np.uint8)
    clean = encoding.encode_image(tf.constant(image), each).numpy()
    assert clean.shape == (2, 5, 6, frames * int(np.prod(colours, dtype=int)))
    for frame in range(frames):
        poisoned = image.copy()
        poisoned[:, frame, 1, 2] = 255
        encoded = encoding.encode_image(tf.constant(poisoned), each).numpy()
        changed = np.argwhere(encoded != clean)
        assert {tuple(where) for where in changed[:, 1:3]} == {(1, 2)}
        channels = encoded.reshape(2, 5, 6, -1, frames)  # colour by colour, oldest frame first
        assert (channels[:, 1, 2, :, frame] == 1).all()
        assert len(changed) == 2 * max(len(colours) * 3, 1)
