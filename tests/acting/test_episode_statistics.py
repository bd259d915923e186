"""Episode statistics, rates and the sinks that numbers go to."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfdqn.acting.episode_statistics import EpisodeStatistics, JsonLines, Rate, TensorBoard
from tfdqn.types import Step


def step(
    reward: list[float],
    terminated: list[bool] | None = None,
    truncated: list[bool] | None = None,
    is_reset: list[bool] | None = None,
) -> Step:
    no = [False] * len(reward)
    return Step(
        observation={},
        reward=np.array(reward, np.float32),
        terminated=np.array(terminated or no),
        truncated=np.array(truncated or no),
        is_reset=np.array(is_reset or no),
        legal_actions=None,
    )


def test_an_episode_counts_when_it_terminates_or_is_truncated() -> None:
    statistics = EpisodeStatistics(2)
    statistics.add(step([1, 10]))
    assert (statistics.episodes, statistics.recent_return, statistics.recent_length) == (0, None, None)
    statistics.add(step([2, 20], terminated=[True, False]))  # environment 0: 3 in two steps
    assert (statistics.episodes, statistics.recent_return, statistics.recent_length) == (1, 3.0, 2.0)
    statistics.add(step([0, 30], truncated=[False, True], is_reset=[True, False]))  # 1: 60 in three
    assert (statistics.episodes, statistics.recent_return, statistics.recent_length) == (2, 31.5, 2.5)
    statistics.add(
        step([5, 0], terminated=[True, False], is_reset=[False, True])
    )  # 0: 5 in one: resets don't
    assert (statistics.episodes, statistics.recent_length) == (3, 2.0)


def test_recent_means_are_over_the_last_window() -> None:
    statistics = EpisodeStatistics(1, window=2)
    for reward in (100, 1, 2):
        statistics.add(step([reward], terminated=[True]))
    assert (statistics.episodes, statistics.recent_return) == (3, 1.5)


def test_statistics_go_on_from_their_state() -> None:
    first, second = EpisodeStatistics(2), EpisodeStatistics(2)
    first.add(step([1, 2], terminated=[True, False]))
    second.load_state(first.state())
    for each in (first, second):
        each.add(step([1, 2], terminated=[True, True]))
    assert second.episodes == first.episodes == 3
    assert second.recent_return == first.recent_return == pytest.approx(2.0)  # 1, 1 and 4
    assert second.recent_length == first.recent_length


def test_the_state_is_a_copy() -> None:
    statistics = EpisodeStatistics(1)
    state = statistics.state()
    statistics.add(step([7]))
    assert state["running_return"] == [0]


def test_dropping_unfinished_episodes_keeps_the_finished() -> None:
    statistics = EpisodeStatistics(1)
    statistics.add(step([4], terminated=[True]))
    statistics.add(step([100]))
    statistics.drop_unfinished()
    statistics.add(step([6], terminated=[True]))
    assert (statistics.episodes, statistics.recent_return, statistics.recent_length) == (2, 5.0, 1.0)


def test_a_rate_is_of_what_happened_since_the_last_reading() -> None:
    rate = Rate()
    assert rate.read(10.0, 500) == 0.0
    assert rate.read(12.0, 600) == 50.0
    assert rate.read(12.0, 700) == 0.0
    assert rate.read(13.0, 710) == 10.0


def test_lines_are_on_disk_as_soon_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    sink = JsonLines(path)
    sink.write({"env_steps": 1, "loss": 0.5})
    sink.write({"env_steps": 2, "loss": None})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"env_steps": 1, "loss": 0.5},
        {"env_steps": 2, "loss": None},
    ]
    sink.close()


def test_what_is_not_finite_is_null_for_every_reader_of_json(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "metrics.jsonl")
    sink.write({"a": float("nan"), "b": np.float64("inf"), "c": -float("inf"), "d": 1.5, "e": 2, "f": True})
    sink.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=pytest.fail) == {
        "a": None,
        "b": None,
        "c": None,
        "d": 1.5,
        "e": 2,
        "f": True,
    }


@pytest.mark.parametrize("left", ['{"env_steps": 1}\n', '{"env_steps": 1}\n{"env_st'])
def test_a_line_that_a_killed_writer_tore_does_not_swallow_the_next(tmp_path: Path, left: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(left)
    sink = JsonLines(path)
    sink.write({"env_steps": 2})
    sink.close()
    lines = path.read_text().splitlines()
    assert lines[0] == '{"env_steps": 1}'
    assert lines[-1] == '{"env_steps": 2}'
    assert len(lines) == len(left.splitlines()) + 1


def test_tensorboard_reads_scalars_text_and_hyperparameters(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board.text("configuration", "seed = 1")
    board.hyperparameters({"seed": 1, "agent.kind": "dqn", "agent.discount": 0.99, "masks": False})
    board.scalars({"return": 12.5, "loss": 0.25}, env_steps=100)
    board.scalars({"return": 20.0}, env_steps=200)
    board.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = events.Tags()["tensors"]
    assert {"return", "loss", "configuration"} <= set(tags)
    assert [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors("return")] == [
        (100, 12.5),
        (200, 20.0),
    ]
    assert "_hparams_/session_start_info" in events.summary_metadata
