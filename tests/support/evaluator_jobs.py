"""What tests of the evaluator's process share: what a learner is told, and hears, of it."""

from collections.abc import Iterator

import numpy as np

from tests.support.threaded_jobs import Learner, Role, role, weights
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.cluster.roles import ProcessId
from tfdqn.cluster.roles import Role as Roles
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.coordination.messages import Counts, EvaluatorReport
from tfdqn.roles.entry import run_role
from tfdqn.storage.run_directory import RunDir

EVALUATOR = ProcessId(Roles.EVALUATOR)
CHANGES = (
    "health.beat_seconds=0.05",
    "evaluation.interval_env_steps=100",
    "evaluation.episodes=2",
    "acting.fetch_interval_seconds=0.01",
    "task.max_episode_steps=20",
)
CONFIG = tiny(*CHANGES)


def started(there: Learner, run_dir: RunDir, config: Config = CONFIG):  # type: ignore[no-untyped-def]
    topology = Topology(learner=there.address, actor=1, evaluator=1)
    return role(run_role, config, topology, EVALUATOR, run_dir.path)


def states(there: Learner) -> list[str]:
    return [each.heartbeat.state for each in there.service.roster.status()]


def at(there: Learner, env_steps: int) -> None:
    """Makes the job's environment steps so many."""
    there.service.roster.start_from(Counts(env_steps=env_steps))


def reported(there: Learner, evaluations: int, evaluator: Role) -> EvaluatorReport:
    """The newest report, when so many evaluations have been heard of since the learner's life began."""
    until(lambda: len(heard(there)) >= evaluations or evaluator.error, f"{evaluations} evaluations")
    assert evaluator.error is None, evaluator.error
    return there.service.reports[-1]


def heard(there: Learner) -> list[EvaluatorReport]:
    """Every report with an evaluation since the learner's life began."""
    return [report for report in there.service.reports if report.evaluation]


def first_of(there: Learner, train_steps: int, env_steps: Iterator[int], evaluator: Role) -> EvaluatorReport:
    """The report of the first evaluation of these weights, which are fetched some time after they were published."""
    while True:
        at(there, next(env_steps))
        reported(there, len(heard(there)) + 1, evaluator)
        for each in heard(there):
            if each.evaluation is not None and each.evaluation.train_steps == train_steps:
                return each


def flattering(there: Learner) -> dict[str, np.ndarray]:
    """Weights that balance a little: push to where the pole falls."""
    made = {name: np.zeros_like(array) for name, array in weights(there.config, there.task_spec).items()}
    first, last = (next(name for name, array in made.items() if array.shape == shape) for shape in ((4, 16), (16, 2)))
    made[first][2:, 0] = 1.0  # the angle and its speed, where positive …
    made[first][2:, 1] = -1.0
    made[last][0, 1] = made[last][1, 0] = 1.0  # … push right, else left
    return made
