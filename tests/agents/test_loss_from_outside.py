"""A loss, a head and a torso from a package outside: named in a configuration, trained with, evaluated, exported."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfdqn
from tests.support.tiny_runs import policy_weights
from tfdqn.config import DQN, Config
from tfdqn.config.toml import dump, from_mapping, load
from tfdqn.errors import ConfigError
from tfdqn.networks.factory import network_to_load, numpy_q_function
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.call import train

KIND = "tests.support.own_algorithm:quantiles"


def settings(**ensemble: Any) -> Config:
    return from_mapping(
        {
            "task": {"id": "tests.support.toy_environments:Catch-v0", "num_envs": 16},
            "network": {"kind": "tests.support.own_algorithm:symlog", "units": 32},
            "agent": {"kind": KIND, "quantiles": 5, "n_step": 3},
            "ensemble": ensemble,
            "optimizer": {"kind": "adam", "learning_rate": 3e-3},
            "exploration": {"kind": "epsilon_greedy", "decay_env_steps": 4_000},
            "replay": {"backend": "in_graph", "capacity": 10_000, "min_size": 500},
            "learner": {"batch_size": 64, "updates_per_call": 20, "env_steps_per_update": 8.0, "schedule": "alternate"},
            "stop": {"env_steps": 12_000, "return_at_least": 0.9},
            "evaluation": {"interval_env_steps": 2_000, "episodes": 50, "confirm_episodes": 0},
            "logging": {"tensorboard": False},
        }
    )


def test_it_learns_and_what_it_has_learned_is_served(tmp_path: Path) -> None:
    summary = train(settings(), tmp_path / "run")
    assert summary.final is not None and summary.final.mean_return >= 0.8  # a random player gets -0.6
    run = RunDir(tmp_path / "run")
    recorded = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    spreads = [each["loss_spread"] for each in recorded if "loss" in each]
    assert spreads and all(0 < spread < 2 for spread in spreads), recorded  # of returns between -1 and 1
    config, spec = run.config(), run.task_spec()
    assert config.agent.kind == KIND
    weights = policy_weights(tmp_path / "run", "best")
    assert weights["q/kernel"].shape == (32, 3 * 5)

    rng = np.random.default_rng(0)
    observation = {key: rng.random((7, *each.shape), np.float32) for key, each in spec.observation.items()}
    network = network_to_load(config, spec)
    network.load_named_weights(weights)
    expected = network(observation)[0].numpy()
    assert expected.shape == (7, 3)
    q_function = numpy_q_function(config, spec)
    assert q_function is not None
    np.testing.assert_allclose(q_function(weights, observation), expected, rtol=1e-4, atol=1e-5)
    tfdqn.export(tmp_path / "run")
    (values,) = observation.values()
    np.testing.assert_allclose(tfdqn.load_policy(tmp_path / "run").q_values(values), expected, rtol=1e-4, atol=1e-5)


def test_its_keys_are_written_and_read_back(tmp_path: Path) -> None:
    (tmp_path / "some.toml").write_text(dump(settings()))
    assert f'kind = "{KIND}"  # your own, or one of dqn, ' in dump(settings())
    assert load(tmp_path / "some.toml") == settings()
    for override, line in (
        ("agent.quantiles=0", "agent.quantiles = 0: must be a whole number from 1 to 200"),
        ("agent.kind=tests.support.own_algorithm:quantile", f'(did you mean "{KIND}"?)'),
        ("agent.kind=json:x", ", or the tag of a class in json, which has none of this tag"),
        (
            "agent.kind=tests.support.nowhere:x",
            'agent.kind = "tests.support.nowhere:x": there is no module "tests.support.nowhere" in',
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "some.toml", [override])
        assert line in str(caught.value) and "\n" not in str(caught.value)


def test_another_kind_leaves_out_its_keys_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "some.toml").write_text(dump(settings()))
    said: list[str] = []
    assert type(load(tmp_path / "some.toml", ["agent.kind=dqn"], said.append).agent) is DQN
    assert len(said) == 1 and "agent.quantiles" in said[0]


def test_an_ensemble_of_it_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ensemble\.size = 2 needs an agent\.kind whose") as caught:
        train(settings(size=2), tmp_path / "run")
    assert "\n" not in str(caught.value)
