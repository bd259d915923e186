"""Central inference beside local: Q-values of so many observations a second, by the actor itself or by the learner.

python -m benchmarks.inference [--network mlp] [--num-envs 16] [--actors 1 4 16]
"""

import multiprocessing
import threading
import time
from multiprocessing.connection import Connection

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.measure import argument_parser, free_address, new_weights, rate, report, use_one_thread
from tfdqn.acting.central_inference import CentralValues, Inference
from tfdqn.acting.factory import make_q_function
from tfdqn.acting.policy import ActionValues
from tfdqn.cluster.topology import Topology
from tfdqn.config import MLP, Acting, Config, NatureCNN
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.rpc import Caller
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.types import Observation, Weights

_SECONDS = 3.0
_PATIENCE_SECONDS = 60.0
_MOST_ROWS = 1024


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--network", choices=("mlp", "nature_cnn"), default="mlp")
    parser.add_argument("--num-envs", type=int, default=16, help="of each actor")
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 4, 16])
    options = parser.parse_args()
    use_one_thread()
    config, spec = _setting(options.network, max(options.actors))
    observation = _observation(spec, options.num_envs)
    q_function, arrays = make_q_function(config, spec), new_weights(config, spec)
    with threadpool_limits(1, "blas"):
        local = rate(lambda: q_function(arrays, observation, None, None), options.num_envs)
    results: dict[str, float] = {"local, one process: observations/s": local.per_second}
    address = free_address()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    learner = context.Process(target=_learn, args=(theirs, options.network, max(options.actors), address), daemon=True)
    learner.start()
    ours.recv()
    for actors in options.actors:
        before, began = _ask(ours), time.monotonic()
        done, delays = _central(address, actors, observation)
        after, seconds = _ask(ours), time.monotonic() - began
        results[f"central, {actors} actors: observations/s"] = done * options.num_envs / seconds
        results[f"central, {actors} actors: ms an actor waits"] = 1e3 * float(np.median(delays))
        results[f"central, {actors} actors: observations in a call"] = (after[1] - before[1]) / (after[0] - before[0])
    learner.terminate()
    sent = sum(array.nbytes for array in observation.values()) // options.num_envs
    results["bytes of an observation"] = sent
    results["bytes of the weights"] = sum(array.nbytes for array in arrays.values())
    report("inference", {"network": options.network, "num_envs": options.num_envs}, results)


def _ask(pipe: Connection) -> tuple[int, int]:
    pipe.send("how many?")
    return pipe.recv()


def _setting(network: str, actors: int) -> tuple[Config, TaskSpec]:
    acting = Acting(actors=actors, inference="central", most_envs_per_inference=_MOST_ROWS)
    if network == "mlp":
        array = ArraySpec(shape=(4,), dtype="float32")
        return Config(network=MLP(), acting=acting), _spec(array, 2)
    array = ArraySpec(shape=(4, 84, 84), dtype="uint8", high=(255.0,), frame_stack=4)
    return Config(network=NatureCNN(), acting=acting), _spec(array, 4)


def _spec(array: ArraySpec, actions: int) -> TaskSpec:
    return TaskSpec(id="benchmark", observation={"observation": array}, actions=discrete(actions))


def _observation(spec: TaskSpec, rows: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        name: draw.integers(0, 2, (rows, *array.shape)).astype(array.dtype) for name, array in spec.observation.items()
    }


class _Calls:
    """A Q-function that counts its calls and their observations."""

    def __init__(self, action_values: ActionValues):
        self._action_values = action_values
        self.count = self.rows = 0

    def __call__(
        self,
        weights: Weights,
        observation: Observation,
        legal_actions: np.ndarray | None,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        self.count += 1
        self.rows += len(next(iter(observation.values())))
        return self._action_values(weights, observation, legal_actions, rng)


def _learn(pipe: Connection, network: str, actors: int, address: str) -> None:
    """A learner that computes Q-values and nothing else."""
    use_one_thread()
    config, spec = _setting(network, actors)
    board = WeightsBoard()
    board.put(VersionedWeights(0, new_weights(config, spec)))
    with threadpool_limits(1, "blas"):
        calls = _Calls(make_q_function(config, spec))
        inference = Inference(calls, spec, board, _MOST_ROWS, np.random.default_rng(0))
        control = LearnerService(Topology(learner=address, actor=actors), config, spec, board)
        control.q_values = inference
        pipe.send("ready")
        while pipe.recv():
            pipe.send((calls.count, calls.rows))


def _central(address: str, actors: int, observation: dict[str, np.ndarray]) -> tuple[int, list[float]]:
    """Calls that so many actors, in threads, made within some seconds, and how long each took."""
    end, delays = time.monotonic() + _SECONDS, []

    def act() -> None:
        values = CentralValues(Caller(address), lambda reason: True)
        while (began := time.monotonic()) < end:
            values({}, observation, None, None)
            delays.append(time.monotonic() - began)

    threads = [threading.Thread(target=act, daemon=True) for _ in range(actors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE_SECONDS)
    return len(delays), delays


if __name__ == "__main__":
    main()
