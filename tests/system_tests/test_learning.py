"""Learning that is right: small tasks whose answers are known."""

import gymnasium
import numpy as np
import pytest

import tfdqn
from tests.support.tiny_runs import CATCH_IN_PIXELS, latest, lines, policy_weights
from tests.support.toy_environments import chain_values
from tfdqn.config.toml import from_mapping, load
from tfdqn.training.call import train


def _table(run) -> np.ndarray:
    """The Q-table of a linear network on one-hot states: float32[states, actions]."""
    weights = policy_weights(run, "latest")
    return weights["theta/kernel"]


@pytest.mark.parametrize(("n_step", "kind"), [(1, "dqn"), pytest.param(3, "double_dqn", marks=pytest.mark.long)])
def test_the_chains_values_are_those_of_value_iteration(n_step, kind, tmp_path):
    # Deterministic and started anywhere, so that every state-action pair is seen. With n = 3 the exploring
    # steps inside a window bias the return (nothing corrects it), hence the low epsilon and the greedy path.
    exploration = {"kind": "epsilon_greedy", "end": 0.5 if n_step == 1 else 0.02, "decay_env_steps": 20_000}
    config = from_mapping(
        {
            "task": {"id": "tests.support.toy_environments:Chain-v0", "num_envs": 8, "kwargs": {"random_start": True}},
            "network": {"kind": "linear"},
            "agent": {"kind": kind, "n_step": n_step, "discount": 0.9, "target_update_period_train_steps": 20},
            "optimizer": {"kind": "sgd", "learning_rate": 0.5},
            "exploration": exploration,
            "replay": {"backend": "in_graph", "capacity": 4_000, "min_size": 500},
            "learner": {"batch_size": 64, "updates_per_call": 20, "env_steps_per_update": 4.0, "schedule": "alternate"},
            "stop": {"env_steps": 40_000},
            "evaluation": {"interval_env_steps": 20_000, "episodes": 8, "final_episodes": 8},
            "logging": {"tensorboard": False},
        }
    )
    train(config, tmp_path / "run")
    learned, optimal = _table(tmp_path / "run"), chain_values(0.9)
    if n_step == 1:
        np.testing.assert_allclose(learned, optimal, atol=0.01)
    else:
        np.testing.assert_allclose(learned[:, 1], optimal[:, 1], atol=0.03)
        np.testing.assert_array_equal(learned.argmax(axis=1), optimal.argmax(axis=1))


@pytest.mark.parametrize(
    ("kind", "optimizer", "seed"),
    [("double_dqn", "adam", 1), ("double_dqn", "adam", 2), ("double_dqn", "rmsprop", 3), ("munchausen", "adam", 1)],
)
def test_catch_is_learned_by_an_mlp(kind, optimizer, seed, tmp_path):
    config = from_mapping(
        {
            "seed": seed,
            "task": {"id": "tests.support.toy_environments:Catch-v0", "num_envs": 16},
            "network": {"kind": "mlp", "hidden_units": [64]},
            "agent": {"kind": kind, "n_step": 3},
            "optimizer": {"kind": optimizer, "learning_rate": 2e-3},
            "exploration": {"kind": "epsilon_greedy", "decay_env_steps": 10_000},
            "replay": {"capacity": 10_000, "min_size": 1_000},
            "learner": {"batch_size": 64, "updates_per_call": 20, "env_steps_per_update": 4.0},
            "stop": {"env_steps": 20_000, "return_at_least": 1.0},
            "evaluation": {"interval_env_steps": 4_000, "episodes": 50, "confirm_episodes": 0},
            "logging": {"tensorboard": False},
        }
    )
    summary = train(config, tmp_path / "run")
    assert summary.final is not None and summary.final.mean_return >= 0.95


def test_pixels_stored_frame_by_frame_are_learned_from_by_convolutions(tmp_path):
    """On 40 × 40, where the paddle lies in rows that the convolutions reach over the network's margin alone."""
    summary = train(from_mapping(CATCH_IN_PIXELS), tmp_path / "run")
    assert summary.final is not None and summary.final.mean_return >= 0.9  # a random player gets -0.6


