"""On GPUs, with TF32 off, every way to divide the work gives what plain training gives on the CPU."""

import pytest

from tests.gpu.conftest import GPUs
from tests.support.parity_runs import largest_difference

pytestmark = pytest.mark.gpu
DIFFERENCE = 1e-4  # Adam's first steps have the gradients' signs, whatever their size
OF_THE_WAY = 0.25  # in bfloat16, whose errors grow in twenty updates


@pytest.mark.parametrize("xla", ["off", "on"])
@pytest.mark.parametrize("network", ["mlp", "nature_cnn", "impala"])
def test_one_gpu_equals_the_cpu(network: str, xla: str, gpus: GPUs) -> None:
    assert largest_difference("on one device", "1", "sgd", xla, network, devices=gpus.parity) < DIFFERENCE


@pytest.mark.parametrize("xla", ["off", "on"])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_optimizers_on_one_gpu_equal_the_cpu_s(optimizer: str, xla: str, gpus: GPUs) -> None:
    assert largest_difference("on one device", "1", optimizer, xla, devices=gpus.parity) < DIFFERENCE


@pytest.mark.parametrize("network", ["mlp", "nature_cnn"])
def test_mixed_precision_is_near_the_cpu_s(network: str, gpus: GPUs) -> None:
    assert largest_difference("in bfloat16", "1", "sgd", "on", network, devices=gpus.parity) < OF_THE_WAY


@pytest.mark.parametrize(("xla", "parts"), [("off", "1"), ("on", "1"), ("off", "2")])
def test_two_replicas_equal_the_cpu(xla: str, parts: str, gpus: GPUs) -> None:
    """Of one GPU they are halves, between which gradients can't go by NCCL."""
    case = ("mirrored", "2", "sgd", xla, "one_device", "1", parts)
    assert largest_difference(*case, devices=gpus.parity) < DIFFERENCE


@pytest.mark.parametrize("all_reduce", ["auto", "nccl", "hierarchical_copy"])
def test_replicas_on_all_gpus_equal_the_cpu(all_reduce: str, gpus: GPUs) -> None:
    if gpus.count < 2:
        pytest.skip("one GPU: several are needed to exchange gradients by NCCL")
    if gpus.parity != "gpus" and all_reduce == "nccl":
        all_reduce = "one_device"
    count = max(count for count in (2, 3, 4, 6, 8) if count <= gpus.count)  # which divide the batch of 24
    assert largest_difference("mirrored", str(count), "sgd", "off", all_reduce, devices=gpus.parity) < DIFFERENCE


@pytest.mark.parametrize(("columns", "rows", "network"), [("2", "1", "mlp"), ("2", "1", "cnn"), ("2", "2", "mlp")])
def test_split_networks_and_meshes_equal_the_cpu(columns: str, rows: str, network: str, gpus: GPUs) -> None:
    assert largest_difference("mesh", columns, "sgd", rows, network, devices=gpus.parity) < DIFFERENCE


def test_averaging_after_every_update_equals_the_cpu(gpus: GPUs) -> None:
    assert largest_difference("averaging", "2", "sgd", "on", devices=gpus.parity) < DIFFERENCE


def test_an_ensemble_on_two_replicas_equals_the_cpu(gpus: GPUs) -> None:
    assert largest_difference("mirrored", "2", "sgd", "off", "one_device", "3", devices=gpus.parity) < DIFFERENCE
