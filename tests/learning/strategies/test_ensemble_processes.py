"""Members in processes: whichever process it is, a member samples the server of its own and no other."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.support.batches import vector_spec
from tests.support.tiny_runs import tiny
from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.learning.strategies import chief
from tfdqn.learning.strategies.lockstep import Handshake
from tfdqn.roles import lockstep_worker

SPEC = vector_spec()
SERVERS = ["a:1", "a:2", "a:3"]
MEMBERS = tiny("ensemble.size=3", "ensemble.execution=processes")
TOGETHER = tiny("learner.strategy=averaging", "learner.averaging_period_train_steps=5", "learner.workers=4")


def remember(servers: list[str], *_: object) -> list[str]:
    """Stands in for a source that samples these servers."""
    return servers


@pytest.mark.parametrize("index", [1, 2])
@pytest.mark.parametrize("config", [MEMBERS, TOGETHER], ids=["members", "one learner"])
def test_a_follower_samples_what_is_its_own(monkeypatch: pytest.MonkeyPatch, config: Config, index: int) -> None:
    invitation = msgspec.json.encode(Handshake(SPEC, SERVERS, dump(config)))
    sampled: list[Any] = []

    def make_updater(*arguments: Any) -> None:
        sampled.append(arguments[-1])

    monkeypatch.setattr(lockstep_worker, "is_reachable", lambda address: True)
    monkeypatch.setattr(lockstep_worker, "make_strategy", lambda *_: "a strategy")
    monkeypatch.setattr(lockstep_worker, "Broadcast", lambda strategy: SimpleNamespace(content=lambda: invitation))
    monkeypatch.setattr(lockstep_worker, "make_updater", make_updater)
    monkeypatch.setattr(lockstep_worker, "follow", lambda *_: None)
    monkeypatch.setattr(lockstep_worker, "ReverbSource", remember)
    lockstep_worker.run(config, Cluster(jobs={"worker": ("b:1", "b:2", "b:3")}, job="worker", index=index))
    assert sampled == [[SERVERS[index]] if config is MEMBERS else SERVERS]


def test_the_chief_samples_what_is_the_first_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chief, "ReverbSource", remember)
    replay: Any = SimpleNamespace(addresses=SERVERS)
    members, together = (chief.Chief(config, [], print)._source(SPEC, replay) for config in (MEMBERS, TOGETHER))
    assert members == ["a:1"] and together is replay
