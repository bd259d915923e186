"""Environment and acting: environment steps/s of a task alone, and with the policy and the n-step writer.

python -m benchmarks.acting [--task CartPole-v1] [--network mlp|small_cnn] [--num-envs 32]
"""

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.measure import argument_parser, new_weights, rates_in_turn, report, use_one_thread
from tfdqn.acting.actor import Actor
from tfdqn.acting.actors import make_actor
from tfdqn.acting.factory import tensorflow_q_function
from tfdqn.config import MLP, Config, Network, SmallCNN, Task
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.networks.factory import QFunction, numpy_q_function
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.tasks.registry import make_task

NETWORKS: dict[str, Network] = {"mlp": MLP(), "small_cnn": SmallCNN()}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--task", default="CartPole-v1")
    parser.add_argument("--network", choices=NETWORKS, default="mlp")
    parser.add_argument("--num-envs", type=int, default=32)
    options = parser.parse_args()
    use_one_thread()
    config = Config(task=Task(id=options.task, num_envs=options.num_envs), network=NETWORKS[options.network])

    alone = make_task(config.task)
    alone.reset(0)
    actions = np.zeros(options.num_envs, np.int32)
    spec = alone.spec
    q_functions = {
        "acting with TensorFlow": tensorflow_q_function(config, spec),
        "acting with NumPy": numpy_q_function(config, spec),
    }
    works: dict[str, tuple[Callable[[], object], float]] = {
        "task alone": (lambda: alone.step(actions), options.num_envs)
    }
    for name, q_function in q_functions.items():
        if q_function is not None:
            works[name] = (_actor(config, q_function).step, options.num_envs)
    with threadpool_limits(1, "blas"):
        rates = rates_in_turn(works)
    report(
        "acting",
        {"task": options.task, "network": options.network, "num_envs": options.num_envs},
        {f"{name}, env steps/s": rate.per_second for name, rate in rates.items()},
    )


def _actor(config: Config, q_function: QFunction) -> Actor:
    task = make_task(config.task)
    board = WeightsBoard()
    board.put(VersionedWeights(0, new_weights(config, task.spec)))
    codec = TransitionCodec(task.spec)
    writer = NStepWriter(codec, task.num_envs, Horizon.of(config.agent), insert=lambda rows: None)
    actor = make_actor(
        config,
        task,
        writer,
        board,
        action_values=lambda weights, observation, legal_actions, rng: q_function(weights, observation, rng),
    )
    actor.reset(0)
    return actor


if __name__ == "__main__":
    main()
