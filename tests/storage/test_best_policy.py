"""A run's policies on disk: which weights are handed out where some are damaged."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.checkpoints import save
from tfdqn.errors import CheckpointError, UserError
from tfdqn.evaluation.evaluator import scores
from tfdqn.records import Evaluation
from tfdqn.storage.best_policy import load_policy_weights, require_return, save_best
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.run_directory import RunDir


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


WANTED = {"hidden_0/kernel": np.zeros((3, 2), np.float32)}


def test_the_latest_weights_are_read_past_a_damaged_replay_and_replaced_by_older_ones_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunDir(tmp_path)
    save(CheckpointManager(run.checkpoints), 1)
    newest = save(CheckpointManager(run.checkpoints), 2)
    flip(newest / "replay" / "table.npz")
    weights, origin = load_policy_weights(run, "latest", WANTED)
    assert weights.keys() == {"hidden_0/kernel"}
    assert (origin["env_steps"], weights["hidden_0/kernel"][0, 0], caplog.messages) == (2, 2, [])

    flip(newest / "learner.npz")
    weights, origin = load_policy_weights(run, "latest", WANTED)
    assert (origin["env_steps"], weights["hidden_0/kernel"][0, 0], len(caplog.messages)) == (1, 1, 1)
    assert "000002: learner.npz is damaged" in caplog.messages[0]


def test_another_networks_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    save(CheckpointManager(run.checkpoints), 1)
    evaluation = Evaluation(env_steps=1, train_steps=2, scores=scores(np.ones(3), np.ones(3)), is_best=True)
    save_best(run.best_weights, {"hidden_0/kernel": np.zeros((3, 2), np.float32)}, evaluation)
    for which, file in (("latest", "learner.npz"), ("best", "weights.npz")):
        for name, shape, line in (
            ("hidden_0/kernel", (3, 5), rf"{file}: hidden_0/kernel is float32\[3, 2\], not float32\[3, 5\]: it"),
            ("theta/kernel", (3, 2), rf"{file}: theta/kernel is absent, not float32\[3, 2\] \(and 1 more\)"),
        ):
            wanted = {name: np.zeros(shape, np.float32)}
            with pytest.raises(CheckpointError, match=line):
                load_policy_weights(run, which, wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("required", "said"),
    [
        (10, "is 4.88 over 3 episodes, below the required 10.00"),
        (4.8786, "is 4.878575419597328 over 3 episodes, below the required 4.8786"),
        (12_345.0, "is 4.88 over 3 episodes, below the required 12,345.00"),
    ],
)
def test_a_refused_return_has_the_digits_that_tell_it_from_the_required_one(
    required: float, said: str, tmp_path: Path
) -> None:
    run, returns = RunDir(tmp_path), np.full(3, 4.878575419597328)
    evaluation = Evaluation(env_steps=1, train_steps=2, scores=scores(returns, np.ones(3)), is_best=True)
    save_best(run.best_weights, {}, evaluation)
    with pytest.raises(UserError) as caught:
        require_return(run, "best", required)
    assert str(caught.value) == f"not exported: the best policy's mean return {said}"
    require_return(run, "best", 4.878575)


@pytest.mark.parametrize("required", ["475", float("nan"), float("inf"), True, [1.0]])
def test_a_required_return_is_a_finite_number(required: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^min_return = {re.escape(repr(required))}: a finite number is needed$"):
        require_return(RunDir(tmp_path), "best", required)


def test_a_run_without_a_policy_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        load_policy_weights(RunDir(tmp_path), "latest", WANTED)
    with pytest.raises(CheckpointError, match=r"no evaluated policy yet, and no checkpoint$"):
        load_policy_weights(RunDir(tmp_path), "best", WANTED)
    save(CheckpointManager(RunDir(tmp_path).checkpoints), 1)
    with pytest.raises(
        CheckpointError, match=r"no evaluated policy yet; try --checkpoint latest \(checkpoint=\"latest\" in Python\)$"
    ):
        load_policy_weights(RunDir(tmp_path), "best", WANTED)


def test_another_choice_of_policy_is_refused(tmp_path: Path) -> None:
    save(CheckpointManager(RunDir(tmp_path).checkpoints), 1)
    with pytest.raises(UserError, match=r"^checkpoint = 'old': allowed are \"best\" and \"latest\"$"):
        load_policy_weights(RunDir(tmp_path), "old", WANTED)  # type: ignore[arg-type]
