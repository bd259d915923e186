"""Whether what learns has GPUs is asked of the processes that do, wherever they are."""

from collections.abc import Callable

import pytest
import tensorflow as tf

from tests.support.tiny_runs import tiny
from tfdqn.errors import ConfigError
from tfdqn.learning import devices
from tfdqn.learning.devices import learning_devices, learns_on_gpus, use_threads

ALONE = ("/device:CPU:0",)
CHIEF, SERVER = "/job:chief/replica:0/task:0", "/job:ps/replica:0/task:0"
WORKERS = tuple(f"/job:worker/replica:0/task:{i}" for i in (0, 1))
JOB = tuple(f"{process}/device:CPU:0" for process in (CHIEF, SERVER, *WORKERS))
ASYNCHRONOUS = "learner.strategy=parameter_server"

See = Callable[..., None]


@pytest.fixture
def see(monkeypatch: pytest.MonkeyPatch) -> See:
    """Stands in for the devices that TensorFlow lists."""

    def see(*names: str) -> None:
        there = [tf.config.LogicalDevice(each, each.split(":")[-2]) for each in names]
        monkeypatch.setattr(
            tf.config, "list_logical_devices", lambda kind: [each for each in there if each.device_type == kind]
        )

    return see


@pytest.mark.parametrize(
    ("strategy", "there", "expected"),
    [
        ("learner.strategy=local", ALONE, False),
        ("learner.strategy=local", (*ALONE, "/device:GPU:0"), True),
        ("learner.strategy=mirrored", (*ALONE, "/device:GPU:0", "/device:GPU:1"), True),
        (ASYNCHRONOUS, JOB, False),
        (ASYNCHRONOUS, (*JOB, *(f"{each}/device:GPU:0" for each in (CHIEF, WORKERS[1]))), False),
        (ASYNCHRONOUS, (*JOB, f"{WORKERS[1]}/device:GPU:0"), False),
        (ASYNCHRONOUS, (*JOB, *(f"{each}/device:GPU:0" for each in WORKERS)), True),
    ],
    ids=["none", "one", "two", "a job without", "the chief's and one", "one worker's", "all workers'"],
)
def test_the_gpus_of_those_that_compute_count(strategy: str, there: tuple[str, ...], expected: bool, see: See) -> None:
    see(*there)
    assert learns_on_gpus(tiny(strategy)) == expected


@pytest.mark.parametrize("choice", ["true", "false"])
def test_factors_are_rounded_where_gradients_are_computed_if_the_configuration_says_so(
    choice: str, request: pytest.FixtureRequest
) -> None:
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    request.addfinalizer(lambda: tf.config.experimental.enable_tensor_float_32_execution(before))
    tf.config.experimental.enable_tensor_float_32_execution(choice == "false")
    learning_devices(tiny(f"learner.tf32={choice}"))
    assert tf.config.experimental.tensor_float_32_execution_enabled() == (choice == "true")


def test_acting_on_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(ConfigError, match=r'acting.device = "gpu" needs a GPU, and this process sees none'):
        learning_devices(tiny("network.kind=impala", "acting.device=gpu"))


@pytest.mark.parametrize(
    ("settings", "runs", "expected"),
    [
        ([], 1, {"inter_op": 1, "intra_op": 1}),
        (["learner.threads=3"], 2, {"inter_op": 2, "intra_op": 3}),
        (["network.kind=small_cnn"], 1, {"inter_op": 1, "intra_op": 1}),
        (["network.kind=nature_cnn"], 1, {"inter_op": 2, "intra_op": 7}),
        (["network.kind=nature_cnn", "learner.schedule=alternate"], 1, {"inter_op": 1, "intra_op": 0}),
        (["network.kind=nature_cnn", "learner.strategy=mirrored"], 1, {"inter_op": 4, "intra_op": 0}),
        (["network.kind=impala"], 2, {"inter_op": 3, "intra_op": 7}),
        (
            ["learner.strategy=mirrored", "learner.logical_devices=8", "learner.batch_size=8"],
            1,
            {"inter_op": 8, "intra_op": 1},
        ),
    ],
    ids=[
        "dense",
        "two runs",
        "small convolutions",
        "large ones",
        "large ones, in turn",
        "large ones, mirrored",
        "two runs of large ones",
        "eight devices",
    ],
)
def test_acting_by_a_large_network_has_a_thread_besides_that_of_updates(
    settings: list[str], runs: int, expected: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    monkeypatch.setattr(devices, "available_cores", lambda: 8)
    for kind in expected:
        monkeypatch.setattr(
            tf.config.threading, f"set_{kind}_parallelism_threads", lambda count, kind=kind: found.update({kind: count})
        )
    use_threads(tiny(*settings), runs)
    assert found == expected
