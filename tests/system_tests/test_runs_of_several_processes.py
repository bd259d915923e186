"""Runs of several processes: started, ended, killed, and by `TF_CONFIG`; none is ever left behind."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest

from tests.support.commands import PROGRAM, Tfdqn, counters, tfdqn, write_config
from tests.support.tiny_runs import lines
from tfdqn.system.addresses import free_addresses
from tfdqn.system.processors import visible_gpus

# Ctrl-C has come before any other process is waited for.
ASKED_BEFORE = """
import signal
from pathlib import Path
from tfdqn.system.before_tensorflow import ignore_warnings_of_libraries
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.config.toml import load
from tfdqn.system.signals import interruptions
ignore_warnings_of_libraries()
from tfdqn.learning.strategies.other_processes import OtherProcesses
with interruptions(lambda: None):
    signal.raise_signal(signal.SIGINT)
    others = OtherProcesses(load(Path("tiny.toml")), cluster_of_environment())
    others.meet([], lambda line: print(line, flush=True))
"""
# An operation of the sixth update fails, in the chief alone.
FAILS_IN_THE_CHIEF = f"""
import tensorflow as tf
from tfdqn.learning.train_step import TrainStep
def loss_and_gradients(self, sample, *arguments, made=TrainStep.gradients, **named):
    limit = tf.constant(5, tf.int64)
    with tf.control_dependencies([tf.debugging.assert_less(self.train_steps, limit, "it is the sixth")]):
        return made(self, sample.map(tf.identity), *arguments, **named)
TrainStep.gradients = loss_and_gradients
{PROGRAM}
"""
ONE_WORKER = "learner.workers=1"  # for what needs no second: each process takes seconds to start
LONG = "stop.env_steps=1_000_000"


def divided(strategy: str) -> list[str]:
    """Overrides: how the run is divided, and under averaging soon averaged."""
    period = ["learner.averaging_period_train_steps=5"] if strategy == "averaging" else []
    return [f"learner.strategy={strategy}", *period]


def ends_with_all_its_relatives(process: Tfdqn) -> int:
    """Its exit status; nothing it started may outlive it by more than seconds."""
    status = process.ended()
    deadline = time.monotonic() + 20
    while relatives := process.relatives():
        assert time.monotonic() < deadline, relatives
        time.sleep(0.05)
    return status


def process_id(process: Tfdqn, task: tuple[str, int]) -> int:
    """Of the one whose output goes to this task's log."""
    name = "{}-{}.log".format(*task)
    (found,) = (pid for pid in process.relatives() if os.readlink(f"/proc/{pid}/fd/1").endswith(f"/{name}"))
    return found


def learning(folder: Path) -> Callable[[], bool]:
    metrics = folder / "run" / "metrics.jsonl"
    return lambda: metrics.exists() and any(line["train_steps"] > 0 for line in lines(metrics))


@pytest.mark.parametrize(
    ("strategy", "victim", "name"),
    [
        pytest.param("parameter_server", ("worker", 1), "worker 1", marks=pytest.mark.long),
        ("parameter_server", ("ps", 0), "parameter server 0"),
        pytest.param("multi_worker", ("worker", 1), "worker 1", marks=pytest.mark.long),
    ],
)
def test_a_process_that_is_killed_ends_the_run_in_one_line(
    tmp_path: Path, strategy: str, victim: tuple[str, int], name: str
) -> None:
    workers = [ONE_WORKER] if victim[0] == "ps" else []
    write_config(tmp_path, *divided(strategy), LONG, *workers)
    with tfdqn(tmp_path, "train", "tiny.toml", "--run-dir", "run") as process:
        process.until(learning(tmp_path), "learning")
        pid = process_id(process, victim)
        # A fork's is that of its server, which has no TF_CONFIG.
        assert (b"TF_CONFIG=" in Path(f"/proc/{pid}/environ").read_bytes()) == bool(visible_gpus())
        os.kill(pid, signal.SIGKILL)
        assert ends_with_all_its_relatives(process) == 2
        assert process.err.splitlines()[-1].startswith(f"tfdqn: {name} was killed by signal 9")
        assert process.resumption() == ["train", "tiny.toml", "--run-dir", "run"]
        assert "Traceback" not in process.err


@pytest.mark.parametrize("strategy", ["multi_worker", pytest.param("averaging", marks=pytest.mark.long)])
def test_an_update_that_fails_in_the_chief_ends_everybody_while_they_wait_for_it(tmp_path: Path, strategy: str) -> None:
    write_config(tmp_path, *divided(strategy), LONG)
    with tfdqn(tmp_path, "train", "tiny.toml", "--run-dir", "run", program=FAILS_IN_THE_CHIEF) as process:
        assert ends_with_all_its_relatives(process) not in (0, -signal.SIGKILL)
        assert "it is the sixth" in process.err


@pytest.mark.long  # of what it starts, one by one: tests/system/test_subprocesses.py
@pytest.mark.parametrize("strategy", ["parameter_server", "multi_worker"])
def test_a_killed_chief_leaves_nobody_behind(tmp_path: Path, strategy: str) -> None:
    write_config(tmp_path, *divided(strategy), LONG)
    with tfdqn(tmp_path, "train", "tiny.toml", "--run-dir", "run") as process:
        process.until(learning(tmp_path), "learning")
        process.send(signal.SIGKILL)
        assert ends_with_all_its_relatives(process) == -signal.SIGKILL


