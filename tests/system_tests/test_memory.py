"""Memory stays as it is, in every process of a job, however long the job goes on."""

from pathlib import Path

import pytest

from benchmarks.memory import growth, sampled
from tests.support.commands import IN_GRAPH, write_config

CONFIGS = Path(__file__).parents[2] / "configs"
ROLES = {"supervisor", "learner", "actor", "evaluator", "replay_server", "worker", "parameter_server"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("verb", "overrides", "expected"),
    [
        ("launch", (), {"supervisor", "learner 0", "actor 0", "evaluator 0", "replay_server 0"}),
        ("train", ("learner.strategy=parameter_server",), {"train", "worker 0", "worker 1", "parameter_server 0"}),
    ],
)
def test_every_process_of_a_run_is_sampled(
    tmp_path: Path, verb: str, overrides: tuple[str, ...], expected: set[str]
) -> None:
    samples = sampled(verb, tmp_path / write_config(tmp_path, *overrides), 1_200, [], tmp_path)
    assert set(samples) == expected


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("verb", "config", "overrides", "expected"),
    [
        ("train", "cartpole.toml", (), {"train"}),
        ("train", "cartpole.toml", IN_GRAPH, {"train"}),
        ("launch", "cartpole-parameter-server.toml", (), ROLES),
    ],
)
def test_memory_is_flat(tmp_path: Path, verb: str, config: str, overrides: tuple[str, ...], expected: set[str]) -> None:
    """To 2 % from a fifth of the run on; 25 bytes kept of each environment step are found."""
    samples = sampled(verb, CONFIGS / config, 300_000, list(overrides), tmp_path)
    assert {name.partition(" ")[0] for name in samples} == expected
    grown = {name: growth(each) for name, each in samples.items()}
    kinds = ("resident_growth_percent", "anonymous_growth_percent")
    assert {name: each for name, each in grown.items() if any(each[kind] >= 2.0 for kind in kinds)} == {}
