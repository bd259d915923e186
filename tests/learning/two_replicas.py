"""Run by a test in a process of its own: two replicas against one on the same global batches.

Prints the largest difference of any variable after a few updates, with clipping on, unequal weights, a target
update on the way, and the optimiser that is named as an argument.
"""

import sys
from typing import Any

import numpy as np
import tensorflow as tf

from tests.agents.batches import random_transitions, random_weights, vector_spec
from tfdqn.agents import DqnAgent
from tfdqn.config import MLP, SGD, Adam, Agent, Config, Optimizer, RMSprop
from tfdqn.learning.train_step import TrainStep, UpdateMetrics
from tfdqn.replay.items import Sample

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(momentum=0.9),
    "adam": Adam(learning_rate=0.01),
    "rmsprop": RMSprop(),
}
BATCH, UPDATES = 12, 5


def main(optimizer: str, tau: float) -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    config = Config(
        network=MLP(hidden_units=(6,)),
        optimizer=OPTIMIZERS[optimizer],
        agent=Agent(
            kind="double_dqn",
            gradient_clip_norm=0.5,
            target_update_period_train_steps=2,
            target_update_tau=tau,
        ),
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    alone = TrainStep(DqnAgent(config, vector_spec()), config)
    with strategy.scope():
        mirrored = TrainStep(DqnAgent(config, vector_spec()), config)
    rng = np.random.default_rng(1)
    networks = [(s.agent.network, s.agent.target_network) for s in (alone, mirrored)]
    for one, two in zip(*networks, strict=True):
        weights = random_weights(one.named_weights(), rng)
        one.load_named_weights(weights)
        two.load_named_weights(weights)

    @tf.function(autograph=False)
    def together(halves: Any) -> UpdateMetrics:
        return strategy.run(mirrored, (halves,))

    norms = []
    for _ in range(UPDATES):
        sample = Sample(
            random_transitions(vector_spec(), BATCH, rng),
            tf.constant(rng.random(BATCH) ** 3, tf.float32),
            None,
        )
        metrics = alone(sample).metrics
        halves = [
            tf.nest.map_structure(lambda x, s=s: None if x is None else x[s], sample)
            for s in (slice(0, BATCH // 2), slice(BATCH // 2, None))
        ]
        per_replica = together(
            strategy.experimental_distribute_values_from_function(
                lambda context, halves=halves: halves[context.replica_id_in_sync_group]
            )
        )
        per_replica = per_replica.metrics
        losses = strategy.experimental_local_results(per_replica.loss)
        assert len(losses) == 2
        np.testing.assert_allclose(np.mean(losses), metrics.loss, rtol=1e-4)
        for norm in strategy.experimental_local_results(per_replica.gradient_norm):
            np.testing.assert_allclose(norm, metrics.gradient_norm, rtol=1e-4)
        norms.append(float(metrics.gradient_norm))
    assert max(norms) > 0.5, norms  # so that clipping had something to do
    difference = 0.0
    variables = mirrored.named_variables()
    for name, variable in alone.named_variables().items():
        for copy in strategy.experimental_local_results(variables[name]):
            difference = max(difference, float(np.abs(variable.numpy() - copy.numpy()).max()))
    print(f"{difference:.3e} after {int(mirrored.train_steps.numpy())} updates")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
