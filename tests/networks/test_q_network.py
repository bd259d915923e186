"""Q-networks: TensorFlow and NumPy agree, images keep their channels, initial weights are seeded and bounded."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import observations, random_weights, vector_spec
from tfdqn import config
from tfdqn.errors import CheckpointError, ConfigError
from tfdqn.networks.factory import numpy_q_function, q_network
from tfdqn.networks.q_network import QNetwork
from tfdqn.networks.torsos import linear
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete


def spec(**observation: ArraySpec) -> TaskSpec:
    return TaskSpec(id="Some-v0", observation=observation, actions=discrete(3))


SPECS = {
    "box": vector_spec(5, 3),
    "float64": spec(observation=ArraySpec(shape=(2, 2), dtype="float64")),
    "discrete": spec(observation=ArraySpec(shape=(), dtype="int64", categories=6)),
    "discrete with a negative start": spec(observation=ArraySpec(shape=(), dtype="int64", categories=4, start=-2)),
    "several categories": spec(observation=ArraySpec(shape=(2,), dtype="int32", categories=3, start=5)),
    "image": spec(observation=ArraySpec(shape=(4, 3, 2), dtype="uint8")),
    "stacked vectors": spec(observation=ArraySpec(shape=(3, 2), dtype="float32", frame_stack=3)),
    "dict": spec(
        speed=ArraySpec(shape=(2,), dtype="float32"),
        camera=ArraySpec(shape=(3, 3), dtype="uint8"),
        gear=ArraySpec(shape=(), dtype="int64", categories=3, start=1),
    ),
}
NETWORKS = {
    "relu": config.MLP(hidden_units=(7, 5), activation="relu"),
    "tanh": config.MLP(hidden_units=(7,), activation="tanh"),
    "elu": config.MLP(hidden_units=(7,), activation="elu"),
    "no hidden layer": config.MLP(hidden_units=()),
    "identity": config.Linear(features="identity"),
    "polynomial": config.Linear(features="polynomial", degree=2),
}


def made(settings: config.Network, task_spec: TaskSpec, seed: int = 0) -> QNetwork:
    network = q_network(config.Config(network=settings), task_spec, seed=seed)
    network.create_variables()
    return network


def arrays(network: QNetwork) -> dict[str, np.ndarray]:
    return {name: weight.numpy() for name, weight in network.named_weights().items()}


@pytest.mark.parametrize("task_spec", SPECS.values(), ids=SPECS.keys())
@pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS.keys())
def test_tensorflow_and_numpy_give_the_same_q_values(settings: config.Network, task_spec: TaskSpec) -> None:
    rng = np.random.default_rng(1)
    network = made(settings, task_spec)
    weights = random_weights(network.named_weights(), rng)
    network.load_named_weights(weights)
    in_numpy = numpy_q_function(config.Config(network=settings), task_spec)
    assert in_numpy is not None
    for count in (1, 17):
        observation = observations(task_spec, count, rng)
        before = {key: array.copy() for key, array in observation.items()}
        expected, state = network({key: tf.constant(array) for key, array in observation.items()})
        q_values = in_numpy(weights, observation)
        assert q_values.dtype == np.float32
        assert q_values.shape == (count, 3)
        assert state == ()
        np.testing.assert_allclose(q_values, expected, rtol=1e-4, atol=1e-5)
        for key, array in before.items():
            np.testing.assert_array_equal(observation[key], array)


def test_monomials_are_all_products_up_to_the_degree() -> None:
    # 1, x, y, x², xy, y² of (x, y) = (2, 3)
    factors = linear.monomials(2, 2)
    expected = [[1, 2, 3, 4, 6, 9]]
    np.testing.assert_array_equal(linear.polynomial_numpy(np.array([[2, 3]], np.float32), factors), expected)
    np.testing.assert_array_equal(linear.polynomial(tf.constant([[2.0, 3.0]]), factors), expected)
    assert len(linear.monomials(4, 3)) == 35  # C(4 + 3, 3)


@pytest.mark.parametrize(
    ("shape", "frame_stack", "channels"),
    [((36, 40), 1, 1), ((36, 40, 3), 1, 3), ((4, 36, 40), 4, 4), ((2, 36, 40, 3), 2, 6)],
)
def test_the_nature_cnn_reads_images_of_every_form(shape: tuple[int, ...], frame_stack: int, channels: int) -> None:
    task_spec = spec(observation=ArraySpec(shape=shape, dtype="uint8", frame_stack=frame_stack))
    network = made(config.NatureCNN(dense_units=8), task_spec)
    weights = arrays(network)
    # Of 36 x 40, which is padded to 36 x 44: (36-8)/4+1 = 8 by 10; (8-4)/2+1 = 3 by 4; 3-3+1 = 1 by 2
    assert {name: array.shape for name, array in weights.items()} == {
        "conv_0/kernel": (8, 8, channels, 32),
        "conv_0/bias": (32,),
        "conv_1/kernel": (4, 4, 32, 64),
        "conv_1/bias": (64,),
        "conv_2/kernel": (3, 3, 64, 64),
        "conv_2/bias": (64,),
        "hidden_0/kernel": (1 * 2 * 64, 8),
        "hidden_0/bias": (8,),
        "q/kernel": (8, 3),
        "q/bias": (3,),
    }
    observation = observations(task_spec, 2, np.random.default_rng(0))
    q_values, _ = network({key: tf.constant(array) for key, array in observation.items()})
    assert q_values.shape == (2, 3)
    assert numpy_q_function(config.Config(network=config.NatureCNN()), task_spec) is None


def test_an_atari_stack_has_the_papers_sizes() -> None:
    task_spec = spec(observation=ArraySpec(shape=(4, 84, 84), dtype="uint8", frame_stack=4))
    weights = arrays(made(config.NatureCNN(), task_spec))
    assert weights["hidden_0/kernel"].shape == (7 * 7 * 64, 512)
    assert sum(array.size for array in weights.values()) == 1_685_667  # with three actions


@pytest.mark.parametrize("shape", [(35, 84), (84, 35), (4, 4)])
def test_an_image_that_is_too_small_is_refused_in_one_line(shape: tuple[int, int]) -> None:
    task_spec = spec(observation=ArraySpec(shape=shape, dtype="uint8"))
    with pytest.raises(ConfigError, match=r"too small .*36 x 36") as caught:
        q_network(config.Config(network=config.NatureCNN()), task_spec, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["box", "discrete", "dict", "stacked vectors"])
def test_what_is_no_image_is_refused_by_the_nature_cnn(name: str) -> None:
    with pytest.raises(ConfigError, match=r"needs one image .* which network\.kind=mlp takes"):
        q_network(config.Config(network=config.NatureCNN()), SPECS[name], seed=0)


def test_of_an_image_with_numbers_it_is_said_where_a_network_for_both_is() -> None:
    image, numbers = ArraySpec(shape=(84, 84), dtype="uint8"), ArraySpec(shape=(2,), dtype="float32")
    with pytest.raises(ConfigError, match=r"needs one image .*, and for an image and numbers docs/your_algorithm\.md"):
        q_network(config.Config(network=config.NatureCNN()), spec(camera=image, speed=numbers), seed=0)


@pytest.mark.parametrize("settings", [config.MLP(hidden_units=(7, 5)), config.NatureCNN(dense_units=8)])
def test_the_seed_alone_decides_the_initial_weights(settings: config.Network) -> None:
    task_spec = spec(observation=ArraySpec(shape=(36, 36), dtype="uint8"))
    first, again, other = (arrays(made(settings, task_spec, seed)) for seed in (1, 1, 2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert np.isin(array, other[name]).mean() < 0.01, name


def test_no_two_layers_share_their_random_numbers() -> None:
    weights = arrays(made(config.MLP(hidden_units=(6, 6)), vector_spec(6, 6)))
    kernels = [array for name, array in weights.items() if name.endswith("kernel")]
    assert len(kernels) == 3
    assert len(np.unique(np.concatenate([kernel.ravel() for kernel in kernels]))) == 3 * 36


@pytest.mark.parametrize(
    ("settings", "fan_ins"),
    [
        (config.MLP(hidden_units=(50, 40)), {"hidden_0": 36 * 36, "hidden_1": 50, "q": 40}),
        (
            config.NatureCNN(dense_units=30),
            {"conv_0": 64, "conv_1": 16 * 32, "conv_2": 9 * 64, "hidden_0": 64, "q": 30},
        ),
    ],
)
def test_weights_and_biases_start_uniform_within_one_over_the_root_of_fan_in(
    settings: config.Network, fan_ins: dict[str, int]
) -> None:
    weights = arrays(made(settings, spec(observation=ArraySpec(shape=(36, 36), dtype="uint8"))))
    assert {name.split("/")[0] for name in weights} == fan_ins.keys()
    for name, array in weights.items():
        bound = fan_ins[name.split("/")[0]] ** -0.5
        assert np.abs(array).max() <= bound
        if array.size >= 60:
            assert np.abs(array).max() > 0.9 * bound
            assert abs(array.std() * 3**0.5 / bound - 1) < 0.2  # a uniform distribution's, not a normal one's


def test_the_identity_needs_no_monomials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "monomials", pytest.fail)  # of 200 inputs, many would be beyond any memory
    q_function = numpy_q_function(config.Config(network=config.Linear(features="identity")), vector_spec(200, 3))
    assert q_function is not None
    q_values = q_function({"theta/kernel": np.ones((200, 3))}, {"observation": np.ones((2, 200), np.float32)})
    np.testing.assert_array_equal(q_values, np.full((2, 3), 200))


def test_theta_starts_at_zero_and_has_no_bias() -> None:
    weights = arrays(made(config.Linear(features="polynomial", degree=2), vector_spec(2, 3)))
    assert weights.keys() == {"theta/kernel"}
    np.testing.assert_array_equal(weights["theta/kernel"], np.zeros((6, 3)))


def test_weights_by_name_come_from_input_to_output_and_go_back_in() -> None:
    settings = config.MLP(hidden_units=(7, 5))
    network, other = made(settings, vector_spec(), 1), made(settings, vector_spec(), 2)
    assert list(network.named_weights()) == [
        f"{layer}/{part}" for layer in ("hidden_0", "hidden_1", "q") for part in ("kernel", "bias")
    ]
    other.load_named_weights(arrays(network))
    observation = {"observation": tf.constant(np.random.default_rng(0).normal(size=(4, 3)), tf.float32)}
    np.testing.assert_array_equal(network(observation)[0], other(observation)[0])


def test_weights_that_do_not_fit_are_refused() -> None:
    network = made(config.MLP(hidden_units=(7,)), vector_spec())
    weights = arrays(network)
    before = arrays(network)
    with pytest.raises(CheckpointError, match=r"q/bias is absent, not float32\[4\]"):
        network.load_named_weights({name: array for name, array in weights.items() if name != "q/bias"})
    for change, line in (
        ({"q/bias": np.zeros(9, np.float32)}, r"q/bias is float32\[9\], not float32\[4\]"),
        ({"hidden_1/kernel": np.zeros((7, 7), np.float32)}, r"hidden_1/kernel is float32\[7, 7\], not absent"),
    ):
        others = {name: np.ones_like(array) for name, array in weights.items()}
        with pytest.raises(CheckpointError, match=line):
            network.load_named_weights(others | change)
    for name, array in arrays(network).items():
        np.testing.assert_array_equal(array, before[name])  # not even a part of them was taken
