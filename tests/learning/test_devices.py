"""Whether what learns has GPUs is asked of the processes that do, wherever they are."""

from collections.abc import Callable

import pytest
import tensorflow as tf

from tests.support.tiny_runs import tiny
from tfdqn.learning.devices import learns_on_gpus

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
        devices = [tf.config.LogicalDevice(each, each.split(":")[-2]) for each in names]
        monkeypatch.setattr(
            tf.config, "list_logical_devices", lambda kind: [each for each in devices if each.device_type == kind]
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
