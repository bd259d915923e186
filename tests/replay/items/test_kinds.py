"""A kind of item is named in the configuration: the package's, or one that a module of the user's registers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.random_episodes import VECTOR
from tests.support.tiny_runs import tiny
from tfdqn.errors import ConfigError, OwnCodeError
from tfdqn.replay.items.kinds import make_item_kind, register_item_kind
from tfdqn.training.call import train

HALVES = "tests.support.half_items:halves"


def test_a_kind_of_ones_own_is_registered_stored_and_trained_with(tmp_path: Path) -> None:
    settings = (f"replay.item={HALVES}", "replay.shards=2", "agent.n_step=2")
    summary = train(tiny(*settings), tmp_path / "run")
    assert summary.env_steps >= 1_200
    resumed = train(tiny(*settings, "stop.env_steps=1600"), tmp_path / "run")
    assert resumed.env_steps >= 1_600 and resumed.train_steps > summary.train_steps > 250
    signature = make_item_kind(tiny(*settings), VECTOR).signature
    assert signature["observation/observation"].dtype == np.float16


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ("tests.support.half_items:thirds", 'tests.support.half_items registers no "thirds"; there are block, '),
        ("no_such_package.items:halves", 'there is no module "no_such_package" in '),
    ],
)
def test_a_kind_that_nobody_registers_is_one_line(item: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_item_kind(tiny(f"replay.item={item}"), VECTOR)
    assert str(caught.value).startswith(f'replay.item = "{item}": ') and problem in str(caught.value)


class Halved:
    """Has some of what a kind of items has."""

    signature, examples_per_item, transitions_per_item, copies = (), 1, 1, 1.0

    def __init__(self, config: Any, task_spec: Any) -> None: ...

    def writer(self, clients: Any, num_envs: int) -> None: ...


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("a:b", Halved, r"^register_item_kind: the name is .a:b.; expected text without"),
        ("thirds", None, r'^register_item_kind\("thirds"\) = None; expected a function of \(config, task_spec\)$'),
        ("thirds", lambda config: 0, r'^register_item_kind\("thirds"\) = <lambda> at .* takes \(config\); expected'),
    ],
)
def test_what_is_no_kind_is_refused_when_it_is_registered(name: str, make: Any, said: str) -> None:
    with pytest.raises(OwnCodeError, match=said):
        register_item_kind(name, make)


def test_a_kind_that_lacks_something_is_named_with_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.replay.items.kinds._KINDS", {})
    register_item_kind("halved", Halved)  # type: ignore[arg-type]
    lacking = "fills_servers_evenly, priority_scale, decode, flush, state, load_state"
    said = rf"^Halved at \S+/test_kinds\.py:\d+ returned Halved, which lacks {lacking} of an ItemKind$"
    with pytest.raises(OwnCodeError, match=said):
        make_item_kind(tiny("replay.item=tests.support.half_items:halved"), VECTOR)