@pytest.mark.parametrize("strategy", ["parameter_server", pytest.param("averaging", marks=pytest.mark.long)])
def test_an_interrupted_run_saves_and_ends_everybody(tmp_path: Path, strategy: str) -> None:
    workers = [ONE_WORKER] if strategy == "parameter_server" else []
    write_config(tmp_path, *divided(strategy), LONG, *workers)
    with tfdqn(tmp_path, "train", "tiny.toml", "--run-dir", "run") as process:
        process.until(learning(tmp_path), "learning")
        process.send(signal.SIGINT)
        assert ends_with_all_its_relatives(process) == 0
        assert "To resume:\n" in process.out
    assert counters(tmp_path / "run").train_steps > 0


@pytest.mark.parametrize(
    ("strategy", "tasks"),
    [
        ("parameter_server", {"chief": 1, "worker": 1, "ps": 1}),
        pytest.param("multi_worker", {"worker": 2}, marks=pytest.mark.long),  # on hosts: test_train_on_hosts.py
        pytest.param("averaging", {"chief": 1, "worker": 1}, marks=pytest.mark.long),
    ],
)
def test_a_cluster_of_tf_config_trains_and_ends(tmp_path: Path, strategy: str, tasks: dict[str, int]) -> None:
    """The same command on every host, in any order; only the chief writes."""
    write_config(tmp_path, *divided(strategy), "stop.env_steps=800")
    addresses = iter(free_addresses(sum(tasks.values())))
    cluster = {job: list(islice(addresses, count)) for job, count in tasks.items()}
    with ExitStack() as stack:
        processes = {}
        for job, places in reversed(cluster.items()):
            for index in reversed(range(len(places))):
                config = json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})
                arguments = ("train", "tiny.toml", "--run-dir", f"run-{job}-{index}")
                started = tfdqn(tmp_path, *arguments, environment={"TF_CONFIG": config})
                processes[job, index] = stack.enter_context(started)
        for process in processes.values():
            assert process.ended() == 0, process.err
    chief = next(iter(cluster))
    assert counters(tmp_path / f"run-{chief}-0").train_steps > 0
    assert [path.name for path in tmp_path.glob("run-*")] == [f"run-{chief}-0"]


@pytest.mark.parametrize("strategy", ["parameter_server", pytest.param("multi_worker", marks=pytest.mark.long)])
def test_while_the_others_are_awaited_ctrl_c_ends_it_at_once_as_was_said(tmp_path: Path, strategy: str) -> None:
    write_config(tmp_path, f"learner.strategy={strategy}")
    chief, worker, server = free_addresses(3)
    cluster = {"chief": [chief], "worker": [worker]}
    if strategy == "parameter_server":
        cluster["ps"] = [server]
    config = json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}})
    with tfdqn(tmp_path, "train", "tiny.toml", environment={"TF_CONFIG": config}) as process:
        process.until(lambda: f"waiting for worker 0 at {worker}" in process.out, "waiting")
        process.until(
            lambda: "until all processes have met, Ctrl-C ends this one at once" in process.out, "a word of Ctrl-C"
        )
        process.send(signal.SIGINT)
        assert (process.ended() in (0, -signal.SIGINT), process.err) == (True, "")  # 0: just before they are awaited


def test_a_ctrl_c_before_the_others_are_awaited_ends_it_with_a_word(tmp_path: Path) -> None:
    write_config(tmp_path, "learner.strategy=multi_worker")
    cluster = {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"]}
    config = json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}})
    with tfdqn(tmp_path, environment={"TF_CONFIG": config}, program=ASKED_BEFORE, is_forked=True) as process:
        assert (process.ended(), process.err) == (-signal.SIGINT, "")
    assert process.out.splitlines()[1:] == [
        "stopped before all processes had met: nothing has been learned since the start"
    ]


@pytest.mark.parametrize(
    ("strategy", "job", "name"),
    [
        pytest.param("parameter_server", "ps", "parameter server 0", marks=pytest.mark.long),
        ("multi_worker", "worker", "worker 0"),
    ],
    ids=["server", "chief"],
)
def test_an_address_in_use_is_said_in_one_line(tmp_path: Path, strategy: str, job: str, name: str) -> None:
    write_config(tmp_path, f"learner.strategy={strategy}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        clusters = {
            "ps": {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"], "ps": [address]},
            "worker": {"worker": [address, "127.0.0.1:2"]},
        }
        config = json.dumps({"cluster": clusters[job], "task": {"type": job, "index": 0}})
        with tfdqn(tmp_path, "train", "tiny.toml", environment={"TF_CONFIG": config}) as process:
            assert process.ended() == 2
    (line,) = [line for line in process.err.splitlines() if line.startswith("tfdqn: ")]
    assert line.startswith(f"tfdqn: {name} can't serve at {address}:")
    assert "Traceback" not in process.err
