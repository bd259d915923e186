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

Q_VALUES = r"MistakenHead\.q_values at \S+/mistaken_network\.py:\d+ gives "


@pytest.mark.parametrize(
    ("mistake", "said"),
    {
        "nothing": r"head at \S+/mistaken_network\.py:\d+ gives NoneType, where a Head is due",
        "no noise": r"outputs of head at .* takes \(features\), where \(features, noise\) is due",
        "one column": Q_VALUES + r"float32\[1, 1\], where float32\[1, 3\] is due",
        "no batch": Q_VALUES + r"float32\[3\], where float32\[1, 3\] is due",
        "actions": Q_VALUES + r"int64\[1\], where float32\[1, 3\] is due",
        "none": Q_VALUES + r"NoneType, where float32\[1, 3\] is due",
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
        (MistakenHead, r"HEADS\[MistakenAgent\] = MistakenHead at .*, where a HeadKind is due"),
        (3, r"HEADS\[MistakenAgent\] = 3, where a HeadKind is due"),
        (HeadKind(lambda width: None), r".*\.build = .* takes \(width\), where \(config, width, num_actions, make\)"),
        (HeadKind(MistakenHead, lambda a, b: None), r".*\.in_numpy = .* takes \(a, b\), where \(config\) is due"),
        (HeadKind(MistakenHead, branches=MistakenHead), r".*\.branches = MistakenHead at .* a BranchesKind is due"),
        (
            HeadKind(MistakenHead, branches=BranchesKind(MistakenHead, len)),
            r".*\.branches\.in_numpy = len takes \(obj.*\), where \(config, num_actions\) is due",
        ),
    ],
)
def test_what_is_no_kind_of_head_is_refused_when_it_is_registered(kind: Any, said: str) -> None:
    before = dict(HEADS)
    with pytest.raises(OwnCodeError, match=said):
        HEADS[MistakenAgent] = kind
    assert before == HEADS
