"""What is doubted: a schedule much longer than its run, in the unit that it counts in; batches of few blocks."""

import pytest

from tests.support.tiny_runs import tiny, tiny_pqn
from tfdqn.config.doubts import cut_short, doubts

SHORT = ("stop.env_steps=50_000",)
PRIORITIES = ("priorities.exponent=0.6", "replay.block_size=1")


@pytest.mark.parametrize(
    ("overrides", "of"),
    [
        (["exploration.decay_env_steps=1_000_000"], "5 % of exploration.decay_env_steps = 1,000,000"),
        (["exploration.decay_env_steps=100_000"], ""),
        (["exploration.decay_env_steps=1_000_000", "exploration.end=1.0"], ""),  # it is constant
        # 49,900 steps after the first 100, four to an update: 12,475 updates.
        ([*PRIORITIES, "priorities.importance_train_steps=24_900"], ""),
        (
            [*PRIORITIES, "priorities.importance_train_steps=25_000"],
            "50 % of priorities.importance_train_steps = 25,000",
        ),
        (["optimizer.decay_train_steps=25_000", "optimizer.schedule=linear"], "50 % of optimizer.decay_train_steps"),
        (
            ["agent.n_step_end=5", "agent.horizon_env_steps=200_000", "exploration.decay_env_steps=15_000_000"],
            "0.33 % of exploration.decay_env_steps = 15,000,000 and 25 % of agent.horizon_env_steps = 200,000",
        ),
    ],
)
def test_one_is_doubted_from_twice_the_run_on(overrides: list[str], of: str) -> None:
    said = cut_short(tiny(*SHORT, *overrides))
    assert said.startswith(f"stop.env_steps = 50,000 ends the run after {of}") if of else said == ""


def test_with_rollouts_it_is_compared_with_the_updates_of_all_of_them() -> None:
    # 100 rollouts of 64 transitions, each of which makes 12 updates.
    of_rollouts = ("stop.env_steps=6_400", "optimizer.schedule=linear")
    assert cut_short(tiny_pqn(*of_rollouts, "optimizer.decay_train_steps=2_400")) == ""
    said = cut_short(tiny_pqn(*of_rollouts, "optimizer.decay_train_steps=12_000"))
    assert said == "stop.env_steps = 6,400 ends the run after 10 % of optimizer.decay_train_steps = 12,000"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["learner.updates_per_call=1"], "each batch consists of 2 blocks of 16 transitions"),
        (["learner.updates_per_call=7"], "each 7 batches together consist of 14 blocks of 16 transitions"),
        (["learner.updates_per_call=8"], ""),
        (["learner.updates_per_call=1", "replay.block_size=1"], ""),
        (["learner.updates_per_call=1", "replay.backend=in_graph"], ""),
    ],
)
def test_batches_of_few_blocks_are_doubted(overrides: list[str], said: str) -> None:
    found = list(doubts(tiny("learner.batch_size=32", "replay.block_size=16", *overrides)))
    assert [each.partition(" that were stored together: ")[0] for each in found] == ([said] if said else [])
