"""What a chief tells those who learn with it: where its replay is, as they reach it from their own hosts."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import tensorflow as tf

from tests.support.random_episodes import VECTOR
from tests.support.threaded_jobs import free_address
from tests.support.tiny_runs import tiny
from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import Config
from tfdqn.config.toml import dump, flat
from tfdqn.errors import ClusterError, ConfigError
from tfdqn.learning.strategies import chief
from tfdqn.learning.strategies.lockstep import Handshake, LockstepUpdater
from tfdqn.learning.updater import Updater
from tfdqn.replay.reverb.in_process import ReverbReplay
from tfdqn.replay.reverb.remote_replay import RemoteReplay
from tfdqn.roles import lockstep_worker
from tfdqn.system.addresses import host_and_port, is_reached_from_its_host_alone

WAYS = {
    "multi_worker": ["learner.strategy=multi_worker", "replay.shards=2"],
    "averaging": ["learner.strategy=averaging", "learner.averaging_period_train_steps=5"],
    "parameter_server": ["learner.strategy=parameter_server"],
    "ensemble": ["ensemble.size=2", "ensemble.execution=processes"],
}


class Told(list[str]):
    """The addresses that were handed out, by a broadcast or in a dataset made elsewhere."""

    def broadcast(self, _: tf.distribute.Strategy) -> "Told":
        return self

    def content(self, content: bytes) -> None:
        self.extend(msgspec.json.decode(content, type=Handshake).replay_addresses)

    def make_updater(self, config: Config, *given: Any) -> None:
        if config.learner.strategy == "parameter_server":  # whose workers sample the source
            self.extend(given[-1]._addresses)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    made = Told()
    monkeypatch.setattr(chief.OtherProcesses, "meet", lambda *_: None)  # nobody is at these addresses
    monkeypatch.setattr(chief, "make_updater", made.make_updater)
    monkeypatch.setattr(chief, "Broadcast", made.broadcast)
    yield made


def make_chief(config: Config, own: str, other: str) -> chief.Chief:
    cluster = Cluster(jobs={"chief": (own,), "worker": (other,), "ps": (other,)}, job="chief", index=0)
    return chief.Chief(config, [], lambda line: None, chief.OtherProcesses(config, cluster))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("host", ["host-a", "10.0.0.1", "[fd00::1]"])
def test_who_learns_on_another_host_is_told_the_chief_s_host_and_never_loopback(
    told: Told, way: str, host: str
) -> None:
    config = tiny(*WAYS[way])
    with closing(ReverbReplay(config, VECTOR)) as replay:
        make_chief(config, f"{host}:2222", "host-b:2222").make_updater(VECTOR, replay)
        ports = [host_and_port(address)[1] for address in replay.addresses]
    assert told and set(told) == {f"{host}:{port}" for port in ports}
    assert not any(map(is_reached_from_its_host_alone, told))


def test_replay_servers_of_a_job_are_told_as_the_cluster_file_has_them(told: Told) -> None:
    config, servers = tiny(*WAYS["multi_worker"]), ["host-c:2222", "host-d:2222"]
    make_chief(config, "host-a:1", "host-b:2").make_updater(VECTOR, RemoteReplay(config, VECTOR, servers))
    assert set(told) == set(servers)


@pytest.fixture
def follow(told: Told, monkeypatch: pytest.MonkeyPatch) -> Callable[[Config, Handshake], None]:
    """Has worker 1, of a configuration, be invited."""

    def run(config: Config, invitation: Handshake) -> None:
        monkeypatch.setattr(lockstep_worker, "make_strategy", lambda *_: object())
        monkeypatch.setattr(lockstep_worker, "Broadcast", lambda _: told)
        monkeypatch.setattr(told, "content", lambda: msgspec.json.encode(invitation), raising=False)
        where = Cluster(jobs={"worker": ("host-a:1", "host-b:2")}, job="worker", index=1)
        lockstep_worker.run(config, where)

    return run


Follow = Callable[[Config, Handshake], None]


def test_who_cannot_reach_the_replay_that_it_is_told_of_says_so(
    follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, config = free_address(), tiny(*WAYS["multi_worker"])
    monkeypatch.setattr(lockstep_worker, "_REACHED_WITHIN_SECONDS", 0.3)
    with pytest.raises(ClusterError, match=rf"^worker 1 can't reach replay at {address}, the chief's address for it: "):
        follow(config, Handshake(VECTOR, [address], dump(config)))


def test_who_has_another_configuration_than_the_chief_says_how_it_differs(follow: Follow) -> None:
    """Unless only in what the cluster decides."""
    chiefs, own = (tiny(*WAYS["ensemble"]), tiny(*WAYS["ensemble"], "learner.workers=2", "optimizer.epsilon=0.5"))
    with pytest.raises(ConfigError) as caught:
        follow(own, Handshake(VECTOR, ["127.0.0.1:1"] * 2, dump(chiefs)))
    was = flat(chiefs)["optimizer.epsilon"]
    assert str(caught.value) == (
        f"worker 1's configuration is not the chief's: optimizer.epsilon = 0.5 where the chief has {was}"
    )


@pytest.mark.parametrize("fails", ["__call__", "state", "load_state", "nothing"])
def test_after_a_step_that_failed_here_nobody_is_told_to_stop(fails: str) -> None:
    """They may wait for the chief inside that step, where no command reaches them, and it would wait for them."""
    told: list[str] = []
    broadcast: Any = SimpleNamespace(command=lambda command: told.append(command.name), arrays=lambda arrays: None)
    updater = LockstepUpdater(FailingUpdater(fails), broadcast)
    with suppress(tf.errors.ResourceExhaustedError):
        updater.state()
        updater.load_state({})
        updater()
    updater.close()
    updater.close()
    assert told.count("STOP") == (fails == "nothing")


class FailingUpdater(Updater):
    """Has no memory for one of its methods."""

    def __init__(self, fails: str):
        self._fails = fails

    def __call__(self, owed: int | None = None) -> Any:
        self._do("__call__")

    def state(self) -> Any:
        self._do("state")

    def load_state(self, arrays: Any) -> None:
        self._do("load_state")

    def _do(self, what: str) -> None:
        if what == self._fails:
            raise tf.errors.ResourceExhaustedError(None, None, "no memory")