def _frozenlake_value(policy: np.ndarray | None) -> float:
    """How often the goal is reached within 100 steps by int[16], or by the best policy; from the task's own table."""
    transitions = gymnasium.make("FrozenLake-v1").unwrapped.P
    values = np.zeros(16)
    for _ in range(100):
        q_values = np.array(
            [
                [
                    sum(p * (reward + (not ends) * values[to]) for p, to, reward, ends in transitions[s][a])
                    for a in range(4)
                ]
                for s in range(16)
            ]
        )
        values = q_values.max(axis=1) if policy is None else q_values[np.arange(16), policy]
    return float(values[0])


@pytest.mark.long
def test_frozenlake_as_a_linear_table_comes_near_the_best_policy(tmp_path):
    config = load("configs/frozenlake.toml", ["stop.env_steps=120000", "logging.tensorboard=false"])
    train(config, tmp_path / "run")
    weights = policy_weights(tmp_path / "run", "best")
    # Its true value, of 0.74 at best: a thousand episodes would still stray by 0.014 from it.
    assert _frozenlake_value(weights["theta/kernel"].argmax(axis=1)) >= 0.70


def test_the_frozenlake_configs_best_value_is_value_iterations():
    """The 0.74 that configs/frozenlake.toml names."""
    assert _frozenlake_value(None) == pytest.approx(0.74, abs=0.005)
    assert _frozenlake_value(np.zeros(16, int)) < 0.1  # left, whatever the state


@pytest.mark.long
def test_taxi_with_masked_actions_is_learned_by_a_linear_table(tmp_path):
    config = load("configs/taxi.toml", ["logging.tensorboard=false"])
    summary = train(config, tmp_path / "run")
    assert summary.final is not None and summary.final.mean_return >= 7.0


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("config", "seed"),
    [*(("cartpole", seed) for seed in range(1, 6)), *(("cartpole-munchausen", seed) for seed in range(1, 4))],
)
def test_cartpole_is_solved(config, seed, tmp_path):
    """The first: by the README's first command."""
    summary = train(load(f"configs/{config}.toml", [f"seed={seed}"]), tmp_path / "run")
    assert summary.final is not None and summary.final.episodes == 100
    assert summary.final.mean_return >= 475


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_acrobot_is_solved(tmp_path):
    summary = train(load("configs/acrobot.toml"), tmp_path / "run")
    assert summary.final is not None and summary.final.mean_return >= -100


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_blocks_of_many_transitions_cost_no_return(tmp_path):
    """Area under the greedy learning curve of CartPole, five seeds of M = 16 against five of M = 1.

    Five seeds' means differ by chance alone: a loss counts if it is above 5 % by more than two standard errors.
    """

    def areas(block_size: int) -> np.ndarray:
        found = []
        for seed in range(1, 6):
            run = tmp_path / f"{block_size}-{seed}"
            overrides = [f"seed={seed}", f"replay.block_size={block_size}", "stop.env_steps=300000"]
            train(load("configs/cartpole.toml", [*overrides, "stop.return_at_least=1e9"]), run)
            found.append(np.mean([each["mean_return"] for each in lines(run / "evaluations.jsonl")]))
            assert latest(run).counters.env_steps >= 300_000
        return np.array(found)

    blocks, singles = areas(16), areas(1)
    print(f"mean greedy return along the way: M = 16 {blocks}, M = 1 {singles}")
    standard_error = np.sqrt((blocks.var(ddof=1) + singles.var(ddof=1)) / len(blocks))
    assert blocks.mean() + 2 * standard_error >= 0.95 * singles.mean()


def test_the_public_names_are_what_they_say():
    for name in tfdqn.__all__:
        assert name in dir(tfdqn)
        assert callable(getattr(tfdqn, name)), name
