"""A torso from outside that isn't one, or gives other features than it says: refused when its network is made."""

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from tests.support.batches import vector_spec
from tests.support.mistaken_network import MistakenNetwork, mistaken
from tfdqn.config import Config
from tfdqn.errors import OwnCodeError
from tfdqn.networks.factory import ensemble_network, network_to_load, q_network, split_network, weight_specs
from tfdqn.networks.torsos.table import TORSOS
from tfdqn.networks.torsos.torso import Torso, TorsoKind

SPEC = vector_spec(5, 3)
BUILDER = r"torso at \S+/mistaken_network\.py:\d+"
HIDDEN = r"hidden at \S+/mistaken_network\.py:\d+ returned "
FEATURES = r"torso\.<locals>\.features at \S+/mistaken_network\.py:\d+ returned "

MAKERS: dict[str, Callable[[Config], object]] = {
    "recorded": lambda config: weight_specs(config, SPEC),
    "plain": lambda config: q_network(config, SPEC, seed=0).create_variables(),
    "ensemble": lambda config: ensemble_network(config, SPEC, seeds=[0, 1]).create_variables(),
    "split": lambda config: split_network(config, SPEC, seed=0, devices=["CPU:0", "CPU:0"]).create_variables(),
}


@pytest.mark.parametrize(
    ("mistake", "said"),
    {
        "tuple": BUILDER + " returned tuple; expected a Torso",
        "nothing": BUILDER + " returned NoneType; expected a Torso",
        "float width": BUILDER + r" returned Torso\.width = 8\.0; expected a whole number of at least 1",
        "no width": BUILDER + r" returned Torso\.width = 0; expected a whole number of at least 1",
        "no function": rf"Torso\.features of {BUILDER} = 3; expected a function of \(observation\)",
        "two parameters": r"Torso\.features of .* takes \(observation, more\); expected \(observation\)",
        "width": FEATURES + r"float32\[1, 3\]; expected float32\[1, 8\]: 8 is Torso\.width",
        "dtype": FEATURES + r"float16\[1, 8\]; expected float32\[1, 8\]",
        "list": FEATURES + r"list; expected float32\[1, 8\]",
        "none": FEATURES + r"NoneType; expected float32\[1, 8\]",
        "array": FEATURES + r"a NumPy array float32\[1, 8\]; expected float32\[1, 8\]",
        "flat": FEATURES + r"float32\[8\]; expected float32\[1, 8\]",
        "hidden tuple": HIDDEN + "tuple; expected a Hidden",
        "hidden name": HIDDEN + r"Hidden\.name = ''; expected text",
        "hidden units": HIDDEN + r"Hidden\.units = 0; expected a whole number of at least 1",
        "hidden float": HIDDEN + r"Hidden\.units = 8\.0; expected a whole number of at least 1",
        "hidden activation": HIDDEN + r"Hidden\.activation = 'rellu'; expected the name of one, such as \"relu\"",
        "mean of the batch": FEATURES + r"float32\[1, 8\]; expected float32\[3, 8\]",
    }.items(),
)
def test_each_mistake_is_one_line_that_names_the_function(mistake: str, said: str) -> None:
    with pytest.raises(OwnCodeError) as caught:
        network_to_load(mistaken(mistake), SPEC)
    assert re.match(said, str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_last_hidden_layer_of_the_users_is_made() -> None:
    assert {"hidden/kernel", "hidden/bias"} <= {*network_to_load(mistaken("hidden"), SPEC).named_weights()}


@pytest.mark.parametrize(
    ("make", "config"),
    [
        *product(MAKERS.values(), [mistaken("convolution"), mistaken(agent="convolution")]),
        *product([MAKERS["recorded"], MAKERS["plain"]], [mistaken("padded convolution")]),
    ],
)
def test_convolutions_need_settings_that_say_so(make: Callable[[Config], object], config: Config) -> None:
    with pytest.raises(OwnCodeError) as caught:
        make(config)
    assert re.fullmatch(
        rf'{BUILDER} and head at \S+: the layer "second" is a convolution, for which the settings MistakenNetwork at '
        r"\S+/mistaken_network\.py:\d+ must be derived from tfdqn\.config\.ConvolutionalNetwork",
        str(caught.value),
    )


def test_a_heads_convolutions_on_a_built_in_torso_ask_for_a_network_with_convolutions() -> None:
    with pytest.raises(OwnCodeError) as caught:
        weight_specs(Config(agent=mistaken(agent="convolution").agent), SPEC)
    assert re.fullmatch(
        r'head at \S+/mistaken_network\.py:\d+: the layer "second" is a convolution, for which network\.kind = "mlp" '
        r'is not made: choose "nature_cnn", "small_cnn" or "impala", or a network of your own whose settings are '
        r"derived from tfdqn\.config\.ConvolutionalNetwork",
        str(caught.value),
    )


def test_features_in_pieces_on_several_devices_are_not_checked() -> None:
    network = split_network(mistaken(), SPEC, seed=0, devices=["CPU:0", "CPU:0"])
    assert network.create_variables().shape == (3,)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Torso, r"TORSOS\[MistakenNetwork\] = Torso at .*; expected a TorsoKind"),
        (TorsoKind(lambda settings, task_spec: None), r".*\.build = .* takes \(settings, task_spec\); expected "),
        (TorsoKind(None), r".*\.build = None; expected a function of \(settings, task_spec, make\)"),
        (TorsoKind(Torso, in_numpy=Torso._make), r".*\.build = Torso"),
        (TorsoKind(lambda *_: None, in_numpy=lambda weights: None), r".*\.in_numpy = .* takes \(weights\); expected "),
        (TorsoKind(lambda *_: None, hidden=3), r".*\.hidden = 3; expected a function of \(settings\)"),
    ],
)
def test_what_is_no_kind_of_torso_is_refused_when_it_is_registered(kind: Any, said: str) -> None:
    before = dict(TORSOS)
    with pytest.raises(OwnCodeError, match=said):
        TORSOS[MistakenNetwork] = kind
    assert before == TORSOS
