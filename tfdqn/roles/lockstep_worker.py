"""A learning process that follows the chief: it samples the chief's replay and makes every update with it.

It needs no environment: the chief sends the task's specification, and where replay is served.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import Config
from tfdqn.config.toml import deviations, parse
from tfdqn.errors import ClusterError, ConfigError, listed
from tfdqn.learning.devices import learning_devices
from tfdqn.learning.strategies.factory import Sampler, make_strategy, make_updater
from tfdqn.learning.strategies.lockstep import Broadcast, Handshake, follow
from tfdqn.learning.strategies.shared_rollout import SharedRolloutUpdater
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.reverb.priority_updates import PriorityUpdates
from tfdqn.replay.reverb.sampling import make_sampler, sample_dataset
from tfdqn.replay.rollout import Rollout
from tfdqn.system.peer_connections import is_reachable

# How many learn; a chief that has started the others itself knows it by other keys.
_DECIDED_BY_THE_CLUSTER = ("learner.workers", "learner.parameter_servers")
_REACHED_WITHIN_SECONDS = 20.0
_RETRY_SECONDS = 0.2


def run(config: Config, cluster: Cluster, on_met: Callable[[], None] = lambda: None) -> None:
    """Takes part until the chief says stop; calls `on_met` when all processes have met.

    Raises ConfigError if its configuration is not the chief's, ClusterError where it can't reach the replay that it
    is to learn from.
    """
    devices = learning_devices(config)
    strategy = make_strategy(config, cluster, devices)
    assert strategy is not None
    on_met()
    broadcast = Broadcast(strategy)
    invitation = msgspec.json.decode(broadcast.content(), type=Handshake)
    _require_same(config, invitation.config, cluster.name)
    addresses = invitation.replay_addresses
    if config.ensemble.in_processes:
        addresses = [addresses[cluster.index]]  # of the replay that is this member's own
    _require_reachable(addresses, cluster.name)
    kind = make_item_kind(config, invitation.task_spec)
    rollout = None if config.agent.has_replay else Rollout(config, invitation.task_spec)

    def sampler(num_transitions: int, device: str | None = None) -> Sampler:
        if rollout is not None:
            return rollout.sampler(num_transitions, cluster.rank)
        return make_sampler(addresses, kind, num_transitions, device, config.priorities)

    updater = make_updater(
        config,
        invitation.task_spec,
        strategy,
        cluster,
        devices,
        sampler=sampler,
        make_dataset=lambda size: sample_dataset(addresses, kind, size, config.priorities),
    )
    # Each tells the servers of what it has sampled itself; new items get the largest priority that the chief knows of.
    update_priorities = PriorityUpdates(addresses, PriorityScale(config.priorities))
    follows = updater if rollout is None else SharedRolloutUpdater(updater, rollout, broadcast)
    follow(follows, broadcast, update_priorities)


def _require_same(config: Config, chiefs: str, name: str) -> None:
    """Else each would make another update, unnoticed."""
    found = deviations(config, parse(chiefs.encode(), unused={}), "the chief", besides=_DECIDED_BY_THE_CLUSTER)
    if found:
        raise ConfigError(f"{name}'s configuration is not the chief's: {listed(found)}")


def _require_reachable(addresses: Sequence[str], name: str) -> None:
    """Else sampling would wait without end, and all others with it."""
    deadline = time.monotonic() + _REACHED_WITHIN_SECONDS
    for address in addresses:
        while not is_reachable(address):
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{name} can't reach replay at {address}, where the chief says it is: is a firewall in the way, "
                    "or does this host know the name as another's?"
                )
            time.sleep(_RETRY_SECONDS)
