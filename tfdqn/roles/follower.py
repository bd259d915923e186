"""A learning process that follows the chief: it samples the chief's replay and makes every update with it.

It needs no environment: the chief sends the task's specification, and where replay is served.
"""

import msgspec
from msgspec import Struct

from tfdqn.cluster import Cluster
from tfdqn.config import Config
from tfdqn.learning.devices import learning_devices
from tfdqn.learning.led import Broadcast, follow
from tfdqn.learning.strategies import make_strategy, make_updates
from tfdqn.replay.remote import remote_sampler, sample_dataset
from tfdqn.task_spec import TaskSpec


class Welcome(Struct, frozen=True):
    """What the chief tells those who follow it."""

    task_spec: TaskSpec
    replay_addresses: list[str]


def run(config: Config, cluster: Cluster) -> None:
    """Takes part until the chief says stop."""
    devices = learning_devices(config)
    strategy = make_strategy(config, cluster, devices)
    assert strategy is not None
    broadcast = Broadcast(strategy)
    welcome = msgspec.json.decode(broadcast.content(), type=Welcome)
    addresses = welcome.replay_addresses
    if config.ensemble.in_processes:
        addresses = [addresses[cluster.index]]  # of the replay that is this unit's own
    where = (addresses, config, welcome.task_spec)
    updates = make_updates(
        config,
        welcome.task_spec,
        strategy,
        cluster,
        devices,
        sampler=lambda size, device=None: remote_sampler(*where, size, device),
        make_dataset=lambda size: sample_dataset(*where, size),
    )
    follow(updates, broadcast)
