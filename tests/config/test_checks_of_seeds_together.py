"""What can't be trained in one process with other seeds is refused in one line, which says what can."""

import pytest

from tests.support.tiny_runs import tiny, tiny_pqn
from tfdqn.config.checks import require_together
from tfdqn.errors import ConfigError

IN_TURN = ("replay.backend=in_graph", "learner.schedule=alternate")


def test_what_takes_turns_with_a_table_in_the_graph_or_without_any_is_taken() -> None:
    require_together(tiny(*IN_TURN))
    require_together(tiny_pqn())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["learner.schedule=alternate"], 'replay.backend = "reverb" has a server for each run: give '),
        (["replay.backend=in_graph"], 'learner.schedule = "overlap" has threads of its own for each run: give '),
        ([*IN_TURN, "learner.strategy=mirrored"], 'learner.strategy = "mirrored" with learner.model_parallel = 1 '),
        ([*IN_TURN, "learner.model_parallel=2"], 'learner.strategy = "local" with learner.model_parallel = 2 divides '),
        ([*IN_TURN, "task.vectorization=async"], 'task.vectorization = "async" has a process for each environment'),
        (
            ["ensemble.size=2", "ensemble.execution=processes"],
            'ensemble.execution = "processes" has a process for each ',
        ),
    ],
)
def test_what_can_not_is_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        require_together(tiny(*overrides))
    assert str(refused.value).startswith("--together: ") and said in str(refused.value)


def test_all_that_must_be_otherwise_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        require_together(tiny())
    assert str(refused.value) == (
        '--together: replay.backend = "reverb" has a server for each run: give replay.backend=in_graph; '
        'learner.schedule = "overlap" has threads of its own for each run: give learner.schedule=alternate'
    )
