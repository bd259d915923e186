"""What a GPU makes of tfdqn, beside the same network and batch in JAX and PyTorch: a table, and JSON in a file.

    python -m benchmarks.gpu [--peer jax=PYTHON torch=PYTHON] [--json FILE] [--only updates inference loop]
                             [--networks nature_cnn] [--small]

`updates` takes what it compares in turn, round by round: compiled by XLA and not, in float32 and bfloat16, divided over
all GPUs where there are several, with batches from Reverb copied ahead and not, and peers in processes of their own, by
the Pythons that have them. `inference` is the call by which a learner answers actors, `loop` a whole run on pictures of
Atari's shape. `--small` runs every line in a minute or two, without a GPU: its figures mean nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf
from msgspec.structs import replace

import tfdqn
from benchmarks.measure import argument_parser, machine, new_weights, print_table, rate
from benchmarks.random_transitions import filled_replay, table_sampler
from tfdqn.acting.factory import tensorflow_q_function
from tfdqn.agents.factory import make_agent
from tfdqn.config import (
    MLP,
    Acting,
    Config,
    Evaluation,
    Impala,
    Learner,
    Logging,
    NatureCNN,
    Network,
    Replay,
    Stop,
    Task,
)
from tfdqn.learning.devices import learning_devices
from tfdqn.learning.strategies.distribution import make_strategy
from tfdqn.learning.strategies.factory import make_updater
from tfdqn.learning.strategies.synchronous import SynchronousUpdater
from tfdqn.learning.train_step import TrainStep
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.reverb.in_process import ReverbReplay
from tfdqn.replay.reverb.sampling import ReverbSource
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

TABLE_SIZE, ACTIONS = 2_000, 6
Call = Callable[[], object]


class Case(NamedTuple):
    """What is learned by, and how much of it in a call."""

    name: str
    network: Network
    batch_size: int
    updates_per_call: int

    @property
    def spec(self) -> TaskSpec:
        vector, pictures = (
            ArraySpec(shape=(4,), dtype="float32"),
            ArraySpec(shape=(4, 84, 84), dtype="uint8", frame_stack=4),
        )
        observation = {"observation": vector if isinstance(self.network, MLP) else pictures}
        return TaskSpec(id="benchmark", observation=observation, actions=discrete(ACTIONS))

    def config(self, **learner: Any) -> Config:
        settings = {"batch_size": self.batch_size, "updates_per_call": self.updates_per_call, **learner}
        replay = Replay(block_size=1, capacity=TABLE_SIZE, min_size=1)
        return Config(network=self.network, learner=Learner(**settings), replay=replay)


CASES = (
    Case("mlp 120-84", MLP(), 128, 200),
    Case("mlp 1024-1024", MLP(hidden_units=(1024, 1024)), 128, 200),
    *(Case("nature_cnn", NatureCNN(), batch, updates) for batch, updates in ((32, 50), (256, 20), (2048, 4))),
    Case("impala", Impala(), 32, 20),
)
SMALL = (Case("mlp 120-84", MLP(), 8, 3), Case("nature_cnn", NatureCNN(), 4, 2), Case("impala", Impala(), 2, 1))


def main() -> None:
    parser = argument_parser(__doc__)
    parts = {"updates": measure_updates, "inference": measure_inference, "loop": measure_loop}
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--peer", nargs="*", default=[], metavar="NAME=PYTHON", help="jax=…, torch=…")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="+", help="of the updates: those that are measured; all if not given")
    parser.add_argument("--small", action="store_true", help="the least that runs every line")
    options = parser.parse_args()
    if options.small:
        options.seconds, options.rounds = 0.01, 1
    gpus = [tf.config.experimental.get_device_details(each) for each in tf.config.list_physical_devices("GPU")]
    results = {
        "benchmark": "gpu",
        "machine": machine(),
        "gpus": [str(each) for each in gpus],
        "is_small": options.small,
    }
    for part in options.only:
        rows = results[part] = parts[part](options)
        print_table(part, rows)
        if options.json:  # after each part: a machine that is lent may be taken back
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


class Way(NamedTuple):
    """One way to make updates."""

    first_call_seconds: float  # with all that is compiled for it
    updates_in: Callable[[float], float]  # so many seconds → updates/s


def measure_updates(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Updates/s of every case, by each way; and how long the first call took."""
    rows = {}
    for case in SMALL if options.small else CASES:
        if options.networks and case.name not in options.networks:
            continue
        found: dict[str, list[float]] = {}
        with _ways(case, options.peer) as ways:
            for _ in range(options.rounds):
                for name, way in ways.items():
                    found.setdefault(name, []).append(way.updates_in(options.seconds))
        rows[f"{case.name}, batch {case.batch_size}"] = {
            name: statistics.median(rates) for name, rates in found.items()
        } | {f"{name}, first call: s": way.first_call_seconds for name, way in ways.items()}
    return rows


