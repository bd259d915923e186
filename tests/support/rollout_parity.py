"""Run by `tests.support.parity_server`: rollouts learned from by a strategy against plain local training without XLA.

Five rollouts with resets in them, clipping on. Each way gives the largest difference of any weight or slot.
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from tests.support.batches import random_weights
from tests.support.logical_devices import logical_devices
from tests.support.random_rollouts import SPEC, Acted, config
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.config import MLP, Config, Learner, RAdam
from tfdqn.learning.strategies import distribution
from tfdqn.learning.strategies.factory import make_updater
from tfdqn.learning.strategies.lockstep import Broadcast, LockstepUpdater, follow
from tfdqn.learning.updater import Updater
from tfdqn.replay.rollout import Rollout

ROLLOUTS, CLIP_NORM = 5, 8.0


def settings(strategy: str, xla: str) -> Config:
    plain = config(gradient_clip_norm=CLIP_NORM, lambda_=0.8, reward_scale=0.5)
    learner = Learner(batch_size=24, schedule="alternate", strategy=strategy, xla=xla)  # type: ignore[arg-type]
    return msgspec.structs.replace(
        plain, network=MLP(hidden_units=(16, 8)), optimizer=RAdam(learning_rate=0.01), learner=learner
    )


def run(updater: Updater, rollout: Rollout) -> dict[str, np.ndarray]:
    """The state after all rollouts, from a random one."""
    state, rng = updater.state(), np.random.default_rng(2)
    start = {name: array for name, array in state.items() if name.startswith("online/")}
    updater.load_state(state | random_weights(start, rng))
    norms: list[float] = []
    for seed in range(ROLLOUTS):
        acted = Acted(seed)
        acted.write(rollout)
        rollout.finish(acted.values[-1], train_steps=len(norms))
        norms.extend(updater(None).metrics.gradient_norm)
        rollout.clear()
    assert max(norms) > CLIP_NORM > min(norms), norms
    return updater.state()


def difference(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> float:
    assert ours.keys() == theirs.keys()
    assert not any(name.startswith("target/") for name in ours)
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)


def local(xla: str) -> dict[str, np.ndarray]:
    config = settings("local", xla)
    rollout = Rollout(config, SPEC)
    return run(make_updater(config, SPEC, None, None, ["CPU:0"], rollout), rollout)


def compiled(_: int) -> float:
    return difference(local("on"), local("off"))


def mirrored(replicas: int, xla: str) -> float:
    devices, config = logical_devices(replicas), settings("mirrored", xla)
    strategy = distribution.make_strategy(config, None, devices)
    rollout = Rollout(config, SPEC)
    return difference(local("off"), run(make_updater(config, SPEC, strategy, None, devices, rollout), rollout))


def multi_worker(_: int, xla: str) -> float:
    """Chief and followers run this same function; which of them a process is tells `TF_CONFIG`."""
    config, cluster = settings("multi_worker", xla), cluster_of_environment()
    strategy = distribution.make_strategy(config, cluster, ["CPU:0"])
    assert cluster is not None and strategy is not None
    rollout, broadcast = Rollout(config, SPEC, part=cluster.rank), Broadcast(strategy)
    updater = make_updater(config, SPEC, strategy, cluster, ["CPU:0"], rollout)
    if cluster.rank > 0:
        follow(updater, broadcast, rollout=rollout)
        return 0.0
    leading = LockstepUpdater(updater, broadcast, rollout)
    reached = run(leading, rollout)
    leading.close()
    return difference(local("off"), reached)


WAYS = {"rollouts by local": compiled, "rollouts by mirrored": mirrored, "rollouts by multi_worker": multi_worker}
