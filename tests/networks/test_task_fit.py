"""What a network can't take is known without TensorFlow, in the words in which making the network refuses it."""

import subprocess
import sys

import pytest

from tfdqn.config import MLP, Config, Impala, Linear, NatureCNN, Network, SmallCNN
from tfdqn.errors import ConfigError
from tfdqn.networks.factory import weight_specs
from tfdqn.networks.task_fit import require_fit
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

SHAPES = [(4,), (2, 9), (9, 2, 3), (35, 36, 1), (36, 36)]


def refusal(network: Network, task_spec: TaskSpec, by_making: bool) -> str:
    try:
        if by_making:
            weight_specs(Config(network=network), task_spec)
        else:
            require_fit(network, task_spec)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_what_making_the_network_says(shape: tuple[int, ...]) -> None:
    spec = TaskSpec(id="x", observation={"observation": ArraySpec(shape=shape, dtype="uint8")}, actions=discrete(2))
    networks = [NatureCNN(), SmallCNN(), Impala(), MLP(), MLP(normalize_observations=True), Linear()]
    for network in (*networks, Linear(normalize_observations=True)):
        assert refusal(network, spec, by_making=False) == refusal(network, spec, by_making=True)
    assert bool(refusal(NatureCNN(), spec, by_making=False)) == (shape != (36, 36))


def test_it_is_light() -> None:
    program = "import sys, tfdqn.networks.task_fit; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