@contextmanager
def _ways(case: Case, peers: Sequence[str]) -> Iterator[dict[str, Way]]:
    """All that are compared, by name."""
    devices = learning_devices(case.config())
    with ExitStack() as stack:
        ways = {}
        for precision in ("float32", "mixed_bfloat16"):
            for xla in ("on", "off"):
                config = case.config(xla=xla, precision=precision)
                ways[f"{precision}, XLA {xla}"] = _own(case, _in_graph(case, config))
        replay = stack.enter_context(closing(filled_replay(case.config(), case.spec)))
        for ahead in (False, True):
            config = case.config(prefetch_to_device=ahead)
            ways[f"Reverb{', copied ahead' if ahead else ''}"] = _own(case, _from_replay(config, case, replay, devices))
        if len(devices) > 1:
            config = case.config(strategy="mirrored")
            ways["mirrored"] = _own(case, _from_replay(config, case, replay, devices))
        for name, _, python in (each.partition("=") for each in peers):
            for precision in ("float32", "bfloat16"):
                ways[f"{name}, {precision}"] = stack.enter_context(_peer(case, name, python, precision))
        yield ways


def _own(case: Case, call: Call) -> Way:
    """A way of tfdqn's."""
    began = time.perf_counter()
    call()
    first_call_seconds = time.perf_counter() - began
    return Way(
        first_call_seconds, lambda seconds: rate(call, case.updates_per_call, seconds=seconds, rounds=1).per_second
    )


def _in_graph(case: Case, config: Config) -> Call:
    """Updates on batches drawn from a table that is on the device."""
    sampler = table_sampler(case.spec, TABLE_SIZE, case.updates_per_call * case.batch_size)
    return SynchronousUpdater(TrainStep(make_agent(config, case.spec), config), [sampler], config)


def _from_replay(config: Config, case: Case, replay: ReverbReplay, devices: Sequence[str]) -> Call:
    strategy = make_strategy(config, None, devices)
    source = ReverbSource(replay.addresses, make_item_kind(config, case.spec), config.priorities)
    return make_updater(config, case.spec, strategy, None, devices, source)


@contextmanager
def _peer(case: Case, name: str, python: str, precision: str) -> Iterator[Way]:
    """A process that makes the same updates, and rests between its rounds."""
    program = Path(__file__).with_name("gpu_peers.py")
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # else JAX takes most of the GPU's memory
    process = subprocess.Popen(
        [python, str(program), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", env=environment
    )
    questions, answers = process.stdin, process.stdout
    assert questions is not None and answers is not None

    def ask(**question: Any) -> float:
        print(json.dumps(question), file=questions, flush=True)
        (answer,) = json.loads(answers.readline()).values()
        return answer

    settings = {"batch_size": case.batch_size, "updates_per_call": case.updates_per_call, "actions": ACTIONS}
    try:
        first_call_seconds = ask(network=case.name, precision=precision, **settings)
        yield Way(first_call_seconds, lambda seconds: ask(seconds=seconds))
    finally:
        questions.close()
        process.wait(60)


def measure_inference(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Observations/s and ms of one call, where the learner has the network on its CPU and on its GPU."""
    case, rows = Case("nature_cnn", NatureCNN(), 32, 1), dict[str, dict[str, float]]()
    sizes = (16, 64) if options.small else (16, 64, 256, 1024, 4096)
    rng, weights = np.random.default_rng(0), new_weights(case.config(), case.spec)
    for size in sizes:
        observation = {"observation": rng.integers(256, size=(size, 4, 84, 84), dtype=np.uint8)}
        row = rows[f"{size} observations"] = {}
        for device, acting in (("cpu", Acting(device="cpu")), ("gpu", Acting(device="gpu"))):
            q_function = tensorflow_q_function(replace(case.config(), acting=acting), case.spec)
            call = partial(q_function, weights, observation)
            done = rate(call, size, seconds=options.seconds, rounds=options.rounds)
            row |= {f"{device}: observations/s": done.per_second, f"{device}: ms": 1e3 * size / done.per_second}
    return rows


def measure_loop(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Environment steps/s and updates/s of whole runs, an update of batch 32 each four steps."""
    rows, steps = {}, 1_200 if options.small else 40_000
    devices: list[Literal["cpu", "gpu"]] = ["cpu"]
    if tf.config.list_physical_devices("GPU"):
        devices.append("gpu")
    for ahead in (False, True):
        for device in devices:
            num_envs, batch_size = (8, 4) if options.small else (32, 32)
            config = Config(
                task=Task(id="benchmarks.pictures:Pictures-v0", num_envs=num_envs, frame_stack=4),
                network=NatureCNN(),
                acting=Acting(device=device),
                replay=Replay(item="frames", capacity=20_000, min_size=min(5_000, steps // 2)),
                learner=Learner(
                    batch_size=batch_size, env_steps_per_update=4.0, updates_per_call=4, prefetch_to_device=ahead
                ),
                stop=Stop(env_steps=steps),
                evaluation=Evaluation(interval_env_steps=10 * steps, episodes=1, confirm_episodes=0, final_episodes=1),
                logging=Logging(tensorboard=False),
            )
            with tempfile.TemporaryDirectory() as folder:
                summary = tfdqn.train(config, Path(folder) / "run")
            rows[f"acts on the {device}{', copied ahead' if ahead else ''}"] = {
                "environment steps/s": summary.env_steps / summary.seconds,
                "updates/s": summary.train_steps / summary.seconds,
            }
    return rows


if __name__ == "__main__":
    main()
