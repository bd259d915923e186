"""Contradictions between keys: each check refuses what can't work, and names keys and values."""

from typing import Any

import pytest

from tfdqn.config import Config
from tfdqn.config_checks import CHECKS
from tfdqn.config_file import from_mapping
from tfdqn.errors import ConfigError


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        from_mapping({}, overrides)
    return str(caught.value)


CONTRADICTIONS = {
    "table_holds_a_block": ["replay.block_size=64", "replay.capacity=63"],
    "table_holds_a_batch": ["learner.batch_size=64", "replay.capacity=63"],
    "blocks_divide_the_batch": ["learner.batch_size=100", "replay.block_size=16"],
    "table_holds_the_minimum": ["replay.min_size=1001", "replay.capacity=1000"],
    "an_update_is_due_before_the_end": [
        "replay.min_size=100",
        "learner.updates_per_call=26",
        "learner.env_steps_per_update=20000",
        "stop.env_steps=520095",
    ],
    "frames_are_stacks_in_reverb": ["replay.item=frames", "task.frame_stack=1"],
    "learning_rate_decays": ["optimizer.schedule=linear", "optimizer.end_learning_rate=0.5"],
    "exploration_decays": ["exploration.start=0.1", "exploration.end=0.2"],
    "exponential_decay_stays_above_zero": ["exploration.end=0", "exploration.decay=exponential"],
    "ladder_has_rungs": ["exploration.ladder_alpha=7", "task.num_envs=1"],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
def test_a_contradiction_between_keys_names_them_and_their_values(
    check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Alone: some contradictions bring another along, which would speak first.
    monkeypatch.setattr("tfdqn.config_checks.CHECKS", (check,))
    overrides = CONTRADICTIONS[check.__name__]
    line = refusal(*overrides)
    for key, value in (each.split("=") for each in overrides):
        assert key in line
        assert value in line


@pytest.mark.parametrize("overrides", CONTRADICTIONS.values(), ids=list(CONTRADICTIONS))
def test_a_contradiction_is_refused(overrides: list[str]) -> None:
    assert len(refusal(*overrides).splitlines()) == 1


def test_the_defaults_agree_with_one_another() -> None:
    assert [check(Config()) for check in CHECKS] == [None] * len(CHECKS)


@pytest.mark.parametrize(
    "overrides",
    [
        # The graph's table has no blocks, so they need not divide the batch.
        ["replay.backend=in_graph", "learner.batch_size=100"],
        ["replay.item=frames", "task.frame_stack=4", "learner.batch_size=100"],
        ["learner.schedule=alternate"],
        ["optimizer.end_learning_rate=0.5"],
        ["exploration.start=0.2", "exploration.end=0.2"],
        ["exploration.end=0"],
        ["exploration.start=0", "exploration.end=0"],
        # A batch is drawn with replacement, and the first step of all environments goes beyond the end.
        ["replay.min_size=16", "learner.batch_size=128"],
        ["task.num_envs=4096", "replay.capacity=4000", "replay.min_size=128", "stop.env_steps=4000"],
    ],
    ids=str,
)
def test_what_works_is_allowed(overrides: list[str]) -> None:
    from_mapping({}, overrides)


@pytest.mark.parametrize(
    ("overrides", "needed"),
    [
        ([], 100 + 5 * 4),
        (["replay.backend=reverb"], 112 + 5 * 4),  # seven whole blocks of 16
        (["learner.env_steps_per_update=0.5"], 103),  # 102.5: a whole step is the least
    ],
    ids=str,
)
def test_a_run_must_last_until_its_first_updates(overrides: list[str], needed: int) -> None:
    run = [
        "replay.backend=in_graph",
        "replay.min_size=100",
        "replay.block_size=16",
        "learner.batch_size=16",
        "learner.updates_per_call=5",
        "learner.env_steps_per_update=4",
        *overrides,
    ]
    from_mapping({}, [*run, f"stop.env_steps={needed}"])
    assert "no update would be made" in refusal(*run, f"stop.env_steps={needed - 1}")


def test_a_temperature_of_zero_is_refused_whatever_the_decay() -> None:
    line = refusal("exploration.kind=boltzmann", "exploration.end=0")
    assert line == "override: exploration.end = 0: must be a number above 0 and at most 1e+12"


def test_a_minimum_that_whole_blocks_cannot_hold_is_refused() -> None:
    line = refusal("replay.capacity=1000", "replay.min_size=1000", "replay.block_size=128")
    assert line == (
        "configuration: replay.min_size = 1000 needs 8 blocks of replay.block_size = 128, "
        "and replay.capacity = 1000 holds 7: learning would never start"
    )
