"""A thousand actors against one learner's service and a few replay servers: what each is asked, and answers in time.

The actors are simulated by a few processes: each writes recorded CartPole steps at a rate of its own, sends
heartbeats, and fetches weights, over connections of its own; no network is computed and no environment stepped.

python -m benchmarks.many_actors [--actors 10 100 1000] [--servers 2] [--env-steps-per-second 20] [--seconds 10]
"""

import argparse
import heapq
import multiprocessing
import random
import resource
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import grpc
import numpy as np
import reverb
from reverb.rate_limiters import MinSize

from benchmarks.measure import argument_parser, free_address, new_weights, report
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.config import Acting, Config, Replay, Stop, Task
from tfdqn.config.toml import dump
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.membership import seconds_between_calls
from tfdqn.coordination.messages import Answer, Counts, Heartbeat, WeightsReply, WeightsRequest, fingerprint
from tfdqn.coordination.rpc import Caller, RefusedError, UnreachableError
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.replay.items.kinds import make_item_kind, table_sizes
from tfdqn.replay.reverb.remote_writer import remote_writer
from tfdqn.replay.reverb.server import TABLE, transitions_table
from tfdqn.system.addresses import host_and_port
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.registry import make_task, resolve_spec
from tfdqn.types import Experience

_ENVS = 4
_PROCESSES = 2
_CALLING_THREADS = 16
_PUBLISH_SECONDS = 0.05
_REPLY_SECONDS = 5.0
_RECORDED_STEPS = 500


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--actors", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--env-steps-per-second", type=float, default=20.0, help="of each actor")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--fixed", action="store_true", help="calls as often as configured, however many actors")
    options = parser.parse_args()
    results = {f"{actors} actors": _measured(actors, options) for actors in options.actors}
    settings = {
        "servers": options.servers,
        "env_steps_per_second_each": options.env_steps_per_second,
        "envs_each": _ENVS,
        "fixed_intervals": options.fixed,
    }
    report("many actors", settings, results)


def _config(actors: int, servers: int) -> Config:
    return Config(
        task=Task(num_envs=_ENVS),
        acting=Acting(actors=actors),
        replay=Replay(shards=servers, capacity=1_000_000, min_size=100_000),
        stop=Stop(env_steps=10**9),
    )


def _measured(actors: int, options: argparse.Namespace) -> dict[str, Any]:
    """One job's whole life, its first seconds left out."""
    config = _config(actors, options.servers)
    learner, *servers = [free_address() for _ in range(options.servers + 1)]
    context = multiprocessing.get_context("spawn")

    def started(function: Any, *arguments: Any) -> tuple[Any, Connection]:
        ours, theirs = context.Pipe()
        process = context.Process(target=function, args=(theirs, config, *arguments), daemon=True)
        process.start()
        return process, ours

    serving = [started(_learn, learner), *(started(_serve_replay, address) for address in servers)]
    for _, pipe in serving:
        pipe.recv()
    intervals = _intervals(config, options.fixed)
    shares = [range(i, actors, _PROCESSES) for i in range(_PROCESSES)]
    acting = [started(_act, learner, servers, list(share), options.env_steps_per_second, intervals) for share in shares]
    every = [*serving, *acting]
    for _, pipe in acting:
        pipe.recv()
    time.sleep(3)  # until all have begun
    first = [_ask(pipe) for _, pipe in every]
    began = time.monotonic()
    time.sleep(options.seconds)
    last = [_ask(pipe) for _, pipe in every]
    seconds = time.monotonic() - began
    for process, _ in every:
        process.kill()  # Reverb's server would go on after SIGTERM
        process.join(10)
    return _figures(first, last, seconds, actors, options, intervals)


def _ask(pipe: Connection) -> dict[str, Any]:
    pipe.send("how do you stand?")
    return pipe.recv()


def _figures(
    first: list[dict], last: list[dict], seconds: float, actors: int, options: argparse.Namespace, intervals: Any
) -> dict[str, Any]:
    def rate(name: str, parts: slice) -> float:
        return sum(b.get(name, 0) - a.get(name, 0) for a, b in zip(first[parts], last[parts], strict=True)) / seconds

    learner, servers, acting = slice(0, 1), slice(1, 1 + options.servers), slice(1 + options.servers, None)
    delays = np.concatenate([each["delays"] for each in last[acting]])
    asked = actors * options.env_steps_per_second
    return {
        "env steps/s asked": asked,
        "env steps/s written": rate("env_steps", acting),
        "transitions/s in the tables": rate("transitions", servers),
        "seconds between heartbeats, fetches": list(intervals),
        "heartbeats/s": rate("heartbeats", acting),
        "fetches/s": rate("fetches", acting),
        "calls that failed/s": rate("failed", acting),
        "calls due, not begun": sum(each["late"] for each in last[acting]),
        "ms a call takes, median": 1e3 * float(np.median(delays)),
        "ms a call takes, 99 %": 1e3 * float(np.quantile(delays, 0.99)),
        "CPU: learner's service": rate("cpu", learner),
        "CPU: replay servers": rate("cpu", servers),
        "CPU: simulated actors": rate("cpu", acting),
        "MB of memory: service": last[0]["megabytes"],
        "MB of memory: replay servers": sum(each["megabytes"] for each in last[servers]),
    }


def _intervals(config: Config, is_fixed: bool) -> tuple[float, float]:
    """Between an actor's heartbeats, and between its questions for weights."""
    configured = config.health.beat_seconds, config.acting.fetch_interval_seconds
    if is_fixed:
        return configured
    return tuple(seconds_between_calls(each, config) for each in configured)  # type: ignore[return-value]


