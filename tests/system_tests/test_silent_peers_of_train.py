"""`tfdqn train` by `TF_CONFIG` where a process that others can't do without is stopped, or its host is cut off.

No connection breaks then. Nobody starts these processes again, so each must say whom it waits for, and come to an end:
by itself when its patience is over, or by a signal meanwhile. Only root can make such hosts; elsewhere these tests are
skipped.
"""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import ENDLESS, Tfdqn, write_config
from tests.support.far_clusters import LOCKSTEP, SERVED, TINY_RUN, learning_chief, started
from tests.support.network_namespaces import network
from tfdqn.system.addresses import host_and_port

Task = tuple[str, int]

HEARD_SECONDS = 6.0  # in which all others, which ask every other second, have heard a chief that has just begun
DEAD_AFTER_SECONDS = 6.0
PATIENCE_SECONDS = 60.0  # in which all must have started, too
LIMIT_SECONDS = 60.0  # 30 of a quiet machine's
JOBS = {"parameter_server": SERVED, "multi_worker": LOCKSTEP}
CHIEF = {"parameter_server": ("chief", 0), "multi_worker": ("worker", 0)}
# Whom a chief names, of those that it can't do without, and whom all others do.
FOLLOWER = {"parameter_server": "parameter server 0 at host-c:2222", "multi_worker": "worker 1 at host-b:2222"}
WORKER = "worker 0 at host-b:2222"  # whom a chief of a parameter server that hears nobody may name as well
THE_CHIEF = "the chief at host-a:2222"

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.parametrize("is_cut", [False, True], ids=["stopped", "cut off"]),
    pytest.mark.parametrize(
        ("strategy", "victim"),
        [("parameter_server", ("ps", 0)), ("parameter_server", ("chief", 0)), ("multi_worker", ("worker", 0))],
        ids=["parameter server", "its chief", "chief in lockstep"],
    ),
]


@contextmanager
def with_a_silent(
    victim: Task, folder: Path, strategy: str, patience_seconds: float, is_cut: bool
) -> Iterator[dict[Task, Tfdqn]]:
    """Those that can still act, of a cluster that has learned and one of whose processes is stopped or cut off."""
    health = (f"health.dead_after_seconds={DEAD_AFTER_SECONDS}", f"health.patience_seconds={patience_seconds}")
    write_config(folder, f"learner.strategy={strategy}", *health, "learner.batch_size=24", ENDLESS)
    jobs = JOBS[strategy]
    names = {name: name for name in ("host-a", "host-b", "host-c")}
    with network(list(names)) as hosts, started(folder, hosts, jobs, names, *TINY_RUN) as processes:
        learning_chief(processes, folder / "run")
        time.sleep(HEARD_SECONDS)
        if is_cut:
            hosts.cut(host_and_port(jobs[victim[0]][victim[1]])[0])
        else:
            processes[victim].send(signal.SIGSTOP)
        yield {task: process for task, process in processes.items() if is_cut or task != victim}


def awaited(strategy: str, task: Task, victim: Task) -> str:
    """A pattern of whom a process names."""
    if task != CHIEF[strategy]:
        return THE_CHIEF
    hears_nobody = strategy == "parameter_server" and task == victim
    return f"({FOLLOWER[strategy]}|{WORKER})" if hears_nobody else FOLLOWER[strategy]


def until_those_wait_who_must(processes: dict[Task, Tfdqn], strategy: str, victim: Task) -> None:
    """Waits for the lines that name who is silent, and since when."""
    for task, process in processes.items():
        if CHIEF[strategy] in (task, victim) or task == victim:  # others still hear their chief
            whom = awaited(strategy, task, victim)
            said = re.compile(rf"^waiting: {whom} has been silent for (?P<seconds>\d+) s", re.MULTILINE)
            process.until(lambda: said.search(process.out), f"word of {whom}")  # noqa: B023
            (first, *_) = said.finditer(process.out)
            assert int(first["seconds"]) >= DEAD_AFTER_SECONDS


def test_each_names_who_is_silent_and_ends_when_patience_is_over(
    tmp_path: Path, strategy: str, victim: Task, is_cut: bool
) -> None:
    with with_a_silent(victim, tmp_path, strategy, PATIENCE_SECONDS, is_cut) as processes:
        until_those_wait_who_must(processes, strategy, victim)
        for task, process in processes.items():
            assert process.ended_within(PATIENCE_SECONDS + LIMIT_SECONDS), (task, process.out, process.err)
            assert process.ended() == 75, (task, process.err)
            (line,) = process.err.splitlines()
            how = r"(has been silent for \d+ s|has ended)(; .*)?: .* gives up without saving"
            assert re.fullmatch(f"tfdqn: {awaited(strategy, task, victim)} {how}", line), (task, line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_they_wait_a_signal_ends_each(
    tmp_path: Path, strategy: str, victim: Task, is_cut: bool, number: signal.Signals
) -> None:
    with with_a_silent(victim, tmp_path, strategy, 600.0, is_cut) as processes:
        until_those_wait_who_must(processes, strategy, victim)
        for process in processes.values():
            process.send(number)
        for task, process in processes.items():
            assert process.ended_within(LIMIT_SECONDS), (task, process.out, process.err)
            assert "Traceback" not in process.err, (task, process.err)
