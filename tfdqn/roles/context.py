"""`RoleContext`: what every role is given for its part in a job."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tfdqn.cluster.roles import TENSORFLOW_OPENS, TRAITS, ProcessId
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.config.user_modules import own_failures_are_one_line
from tfdqn.errors import EnvironmentFailedError, OwnCodeError, ProcessFailedError, TaskError, listed
from tfdqn.system.addresses import host_and_port, is_loopback
from tfdqn.task_spec import TaskSpec, differences


class RoleContext(NamedTuple):
    """Of one process."""

    config: Config
    topology: Topology
    process_id: ProcessId  # which process this is
    run_dir: Path  # the run's, of roles that keep something
    say: Callable[[str], None]  # shows one line to the user
    interrupted: Callable[[], bool]  # whether the user has asked to stop
    stopped_status: int = 0  # with which the process ends where that was before the job is over


def say_if_open(context: RoleContext) -> None:
    """Says what it means that this process is to be reached from other hosts, where it is."""
    process_id = context.process_id
    addresses = context.topology.addresses(process_id)
    if not addresses or is_loopback(host_and_port(addresses[0])[0]):
        return
    meaning = TRAITS[process_id.role].opens + (f"; {TENSORFLOW_OPENS}" if len(addresses) > 1 else "")
    context.say(
        f"warning: {process_id} serves other hosts at {' and '.join(addresses)} without authentication: "
        f"{meaning}; leave that to a private network or a firewall"
    )


@contextmanager
def log_own_failures() -> Iterator[None]:
    """As `own_failures_are_one_line`; the traceback is printed, into the process's log."""
    try:
        with own_failures_are_one_line():
            yield
    except OwnCodeError as error:
        print(error.traceback, file=sys.stderr, end="")
        raise


@contextmanager
def convert_environment_failures() -> Iterator[None]:
    """Raises ProcessFailedError for an environment that has failed: one in another process may do better."""
    try:
        yield
    except EnvironmentFailedError as error:
        print(error.traceback, file=sys.stderr, end="")  # its log
        raise ProcessFailedError(str(error)) from error


def check_same_task(process_id: ProcessId, learners: TaskSpec, own: TaskSpec) -> None:
    """Raises TaskError if a task is not what the learner has: another version of its package, say."""
    if changed := differences(learners, own):
        raise TaskError(f"{process_id}: the task is not what the learner has: {listed(changed)}")
