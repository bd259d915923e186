"""A process that learns in lockstep with the chief: it samples the chief's replay and takes part in every update.

It needs no environment, since the chief sends it the task's specification and the addresses of replay.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import Config
from tfdqn.config.toml import deviations, parse
from tfdqn.errors import ClusterError, ConfigError, listed
from tfdqn.learning.devices import learning_devices
from tfdqn.learning.strategies.distribution import make_strategy
from tfdqn.learning.strategies.factory import make_updater
from tfdqn.learning.strategies.lockstep import Broadcast, Handshake, follow
from tfdqn.replay.interfaces import SampleSource
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.reverb.priority_updates import PriorityUpdates
from tfdqn.replay.reverb.sampling import ReverbSource
from tfdqn.replay.rollout import Rollout
from tfdqn.system.peer_connections import is_reachable

# Keys in which its configuration may differ from the chief's: the cluster already says how many processes learn.
_DECIDED_BY_THE_CLUSTER = ("learner.workers", "learner.parameter_servers")
_REACHED_WITHIN_SECONDS = 20.0
_RETRY_SECONDS = 0.2


def run(config: Config, cluster: Cluster, on_met: Callable[[], None] = lambda: None) -> None:
    """Takes part in updates until the chief says stop; calls `on_met` when all processes have met at the rendezvous.

    Raises ConfigError if its configuration differs from the chief's, ClusterError if it can't reach its replay.
    """
    devices = learning_devices(config)
    strategy = make_strategy(config, cluster, devices)
    assert strategy is not None
    on_met()
    broadcast = Broadcast(strategy)
    handshake = msgspec.json.decode(broadcast.content(), type=Handshake)
    _require_same(config, handshake.config, cluster.name)
    task_spec, addresses = handshake.task_spec, handshake.replay_addresses
    if config.ensemble.in_processes:
        addresses = [addresses[cluster.index]]  # each ensemble member has a replay of its own
    _require_reachable(addresses, cluster.name)
    if config.agent.has_replay:
        rollout = None
        source: SampleSource = ReverbSource(addresses, make_item_kind(config, task_spec), config.priorities)
    else:
        source = rollout = Rollout(config, task_spec, part=cluster.rank)
    updater = make_updater(config, task_spec, strategy, cluster, devices, source)
    # Each process updates the priorities of what it has sampled; the largest one, for new items, is the chief's alone.
    update_priorities = PriorityUpdates(addresses, PriorityScale(config.priorities))
    follow(updater, broadcast, update_priorities, rollout)


def _require_same(config: Config, chief_toml: str, name: str) -> None:
    """Raises ConfigError unless the chief's configuration is this process's; the two would make different updates."""
    found = deviations(config, parse(chief_toml.encode(), unused={}), "the chief", besides=_DECIDED_BY_THE_CLUSTER)
    if found:
        raise ConfigError(f"{name}'s configuration is not the chief's: {listed(found)}")


def _require_reachable(addresses: Sequence[str], name: str) -> None:
    """Raises ClusterError if an address can't be reached: sampling, and with it all others, would wait for ever."""
    deadline = time.monotonic() + _REACHED_WITHIN_SECONDS
    for address in addresses:
        while not is_reachable(address):
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{name} can't reach replay at {address}, the chief's address for it: is a firewall in the way, "
                    "or does the name lead to another host from here?"
                )
            time.sleep(_RETRY_SECONDS)
