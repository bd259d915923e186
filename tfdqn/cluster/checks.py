"""Checks that a configuration and the cluster of `TF_CONFIG` fit each other, before anything starts."""

from collections.abc import Mapping
from typing import Any

from tfdqn.cluster.roles import TRAITS, counted
from tfdqn.cluster.tf_config import CHIEF, PARAMETER_SERVER, VARIABLE, WORKER, Cluster, tensorflow_jobs
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.config.toml import flat
from tfdqn.errors import ConfigError
from tfdqn.system.addresses import host_and_port, is_of_this_host


def cluster_keys(cluster: Cluster | None) -> dict[str, int]:
    """The keys that a cluster determines: the number of processes that learn together."""
    if cluster is None or _is_alone(cluster):
        return {}
    servers = len(cluster.addresses(PARAMETER_SERVER))
    if servers:
        return {"learner.workers": len(cluster.addresses(WORKER)), "learner.parameter_servers": servers}
    return {"learner.workers": sum(cluster.counts.values())}


def cluster_overrides(cluster: Cluster | None) -> list[str]:
    """Overrides for the keys that a cluster determines."""
    return [f"{key}={value}" for key, value in cluster_keys(cluster).items()]


def unused_values(given: Mapping[str, Any], cluster: Cluster) -> list[str]:
    """A one-line warning for each key that the cluster determines and a configuration sets otherwise.

    `given` is the content of a configuration file, or the keys that were set in Python.
    """
    own = flat(given)
    return [
        f"{VARIABLE} means {key}={value}: {key} = {own[key]} in the configuration is not used"
        for key, value in cluster_keys(cluster).items()
        if own.get(key, value) != value
    ]


def given_keys(keys: Mapping[str, str], cluster: Cluster | None) -> dict[str, str]:
    """Returns the user's `keys` without those that the cluster determines."""
    decided = cluster_keys(cluster)
    return {key: each for key, each in keys.items() if key not in decided}


def cluster_for(config: Config, cluster: Cluster | None) -> Cluster | None:
    """Returns the cluster, or None if it is only this process. Raises ConfigError if the strategy can't use it."""
    if cluster is None or _is_alone(cluster):
        return None
    strategy = config.learner.strategy
    named = f"{VARIABLE} names {', '.join(f'{count} {job}' for job, count in cluster.counts.items())}"
    if config.ensemble.in_processes:
        if cluster.counts != tensorflow_jobs(config):
            raise ConfigError(
                f'ensemble.execution = "processes" needs a worker for each of ensemble.size = '
                f"{config.ensemble.size}, and no other; {named}"
            )
    elif strategy in ("local", "mirrored"):
        raise ConfigError(
            f'learner.strategy = "{strategy}" trains in one process, and {named}: choose multi_worker, '
            f"parameter_server or averaging, or unset {VARIABLE}"
        )
    elif strategy == "parameter_server":
        missing = [job for job in (CHIEF, WORKER, PARAMETER_SERVER) if job not in cluster.jobs]
        if missing:
            raise ConfigError(
                f'learner.strategy = "parameter_server" needs a chief, a worker and a ps; {named}: '
                f"{' and '.join(missing)} is missing"
            )
    elif PARAMETER_SERVER in cluster.jobs:
        raise ConfigError(f'learner.strategy = "{strategy}" has no use for a ps; {named}')
    return cluster


def doubt(cluster: Cluster) -> str | None:
    """A one-line warning if this process's address is not one of this host; None if it may be.

    If `TF_CONFIG` was copied unchanged from another host, two processes believe to be the same one, and all wait for
    the missing one. It is only a warning, because behind address translation the address may be right.
    """
    address = cluster.addresses(cluster.job)[cluster.index]
    host, _ = host_and_port(address)
    if is_of_this_host(host) is not False:
        return None
    return (
        f"{VARIABLE} makes this process {cluster.name}, at {address}, but this host has no such address: is its "
        '"task" another host\'s?'
    )


def require_chief(cluster: Cluster | None) -> None:
    """Raises ConfigError if this process is not the cluster's chief."""
    if cluster is not None and not cluster.is_chief:
        raise ConfigError(
            f"{VARIABLE} makes this process {cluster.name}, which takes part by `tfdqn train`; the chief alone "
            f"trains by this call"
        )


def check_topology(config: Config, topology: Topology, origin: str = "the cluster") -> None:
    """Raises ConfigError if the processes of a topology, which came from `origin`, can't run the configuration."""
    strategy = config.learner.strategy
    if not config.agent.has_replay:
        raise ConfigError(
            f'agent.kind = "{config.agent.kind}" has no replay, in which actors of other processes could leave their '
            "transitions: `tfdqn train` trains it, in one process or by the workers of multi_worker"
        )
    if config.replay.backend != "reverb":
        raise ConfigError(
            f'replay.backend = "{config.replay.backend}" is within one process: a job of several needs '
            'replay.backend = "reverb"'
        )
    for role, traits in TRAITS.items():
        number, keys = traits.count(config)
        if keys and topology.count(role) != number:
            there = counted(topology.count(role), role)
            raise ConfigError(f"{origin} has {there}: by {keys} there must be {number or 'none'}")
    if topology.evaluator > 1:
        raise ConfigError(f"{origin} has {topology.evaluator} evaluators: there can be at most one")
    if topology.worker and not topology.chief:
        raise ConfigError(
            f'{origin} has no chief: learner.strategy = "{strategy}" needs one, the learner\'s own address for '
            "tf.distribute"
        )


def _is_alone(cluster: Cluster) -> bool:
    return PARAMETER_SERVER not in cluster.jobs and sum(cluster.counts.values()) == 1
