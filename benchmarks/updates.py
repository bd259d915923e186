"""Learner updates/s of a Q-network, tfdqn's ways beside TF-Agents' own and plain TensorFlow, in one run.

    python -m benchmarks.updates [--network mlp|small_cnn|nature_cnn] [--kind dqn|double_dqn] [--batch-size N]
                                 [--precision float32|mixed_bfloat16]

Every way makes the same updates (Adam, squared loss, no clipping, hard target copies) on batches drawn from the
same table in the graph, on one thread. The figures to compare are the ratios, each beside plain TensorFlow that was
compiled as it was: with XLA or without. Plain TensorFlow always computes in float32.
"""

import argparse
from collections.abc import Callable

import tensorflow as tf
from tf_agents.trajectories.trajectory import Transition

from benchmarks.measure import Rate, argument_parser, rates_in_turn, report, use_one_thread
from benchmarks.random_transitions import table_sampler
from tfdqn.agents.dqn import DqnAgent
from tfdqn.config import DQN, MLP, Config, DoubleDQN, Learner, NatureCNN, SmallCNN
from tfdqn.learning.strategies.synchronous import SynchronousUpdater
from tfdqn.learning.train_step import TrainStep
from tfdqn.learning.updater import Updater
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

TABLE_SIZE = 2_000
KINDS = {"dqn": DQN, "double_dqn": DoubleDQN}
NETWORKS = {"mlp": MLP(), "small_cnn": SmallCNN(), "nature_cnn": NatureCNN()}
SHAPES = {
    "mlp": ((4,), "float32", 1, 2),
    "small_cnn": ((10, 10, 4), "float32", 1, 6),
    "nature_cnn": ((4, 84, 84), "uint8", 4, 6),
}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--network", choices=SHAPES, default="mlp")
    parser.add_argument("--kind", choices=KINDS, default="dqn")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--updates-per-call", type=int)
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    options = parser.parse_args()
    batch_size = options.batch_size or (128 if options.network == "mlp" else 32)
    updates = options.updates_per_call or (4 if options.network == "nature_cnn" else 50)
    use_one_thread()
    ways: dict[str, tuple[Callable[[], object], float]] = {
        "plain TensorFlow": (_plain(options, batch_size, updates, "off"), updates),
        "TF-Agents, one call per update": (_tf_agents(options, batch_size), 1),
        "tfdqn, one update per call": (_tfdqn(options, batch_size, 1, "off"), 1),
        "tfdqn": (_tfdqn(options, batch_size, updates, "off"), updates),
    }
    if not NETWORKS[options.network].is_slow_in_xla:
        ways["plain TensorFlow, XLA"] = (_plain(options, batch_size, updates, "on"), updates)
        ways["tfdqn, XLA"] = (_tfdqn(options, batch_size, updates, "on"), updates)
    rates = rates_in_turn(ways, seconds=2.0)
    report(
        "updates",
        {**vars(options), "batch_size": batch_size, "updates_per_call": updates},
        {
            name: {
                "updates/s": rate.per_second,
                "updates per CPU second": rate.per_cpu_second,
                "per CPU second, times plain TensorFlow": rate.per_cpu_second / _peer(rates, name).per_cpu_second,
            }
            for name, rate in rates.items()
        },
    )


def _peer(rates: dict[str, Rate], name: str) -> Rate:
    """Plain TensorFlow's rate, compiled by XLA where what is compared with it is."""
    return rates["plain TensorFlow, XLA" if "XLA" in name else "plain TensorFlow"]


def _config(options: argparse.Namespace, batch_size: int, updates: int, xla: str) -> Config:
    return Config(
        network=NETWORKS[options.network],
        agent=KINDS[options.kind](gradient_clip_norm=0.0),
        learner=Learner(
            batch_size=batch_size,
            updates_per_call=updates,
            xla=xla,  # type: ignore[arg-type]
            precision=options.precision,
        ),
    )


def _task_spec(options: argparse.Namespace) -> TaskSpec:
    shape, dtype, frame_stack, num_actions = SHAPES[options.network]
    array = ArraySpec(shape=shape, dtype=dtype, frame_stack=frame_stack)
    return TaskSpec(id="benchmark", observation={"observation": array}, actions=discrete(num_actions))


def _tfdqn(options: argparse.Namespace, batch_size: int, updates: int, xla: str) -> Updater:
    config = _config(options, batch_size, updates, xla)
    spec = _task_spec(options)
    sampler = table_sampler(spec, TABLE_SIZE, updates * batch_size)
    return SynchronousUpdater(TrainStep(DqnAgent(config, spec), config), [sampler], config)


