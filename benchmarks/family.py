"""What each part of the DQN family costs: updates/s beside plain DQN, on one thread, in one run.

    python -m benchmarks.family [--network mlp|small_cnn] [--seconds S]

Every part is added to plain DQN alone; the last lines are what papers compose. Batches of 32 are drawn from a table in
the graph, after 10,000 steps were written, and priorities are given back after each call, as a run does. The figures to
compare are the ratios.

With a memory, an LSTM of 128 units, a batch is 32 sequences of 20 steps, after up to 10 to burn in. So an update learns
from 20 times as many transitions, which the ratio by transitions counts; without a memory both ratios are equal. PQN
learns from a rollout in the place of replay: the price has neither acting in it nor its returns. Branches are
four dimensions of as many actions as the others have in all, dueling and by Double DQN.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from benchmarks.measure import argument_parser, rates_in_turn, report, use_one_thread
from benchmarks.random_transitions import random_steps
from tfdqn.agents.factory import make_agent
from tfdqn.config import (
    C51,
    DQN,
    IQN,
    MLP,
    PQN,
    QRDQN,
    Config,
    DeepNetwork,
    DoubleDQN,
    Impala,
    Learner,
    Munchausen,
    Priorities,
    Replay,
    SmallCNN,
    Task,
)
from tfdqn.learning.strategies.synchronous import SynchronousUpdater
from tfdqn.learning.train_step import TrainStep
from tfdqn.replay.in_graph import InGraphReplay
from tfdqn.replay.rollout import Rollout
from tfdqn.task_spec import ActionSpec, ArraySpec, TaskSpec, discrete

BATCH, UPDATES, ENVS, TABLE = 32, 50, 50, 10_000
SEQUENCE, ROLLOUT = 20, UPDATES * BATCH // ENVS  # steps
NETWORKS: dict[str, tuple[DeepNetwork, ArraySpec]] = {
    "mlp": (MLP(), ArraySpec(shape=(4,), dtype="float32")),
    "small_cnn": (SmallCNN(), ArraySpec(shape=(10, 10, 4), dtype="bool")),
}
PRIORITIES = Priorities(exponent=0.5)
FOUR_DIMENSIONS = ActionSpec(low=(0,) * 4, high=(5,) * 4, counts=(6,) * 4, shape=(4,), form="branches")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--network", choices=NETWORKS, default="mlp")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each of five rounds")
    options = parser.parse_args()
    network, array = NETWORKS[options.network]
    spec = TaskSpec(id="benchmark", observation={"observation": array}, actions=discrete(6))
    branches = msgspec.structs.replace(spec, actions=FOUR_DIMENSIONS)
    use_one_thread()
    parts = parts_on(network)
    rates = rates_in_turn(
        {
            name: (learning(config, branches if config.task.action_form == "branches" else spec), UPDATES)
            for name, config in parts.items()
        },
        seconds=options.seconds,
    )
    plain = rates["dqn"].per_cpu_second
    report(
        "family",
        {"network": options.network, "batch_size": BATCH, "updates_per_call": UPDATES},
        {
            name: {
                "updates/s": rate.per_second,
                "updates per CPU second": rate.per_cpu_second,
                "per CPU second, times plain DQN": rate.per_cpu_second / plain,
                "transitions per CPU second, times plain DQN": steps_of(parts[name]) * rate.per_cpu_second / plain,
            }
            for name, rate in rates.items()
        },
    )


def parts_on(network: DeepNetwork) -> dict[str, Config]:
    """Plain DQN on a network, and with each part of the family."""

    def on(**keys: Any) -> DeepNetwork:
        return msgspec.structs.replace(network, **keys)

    configs = {
        "dqn": Config(network=network),
        "double": Config(network=network, agent=DoubleDQN()),
        "clipping by norm": Config(network=network, agent=DQN(gradient_clip_norm=10.0)),
        "dueling": Config(network=on(dueling=True)),
        "noisy": Config(network=on(noisy=True)),
        "layer norm": Config(network=on(layer_norm=True)),
        "branches": Config(network=on(dueling=True), agent=DoubleDQN(), task=Task(action_form="branches")),
        "prioritised": Config(network=network, priorities=PRIORITIES),
        "memory": Config(network=on(memory="lstm", memory_units=128)),
        "munchausen": Config(network=network, agent=Munchausen()),
        "c51": Config(network=network, agent=C51()),
        "qr_dqn": Config(network=network, agent=QRDQN()),
        "iqn": Config(network=network, agent=IQN()),
        "munchausen_iqn": Config(network=network, agent=IQN(target="munchausen")),
        "pqn": Config(network=on(layer_norm=True), agent=PQN(rollout_steps=ROLLOUT, epochs=1, gradient_clip_norm=10.0)),
        "rainbow": Config(network=on(dueling=True, noisy=True), agent=C51(target="double"), priorities=PRIORITIES),
    }
    if isinstance(network, SmallCNN):
        impala = Impala(spectral_norm=True)
        configs |= {
            "impala": Config(network=Impala()),
            "impala, spectral norm": Config(network=impala),
            "btr": Config(
                network=msgspec.structs.replace(impala, width=2, dueling=True, noisy=True),
                agent=IQN(quantiles=8, target_quantiles=8, target="munchausen", gradient_clip_norm=10.0),
                priorities=PRIORITIES,
            ),
        }
    learner = Learner(batch_size=BATCH, updates_per_call=UPDATES)
    table = Replay(backend="in_graph", capacity=TABLE, min_size=TABLE)
    sequences = msgspec.structs.replace(
        table, item="sequence", sequence_length=SEQUENCE, burn_in=SEQUENCE // 2, sequence_period=SEQUENCE // 2
    )
    return {
        name: msgspec.structs.replace(
            config,
            task=msgspec.structs.replace(config.task, num_envs=ENVS),
            learner=learner,
            replay=sequences if config.network.state_size else table,
        )
        for name, config in configs.items()
    }


def steps_of(config: Config) -> int:
    """Transitions of an example."""
    return SEQUENCE if config.network.state_size else 1


def learning(config: Config, spec: TaskSpec) -> Callable[[], None]:
    """A call that makes UPDATES updates from a filled table, and gives priorities back."""
    replay = filled(config, spec)
    updates = SynchronousUpdater(TrainStep(make_agent(config, spec), config), [replay.sampler(UPDATES * BATCH)], config)

    def call() -> None:
        result = updates()
        if result.priorities is not None:
            replay.update_priorities(result.priorities)

    return call


def filled(config: Config, spec: TaskSpec) -> InGraphReplay | Rollout:
    """A table, or a rollout, of random transitions."""
    kind: type[InGraphReplay | Rollout] = Rollout if isinstance(config.agent, PQN) else InGraphReplay
    replay = kind(config, spec)
    writer, values = replay.writer(ENVS), np.ones(ENVS, np.float32)
    for experience in random_steps(spec, ENVS, replay.capacity // ENVS):
        if isinstance(replay, Rollout):
            replay.add_values(values)
        writer.write(experience)
    if isinstance(replay, Rollout):
        replay.finish(values, 0)
    replay.flush()
    return replay


if __name__ == "__main__":
    main()
