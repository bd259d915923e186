"""A learning process that follows the chief: it samples the chief's replay and makes every update with it.

It needs no environment: the chief sends the task's specification, and where replay is served.
"""

from collections.abc import Callable

import msgspec

from tfdqn.cluster import Cluster
from tfdqn.config import Config
from tfdqn.learning.devices import learning_devices
from tfdqn.learning.led import Broadcast, Invitation, follow
from tfdqn.learning.strategies import make_strategy, make_updates
from tfdqn.replay.remote import remote_sampler, sample_dataset


def run(config: Config, cluster: Cluster, on_met: Callable[[], None] = lambda: None) -> None:
    """Takes part until the chief says stop; calls `on_met` when all processes have met."""
    devices = learning_devices(config)
    strategy = make_strategy(config, cluster, devices)
    assert strategy is not None
    on_met()
    broadcast = Broadcast(strategy)
    invitation = msgspec.json.decode(broadcast.content(), type=Invitation)
    addresses = invitation.replay_addresses
    if config.ensemble.in_processes:
        addresses = [addresses[cluster.index]]  # of the replay that is this unit's own
    where = (addresses, config, invitation.task_spec)
    updates = make_updates(
        config,
        invitation.task_spec,
        strategy,
        cluster,
        devices,
        sampler=lambda size, device=None: remote_sampler(*where, size, device),
        make_dataset=lambda size: sample_dataset(*where, size),
    )
    follow(updates, broadcast)
