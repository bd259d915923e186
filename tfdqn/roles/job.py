"""`Job`: what every role is given to play its part."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tfdqn.config import Config
from tfdqn.errors import TaskError
from tfdqn.task_spec import TaskSpec, differences
from tfdqn.topology import Member, Topology


class Job(NamedTuple):
    """One process's part in a job."""

    config: Config
    topology: Topology
    member: Member  # which process this is
    run_dir: Path  # the run's, of roles that keep something
    say: Callable[[str], None]  # shows one line to the user
    interrupted: Callable[[], bool]  # whether the user has asked to stop


def check_same_task(member: Member, learners: TaskSpec, own: TaskSpec) -> None:
    """Raises TaskError where a task is not what the learner has: another version of its package, say."""
    if changed := differences(learners, own):
        raise TaskError(f"{member}: the task is not what the learner has: {'; '.join(changed)}")