def _tf_agents(options: argparse.Namespace, batch_size: int) -> Callable[[], object]:
    """TF-Agents' own agent and train function, as its tutorials call it."""
    from tf_agents.agents.dqn import dqn_agent
    from tf_agents.utils import common

    config = _config(options, batch_size, 1, "off")
    ours = DqnAgent(config, _task_spec(options))
    kinds = {"dqn": dqn_agent.DqnAgent, "double_dqn": dqn_agent.DdqnAgent}
    agent = kinds[options.kind](
        ours.time_step_spec,
        ours.action_spec,
        q_network=ours.network,
        optimizer=tf.keras.optimizers.legacy.Adam(config.optimizer.learning_rate),
        td_errors_loss_fn=common.element_wise_squared_loss,
        gamma=1.0,
        target_update_period=config.agent.target_update_period_train_steps,
    )
    agent.initialize()
    train = common.function(agent.train)
    draw = table_sampler(_task_spec(options), TABLE_SIZE, batch_size)
    sample = tf.function(lambda: draw().transition, autograph=False)
    return lambda: train(sample())


def _plain(options: argparse.Namespace, batch_size: int, updates: int, xla: str) -> Callable[[], object]:
    """The same updates written down with nothing but TensorFlow and Keras."""
    config, spec = _config(options, batch_size, updates, xla), _task_spec(options)
    sample = table_sampler(spec, TABLE_SIZE, updates * batch_size)
    online, target = _keras_network(options, spec), _keras_network(options, spec)
    optimizer = tf.keras.optimizers.legacy.Adam(config.optimizer.learning_rate)
    steps = tf.Variable(0, dtype=tf.int64)

    def update(
        observation: tf.Tensor, action: tf.Tensor, reward: tf.Tensor, discount: tf.Tensor, next_observation: tf.Tensor
    ) -> None:
        next_q = target(next_observation)
        if options.kind == "double_dqn":
            best = tf.argmax(online(next_observation), axis=1)
            next_value = tf.reduce_sum(next_q * tf.one_hot(best, spec.num_actions[0]), axis=1)
        else:
            next_value = tf.reduce_max(next_q, axis=1)
        with tf.GradientTape() as tape:
            q = tf.reduce_sum(online(observation) * tf.one_hot(action, spec.num_actions[0]), axis=1)
            loss = tf.reduce_mean(0.5 * tf.square(reward + discount * next_value - q))
        gradients = tape.gradient(loss, online.trainable_variables)
        optimizer.apply_gradients(zip(gradients, online.trainable_variables, strict=True))
        if tf.equal(steps.assign_add(1) % config.agent.target_update_period_train_steps, 0):
            for mine, other in zip(target.variables, online.variables, strict=True):
                mine.assign(other)

    @tf.function(jit_compile=xla == "on")
    def many() -> None:
        transition = sample().transition
        assert isinstance(transition, Transition)
        time_step, action_step, next_time_step = transition
        fields = [
            tf.reshape(x, [updates, batch_size, *x.shape[1:]])
            for x in (
                time_step.observation["observation"],
                action_step.action,
                next_time_step.reward,
                next_time_step.discount,
                next_time_step.observation["observation"],
            )
        ]
        for i in tf.range(updates):
            update(*(field[i] for field in fields))

    return many


def _keras_network(options: argparse.Namespace, spec: TaskSpec) -> tf.keras.Sequential:
    layers = tf.keras.layers
    actions = layers.Dense(spec.num_actions[0])
    if options.network == "mlp":
        network = tf.keras.Sequential([layers.Dense(120, "relu"), layers.Dense(84, "relu"), actions])
    elif options.network == "small_cnn":
        convolution = layers.Conv2D(16, 3, activation="relu")
        network = tf.keras.Sequential([convolution, layers.Flatten(), layers.Dense(128, "relu"), actions])
    else:
        to_channels = layers.Lambda(lambda x: tf.transpose(tf.cast(x, tf.float32) / 255, [0, 2, 3, 1]))
        convolutions = [
            layers.Conv2D(filters, size, stride, activation="relu")
            for filters, size, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1))
        ]
        network = tf.keras.Sequential(
            [to_channels, *convolutions, layers.Flatten(), layers.Dense(512, "relu"), actions]
        )
    network.build((None, *spec.observation["observation"].shape))
    return network


if __name__ == "__main__":
    main()
