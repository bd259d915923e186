"""Checks of a configuration that is to be trained with several seeds in one process."""

from collections.abc import Iterator

from tfdqn.config.schema import Config
from tfdqn.config.wording import with_values
from tfdqn.errors import ConfigError


def require_together(config: Config) -> None:
    """Raises ConfigError, in one line that names every problem, if the seeds can't be trained together."""
    if problems := list(_problems(config)):
        raise ConfigError(with_values(config, f"--together: {'; '.join(problems)}"))


def _problems(config: Config) -> Iterator[str]:
    if config.agent.has_replay and config.replay.backend != "in_graph":
        yield "<replay.backend> has a server for each run: give replay.backend=in_graph"
    if config.learner.schedule != "alternate":
        yield "<learner.schedule> has threads of its own for each run: give learner.schedule=alternate"
    if config.learner.strategy != "local" or config.learner.model_parallel > 1:
        yield "<learner.strategy> with <learner.model_parallel> divides a run's updates: leave them to --jobs"
    if config.ensemble.in_processes:
        yield "<ensemble.execution> has a process for each member: give another"
    if config.task.vectorization == "async":
        yield "<task.vectorization> has a process for each environment: give another"
