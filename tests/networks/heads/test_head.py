"""A head from outside that isn't one, or gives no Q-values: refused when it is registered, or its network made."""

import re
from typing import Any

import pytest

from tests.support.batches import vector_spec
from tests.support.mistaken_network import MistakenAgent, MistakenHead, mistaken
from tfdqn.errors import OwnCodeError
from tfdqn.networks.factory import network_to_load
from tfdqn.networks.heads.head import BranchesKind, HeadKind
from tfdqn.networks.heads.table import HEADS

Q_VALUES = r"MistakenHead\.q_values at \S+/mistaken_network\.py:\d+ returned "


@pytest.mark.parametrize(
    ("mistake", "said"),
    {
        "nothing": r"head at \S+/mistaken_network\.py:\d+ returned NoneType; expected a Head",
        "no noise": r"outputs of head at .* takes \(features\); expected \(features, noise\)",
        "one column": Q_VALUES + r"float32\[1, 1\]; expected float32\[1, 3\]",
        "no batch": Q_VALUES + r"float32\[3\]; expected float32\[1, 3\]",
        "actions": Q_VALUES + r"int64\[1\]; expected float32\[1, 3\]",
        "none": Q_VALUES + r"NoneType; expected float32\[1, 3\]",
    }.items(),
)
def test_each_mistake_is_one_line_that_names_the_function(mistake: str, said: str) -> None:
    with pytest.raises(OwnCodeError) as caught:
        network_to_load(mistaken(agent=mistake), vector_spec(5, 3))
    assert re.match(said, str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (MistakenHead, r"HEADS\[MistakenAgent\] = MistakenHead at .*; expected a HeadKind"),
        (3, r"HEADS\[MistakenAgent\] = 3; expected a HeadKind"),
        (HeadKind(lambda width: None), r".*\.build = .* takes \(width\); expected \(config, width, num_actions"),
        (HeadKind(MistakenHead, lambda a, b: None), r".*\.in_numpy = .* takes \(a, b\); expected \(config\)"),
        (HeadKind(MistakenHead, branches=MistakenHead), r".*\.branches = MistakenHead at .*; expected a BranchesKind"),
        (
            HeadKind(MistakenHead, branches=BranchesKind(MistakenHead, len)),
            r".*\.branches\.in_numpy = len takes \(obj.*\); expected \(config, num_actions\)",
        ),
    ],
)
def test_what_is_no_kind_of_head_is_refused_when_it_is_registered(kind: Any, said: str) -> None:
    before = dict(HEADS)
    with pytest.raises(OwnCodeError, match=said):
        HEADS[MistakenAgent] = kind
    assert before == HEADS
