"""Rows by index are what `tf.gather` gives, bit for bit, and on a GPU nothing of them comes back to the host."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.gpu_kernels import copies_to_the_host
from tests.support.random_episodes import MIXED
from tfdqn.config import DQN, Config, Replay
from tfdqn.replay.devices import gather
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.uint64, np.int32, np.float32, np.bool_)


def random_values(dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """Of all bits that the type has."""
    rng = np.random.default_rng(5)
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(shape)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("row", [(2, 4), (3, 3), ()])
def test_it_gives_the_same_bits(dtype: type, row: tuple[int, ...]) -> None:
    flat, batched = random_values(dtype, (6, *row)), random_values(dtype, (3, 5, *row))
    places, of_each = np.array([5, 0, 0, 3]), np.array([[4, 0], [1, 1], [2, 3]])

    @tf.function(autograph=False)
    def both(flat: tf.Tensor, batched: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return gather(flat, places), gather(batched, tf.constant(of_each), batch_dims=1)

    found, found_of_each = (each.numpy() for each in both(flat, batched))
    assert found.dtype == found_of_each.dtype == dtype
    assert found.tobytes() == flat[places].tobytes()
    assert found_of_each.tobytes() == np.stack([rows[i] for rows, i in zip(batched, of_each, strict=True)]).tobytes()


def stack(height: int) -> TaskSpec:
    pixels = ArraySpec(shape=(4, height, 10), dtype="uint8", frame_stack=4)
    return TaskSpec(id="Pixels-v0", observation={"image": pixels}, actions=discrete(3))


@pytest.mark.parametrize(
    ("item", "spec"), [("block", MIXED), ("frames", stack(10)), ("frames", stack(7))], ids=["block", "even", "odd"]
)
def test_what_a_gpu_decodes_of_an_item_stays_there(item: str, spec: TaskSpec) -> None:
    replay = Replay(item=item, block_size=4, capacity=100, min_size=1)
    kind = make_item_kind(Config(agent=DQN(n_step=3), replay=replay), spec)
    items = {name: tf.TensorSpec((8, *each.shape), each.dtype) for name, each in kind.signature.items()}
    graph = tf.function(lambda items: kind.decode(items, 1), autograph=False).get_concrete_function(items).graph
    assert {"GatherV2", "Bitcast"} <= {each.type for each in graph.get_operations()}
    assert copies_to_the_host(graph) == []
