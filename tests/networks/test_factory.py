"""The weights that a run's network has, told without making it; what is refused of a network from outside."""

import pytest

from tests.support.batches import vector_spec
from tests.support.mistaken_network import mistaken
from tests.support.random_episodes import VECTOR
from tests.support.tiny_runs import tiny
from tfdqn.config import Config
from tfdqn.errors import OwnCodeError, TaskError
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


@pytest.mark.parametrize(("name", "by"), [("legal_actions", "task.action_masks"), ("policy_state", "network.memory")])
def test_a_part_with_the_name_of_another_input_of_exports_is_refused_before_training(name: str, by: str) -> None:
    spec = TaskSpec(
        id="Named-v0",
        observation={name: ArraySpec(shape=(2,), dtype="float32")},
        actions=discrete(3),
        action_masks=True,
    )
    with pytest.raises(TaskError, match=f'Named-v0: observation "{name}" has the name of an input .* by {by}'):
        weight_specs(tiny("task.action_masks=true", 'network.memory="gru"', 'replay.item="sequence"'), spec)


SPEC = vector_spec(5, 3)
OWN = r"^torso at \S+/mistaken_network\.py:\d+ and head at \S+/mistaken_network\.py:\d+: "


@pytest.mark.parametrize(
    ("mistake", "said"),
    {
        "own layer": OWN + r"the variable \S+/bias:0 would be neither trained nor saved: layers must come from the",
        "unused": OWN + "a layer with the weight second/kernel is made, and never called$",
        "fan_in": OWN
        + r"first/kernel is made as float32\[6, 8\], but what its layer .* float32\[5, 8\]: correct fan_in",
        "same name": '^two layers are named "first": each needs a name of its own',
    }.items(),
)
def test_each_mistake_of_a_network_from_outside_is_one_line(mistake: str, said: str) -> None:
    with pytest.raises(OwnCodeError, match=said):
        network_to_load(mistaken(mistake), SPEC)


def test_a_head_from_outside_for_several_action_dimensions_has_its_own_variables_refused() -> None:
    spec, config = vector_spec(5, (3, 2)), Config(agent=mistaken(agent="own layer").agent)
    said = r"^branches at \S+/mistaken_network\.py:\d+: the variable \S+/bias:0 would be neither trained nor saved: "
    with pytest.raises(OwnCodeError, match=said):
        network_to_load(config, spec)
    assert network_to_load(Config(agent=mistaken().agent), spec).named_weights()


def test_a_network_from_outside_without_one_is_made() -> None:
    names = {"first/kernel", "first/bias", "q/kernel", "q/bias"}
    assert set(network_to_load(mistaken(), SPEC).named_weights()) == names
