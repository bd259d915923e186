"""Whole runs of ensembles: watched, saved, resumed, evaluated and exported like any other."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_runs import assert_same_arrays, everything, latest, lines, policy_weights, tiny
from tfdqn.acting.factory import make_q_function
from tfdqn.acting.policy import Policy
from tfdqn.evaluation.evaluate import evaluate
from tfdqn.evaluation.evaluator import play_episodes
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.randomness import derived_seed
from tfdqn.storage.run_directory import RunDir
from tfdqn.tasks.registry import make_task
from tfdqn.training.call import train

EXACT = ("replay.backend=in_graph", "learner.schedule=alternate")
ENSEMBLE = ("ensemble.size=3", "ensemble.aggregation=majority", "ensemble.target=aggregate")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("ensemble") / "run"
    assert train(tiny(*EXACT, *ENSEMBLE), run).status == "finished"
    return run


def test_weights_and_slots_lead_with_the_members(finished: Path) -> None:
    learner = latest(finished).arrays("learner")
    assert learner["online/hidden_0/kernel"].shape == (3, 4, 16)
    assert learner["optimizer/m/q/bias"].shape == (3, 2)
    best = policy_weights(finished, "best")
    assert best["q/kernel"].shape == (3, 16, 2)


def test_a_run_that_was_resumed_equals_one_that_was_not(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "resumed"
    train(tiny(*EXACT, *ENSEMBLE, "stop.env_steps=596"), run)
    assert 0 < latest(run).counters.train_steps < latest(finished).counters.train_steps
    train(tiny(*EXACT, *ENSEMBLE), run)
    assert_same_arrays(everything(finished), everything(run))


def test_its_disagreement_is_a_curve_and_a_plain_run_has_none(finished: Path, tmp_path: Path) -> None:
    config = tiny(*EXACT, "logging.interval_seconds=0.01")
    train(config, tmp_path / "plain")
    assert all("disagreement" not in each for each in lines(tmp_path / "plain" / "metrics.jsonl"))
    train(tiny(*EXACT, *ENSEMBLE, "logging.interval_seconds=0.01"), tmp_path / "run")
    curve = [each["disagreement"] for each in lines(tmp_path / "run" / "metrics.jsonl") if "loss" in each]
    assert curve and all(value > 0 for value in curve)


def test_the_export_is_the_best_policy_and_evaluates_like_it(finished: Path) -> None:
    run = RunDir(finished)
    weights = policy_weights(run.path, "best")
    exported = load_policy(finished)
    assert exported.card["ensemble"]["size"] == 3
    states = {"observation": np.random.default_rng(1).normal(size=(500, 4)).astype(np.float32)}
    policy = Policy(make_q_function(run.config(), run.task_spec()))
    acted = policy(weights, states, None, (), np.random.default_rng(1))
    np.testing.assert_array_equal(exported(states), acted.action)
    assert set(np.unique(acted.q_values)) <= {0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5}  # votes


def test_it_is_evaluated_as_it_is_exported(finished: Path) -> None:
    run, exported = RunDir(finished), load_policy(finished)
    policy = Policy(lambda weights, observation, legal_actions, rng: exported.q_values(observation))
    with closing(make_task(run.config().task)) as task:
        returns, _ = play_episodes(task, policy, {}, 8, derived_seed(3, "evaluate"))
    assert evaluate(finished, episodes=8, seed=3).mean_return == returns.mean()
