"""A run in one line, in words that its user knows."""

import pytest

from tfdqn.config.headline import headline
from tfdqn.config.toml import from_mapping


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["agent.kind=double_dqn"], "CartPole-v1: double DQN, MLP 120-84, local, 16 environments"),
        (["network.hidden_units=[]", "task.num_envs=1"], "CartPole-v1: DQN, MLP, local, 1 environment"),
        (
            ["agent.kind=c51", "agent.target=double", "priorities.exponent=0.6", "replay.block_size=1"],
            "CartPole-v1: prioritised double C51, MLP 120-84, local, 16 environments",
        ),
        (
            ["agent.kind=iqn", "agent.target=munchausen", "network.kind=impala", "learner.strategy=mirrored"],
            "CartPole-v1: Munchausen IQN, IMPALA, mirrored, 16 environments",
        ),
        (
            [
                *("network.kind=small_cnn", "network.noisy=true", "network.dueling=true", "network.memory=gru"),
                *("network.memory_units=64", "replay.item=sequence"),
            ],
            "CartPole-v1: DQN, noisy dueling small CNN with GRU 64, local, 16 environments",
        ),
        (
            ["learner.strategy=parameter_server", "learner.workers=1", "acting.actors=3"],
            "CartPole-v1: DQN, MLP 120-84, parameter_server with 1 worker, 3 actors with 16 environments each",
        ),
        (
            ["learner.strategy=multi_worker", "network.kind=linear"],
            "CartPole-v1: DQN, linear network, multi_worker with 2 workers, 16 environments",
        ),
        (
            ["ensemble.size=3", "ensemble.execution=processes", "network.kind=nature_cnn"],
            "CartPole-v1: 3 x DQN, Nature CNN, 3 processes, 16 environments",
        ),
        (["agent.kind=pqn", "learner.schedule=alternate"], "CartPole-v1: PQN, MLP 120-84, local, 16 environments"),
        (["learner.model_parallel=2"], "CartPole-v1: DQN, MLP 120-84, local on 2 devices a network, 16 environments"),
        (["agent.kind=qr_dqn"], "CartPole-v1: QR-DQN, MLP 120-84, local, 16 environments"),
        (["agent.kind=munchausen"], "CartPole-v1: Munchausen DQN, MLP 120-84, local, 16 environments"),
    ],
    ids=str,
)
def test_a_run_is_said_in_one_line(overrides: list[str], line: str) -> None:
    assert headline(from_mapping({}, overrides)) == line
