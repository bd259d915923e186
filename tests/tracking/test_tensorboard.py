"""Event files say what TensorBoard shows, and forget what a resumed run writes again."""

from pathlib import Path

import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.event_files import made_earlier, points
from tfdqn.tracking.tensorboard import TensorBoard, purge
from tfdqn.tracking.tracker import Point


def at(env_steps: int) -> Point:
    return Point(env_steps, 0, 0.0)


def test_tensorboard_reads_scalars_text_and_hyperparameters(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board.text("configuration", "seed = 1")
    board.hyperparameters({"seed": 1, "agent.kind": "dqn", "agent.discount": 0.99, "masks": False})
    board.scalars({"return": 12.5, "loss": 0.25}, at(100))
    board.scalars({"return": 20.0}, at(200))
    board.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = events.Tags()["tensors"]
    assert {"return", "loss", "configuration"} <= set(tags)
    assert [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors("return")] == [
        (100, 12.5),
        (200, 20.0),
    ]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_tensorboard_forgets_what_is_written_again(tmp_path: Path) -> None:
    purge(tmp_path, 200)
    assert list(tmp_path.iterdir()) == []
    first = TensorBoard(tmp_path)
    for step in (100, 200, 300, 400):
        first.scalars({"loss": step / 7}, at(step))
    first.close()
    made_earlier(tmp_path)
    purge(tmp_path, 200)
    second = TensorBoard(tmp_path)
    for step in (250, 350):
        second.scalars({"loss": step / 7}, at(step))
    second.close()
    assert points(tmp_path, "loss") == [100, 200, 250, 350]