def _usage() -> dict[str, Any]:
    return {"cpu": time.process_time(), "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _learn(pipe: Connection, config: Config, address: str) -> None:
    """A learner that publishes new weights twenty times a second, and does nothing else."""
    spec, board = resolve_spec(config.task), WeightsBoard()
    arrays = new_weights(config, spec)
    board.put(VersionedWeights(0, arrays))
    service = LearnerService(Topology(learner=address, actor=config.acting.actors), config, spec, board)

    def publish() -> None:
        for version in range(1, 10**9):
            board.put(VersionedWeights(version, arrays))
            time.sleep(_PUBLISH_SECONDS)

    threading.Thread(target=publish, daemon=True).start()
    pipe.send("ready")
    while pipe.recv():
        pipe.send({**_usage(), "env_steps": service.roster.counts().env_steps})


def _serve_replay(pipe: Connection, config: Config, address: str) -> None:
    kind = make_item_kind(config, resolve_spec(config.task))
    table = transitions_table(kind.signature, table_sizes(config, kind).max_items, MinSize(1), config.priorities)
    server = reverb.Server([table], port=host_and_port(address)[1])
    client = reverb.Client(address)
    pipe.send("ready")
    while pipe.recv():
        inserted = client.server_info(timeout=60)[TABLE].rate_limiter_info.insert_stats.completed
        pipe.send({**_usage(), "transitions": inserted * kind.transitions_per_item})
    del server


def _act(
    pipe: Connection,
    config: Config,
    learner: str,
    servers: list[str],
    indices: list[int],
    env_steps_per_second: float,
    intervals: tuple[float, float],
) -> None:
    spec = resolve_spec(config.task)
    actors = [_SimulatedActor(config, spec, learner, servers, index) for index in indices]
    calls = _Calls(actors, intervals)
    for _ in range(min(_CALLING_THREADS, calls.count)):
        threading.Thread(target=calls.go_on, daemon=True).start()
    threading.Thread(target=_write, args=(_recorded(config), actors, env_steps_per_second), daemon=True).start()
    pipe.send("ready")
    while pipe.recv():
        steps = sum(actor.env_steps for actor in actors)
        pipe.send({**_usage(), "env_steps": steps, **calls.figures()})


class _SimulatedActor:
    def __init__(self, config: Config, spec: TaskSpec, learner: str, servers: list[str], index: int):
        self.process_id, self.env_steps, self.held, self.joined = ProcessId(Role.ACTOR, index), 0, -1, ""
        self.caller, self.fingerprint = _OwnConnection(learner), fingerprint(dump(config))
        self.writer = remote_writer(config, spec, servers, _ENVS, index, lambda reason: True)

    def send_heartbeat(self) -> None:
        heartbeat = Heartbeat(
            process_id=self.process_id,
            life=str(self.process_id),
            pid=1,
            host="simulated",
            joined=self.joined,
            state="acting",
            counts=Counts(env_steps=self.env_steps),
            config=self.fingerprint,
        )
        self.joined = self.caller("beat", heartbeat, Answer, _REPLY_SECONDS).life

    def fetch(self) -> None:
        self.held = self.caller("weights", WeightsRequest(self.held), WeightsReply, _REPLY_SECONDS).version


class _OwnConnection(Caller):
    """Callers of one process share a connection otherwise."""

    def __init__(self, address: str):
        super().__init__(address)
        self._channel.close()
        self._channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


class _Calls:
    """Every actor's heartbeats and fetches, when they are due, by a few threads."""

    def __init__(self, actors: list[_SimulatedActor], intervals: tuple[float, float]):
        now = time.monotonic()
        self._due = [
            (now + random.random() * interval, i, name, interval)
            for i in range(len(actors))
            for name, interval in zip(("heartbeats", "fetches"), intervals, strict=True)
        ]
        heapq.heapify(self._due)
        self.count = len(self._due)  # a thread more would find none
        self._actors, self._lock = actors, threading.Lock()
        self._counts = {"heartbeats": 0, "fetches": 0, "failed": 0}
        self._delays: list[float] = []

    def go_on(self) -> None:
        while True:
            with self._lock:
                due, i, name, interval = heapq.heappop(self._due)
            time.sleep(max(due - time.monotonic(), 0))
            began, is_answered = time.monotonic(), True
            try:
                (self._actors[i].send_heartbeat if name == "heartbeats" else self._actors[i].fetch)()
            except (UnreachableError, RefusedError):
                is_answered = False
            with self._lock:
                self._counts[name if is_answered else "failed"] += 1
                self._delays.append(time.monotonic() - began)
                heapq.heappush(self._due, (max(due + interval, time.monotonic()), i, name, interval))

    def figures(self) -> dict[str, Any]:
        """Counts since the start; how long the calls since the last question took; how many are overdue."""
        with self._lock:
            delays, self._delays = self._delays, []
            late = sum(due < time.monotonic() - 0.1 for due, *_ in self._due)
            return {**self._counts, "delays": delays, "late": late}


def _write(recorded: list[Experience], actors: list[_SimulatedActor], env_steps_per_second: float) -> None:
    period, began = _ENVS / env_steps_per_second, time.monotonic()
    for round_ in range(10**9):
        time.sleep(max(began + round_ * period - time.monotonic(), 0))
        for actor in actors:
            actor.writer.write(recorded[(round_ + actor.process_id.index) % len(recorded)])
            actor.env_steps += _ENVS


def _recorded(config: Config) -> list[Experience]:
    task = make_task(config.task)
    steps: list[Experience] = []
    task.reset(0)
    draw = np.random.default_rng(0)
    for _ in range(_RECORDED_STEPS):
        observation, actions = task.observation, draw.integers(2, size=_ENVS, dtype=np.int32)
        steps.append(Experience(observation, None, actions, task.step(actions)))
    return steps


if __name__ == "__main__":
    main()
