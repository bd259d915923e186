"""The weights that a run's network has, told without making it."""

import pytest

from tests.support.random_episodes import VECTOR
from tests.support.tiny_runs import tiny
from tfdqn.config import Config
from tfdqn.networks.factory import network_to_load, weight_specs
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

FRAMES = TaskSpec(
    id="Frames-v0",
    observation={"observation": ArraySpec(shape=(4, 40, 52), dtype="uint8", frame_stack=4)},
    actions=discrete(3),
)
CNN = 'network={kind="nature_cnn", dense_units=32}'


@pytest.mark.parametrize(
    ("config", "task_spec"),
    [
        (tiny("network.hidden_units=[7, 5]"), VECTOR),
        (tiny("network.hidden_units=[]"), VECTOR),
        (tiny("network.normalize_observations=true"), VECTOR),
        (tiny("network.normalize_observations=true", "ensemble.size=3"), VECTOR),
        (tiny("ensemble.size=3"), VECTOR),
        (tiny(CNN), FRAMES),
        (tiny(CNN, "ensemble.size=2"), FRAMES),
        (tiny('network={kind="linear", features="identity"}'), VECTOR),
        (tiny('network={kind="linear", features="polynomial", degree=2}', "ensemble.size=2"), VECTOR),
    ],
)
def test_they_are_those_that_the_network_has(config: Config, task_spec: TaskSpec) -> None:
    made = network_to_load(config, task_spec).named_weights()
    told = weight_specs(config, task_spec)
    assert list(told) == list(made)
    for name, weight in made.items():
        assert (told[name].shape, told[name].dtype) == (weight.shape, weight.dtype), name
