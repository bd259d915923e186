"""What `evaluate` reports, also as JSON: the figures, and the episodes from which they are computed."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.untrained_runs import untrained_run
from tfdqn.evaluation.evaluate import evaluate


def test_each_episode_s_return_and_length_are_reported(tmp_path: Path) -> None:
    report = evaluate(untrained_run(tmp_path / "run").path, episodes=7)
    assert report.lengths == tuple(map(int, report.returns))  # CartPole's reward is 1 a step
    assert len(set(report.lengths)) > 1
    found = json.loads(report.to_json())
    assert [found["returns"], found["lengths"]] == [list(report.returns), list(report.lengths)]
    assert found["episodes"] == len(found["returns"]) == len(found["lengths"]) == 7
    assert (found["mean_return"], found["std_return"]) == pytest.approx(
        (np.mean(report.returns), np.std(report.returns))
    )
    assert found["mean_length"] == pytest.approx(np.mean(report.lengths))
