"""What an objective without replay can't be combined with is refused; what it needs is not."""

import pytest

from tests.config.test_checks import refusal
from tfdqn.config.toml import from_mapping

PQN = ["agent.kind=pqn", "learner.schedule=alternate"]


def test_pqn_with_its_defaults_is_accepted() -> None:
    config = from_mapping({}, PQN)
    assert config.updates_per_call == 2 * 32 * 16 // 128  # epochs, steps and environments in batches


@pytest.mark.parametrize(
    "overrides",
    [
        ["acting.inference=central"],
        ["acting.actors=2"],
        ["learner.strategy=averaging", "learner.averaging_period_train_steps=5"],
        ["learner.strategy=parameter_server"],
        ["learner.model_parallel=2", "learner.logical_devices=2"],
        ["ensemble.size=2"],
        ["network.memory=lstm"],
    ],
)
def test_what_it_can_not_be_combined_with_is_refused(overrides: list[str]) -> None:
    assert 'agent.kind = "pqn"' in refusal(*PQN, *overrides)


def test_a_rollout_that_is_not_whole_batches_is_refused() -> None:
    size = "agent.rollout_steps = 32 of task.num_envs = 16 are 512 transitions"
    assert f"{size}, which isn't a multiple of learner.batch_size = 100" in refusal(*PQN, "learner.batch_size=100")
    assert f"{size}, more than stop.env_steps = 511" in refusal(*PQN, "stop.env_steps=511")
    from_mapping({}, [*PQN, "stop.env_steps=512", "learner.batch_size=512"])


def test_limits_of_a_replay_that_it_has_not_are_none() -> None:
    from_mapping({}, [*PQN, "task.num_envs=512", "learner.batch_size=16384"])  # more than replay.capacity
    from_mapping({}, [*PQN, "learner.batch_size=8"])  # no multiple of replay.block_size
