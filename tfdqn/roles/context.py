"""`RoleContext`: what a role's `run` is given, and what all roles do with it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tfdqn.cluster.roles import TENSORFLOW_OPENS, TRAITS, ProcessId
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.config.user_modules import own_failures_as_own_code_error
from tfdqn.errors import EnvironmentFailedError, OwnCodeError, ProcessFailedError, TaskError
from tfdqn.system.addresses import host_and_port, is_loopback
from tfdqn.task_differences import differences
from tfdqn.task_spec import TaskSpec


class RoleContext(NamedTuple):
    """The configuration, topology and surroundings of one process of a job."""

    config: Config
    topology: Topology
    process_id: ProcessId  # which process this is
    run_dir: Path  # the run's directory, for roles that keep files
    say: Callable[[str], None]  # shows one line to the user
    interrupted: Callable[[], bool]  # whether the user has asked to stop
    stopped_status: int = 0  # the exit status if the user stops the process before the job is over


def say_if_open(context: RoleContext) -> None:
    """Warns the user if other hosts can reach this process, and says what they can do by that."""
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
    """As `own_failures_as_own_code_error`, and prints the traceback, which goes to the process's log."""
    try:
        with own_failures_as_own_code_error():
            yield
    except OwnCodeError as error:
        print(error.traceback, file=sys.stderr, end="")
        raise


@contextmanager
def convert_environment_failures() -> Iterator[None]:
    """Raises ProcessFailedError instead of EnvironmentFailedError: in a new process the environment may not fail."""
    try:
        yield
    except EnvironmentFailedError as error:
        print(error.traceback, file=sys.stderr, end="")  # to the process's log
        raise ProcessFailedError(str(error)) from error


def check_same_task(process_id: ProcessId, learner_spec: TaskSpec, own_spec: TaskSpec) -> None:
    """Raises TaskError if this process's task differs from the learner's, as by another version of its package."""
    if changed := differences(learner_spec, own_spec):
        raise TaskError(f"{process_id}: the task is not the learner's: {changed}")
