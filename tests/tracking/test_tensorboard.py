"""Event files say what TensorBoard shows, and forget what a resumed run writes again."""

import re
import time
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.api_pb2 import (
    STATUS_RUNNING,
    STATUS_SUCCESS,
    STATUS_UNKNOWN,
    ListSessionGroupsRequest,
    SessionGroup,
)
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.list_session_groups import Handler

from tests.support.event_files import made_earlier, points, tags
from tests.support.run_files import a_summary, scores
from tfdqn.records import Evaluation
from tfdqn.tracking.tensorboard import EvaluationsBoard, TensorBoard, purge
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


def session_groups(directory: Path) -> Sequence[SessionGroup]:
    """What HParams shows of the runs in a directory."""
    runs = EventMultiplexer()
    runs.AddRunsFromDirectory(str(directory))
    runs.Reload()
    view = Context(TBContext(data_provider=MultiplexerDataProvider(runs, str(directory)), logdir=str(directory)))
    request = ListSessionGroupsRequest(
        start_index=0, slice_size=10, allowed_statuses=[STATUS_UNKNOWN, STATUS_SUCCESS, STATUS_RUNNING]
    )
    found: Sequence[SessionGroup] = Handler(RequestContext(), view, "", request).run().session_groups
    return found


def statuses(directory: Path) -> list[int]:
    return [session.status for group in session_groups(directory) for session in group.sessions]


def test_its_hparams_view_compares_runs_by_their_keys_and_final_scores(tmp_path: Path) -> None:
    for seed, score in ((1, 480.0), (2, 500.0)):
        board = TensorBoard(tmp_path / f"seed-{seed}" / "logs")
        board.hyperparameters({"seed": seed, "agent.kind": "dqn"})
        board.scalars({"learning/loss": 0.5}, at(100))
        board.summary(a_summary(best_return=score + 0.5, final=scores(score)), at(200))
        board.close()
    groups = session_groups(tmp_path)
    shown = {
        group.hparams["seed"].number_value: {value.name.tag: value.value for value in group.metric_values}
        for group in groups
    }
    assert {seed: values["final/return"] for seed, values in shown.items()} == {1: 480.0, 2: 500.0}
    assert {seed: values["final/best_return"] for seed, values in shown.items()} == {1: 480.5, 2: 500.5}
    assert all(group.hparams["agent.kind"].string_value == "dqn" for group in groups)
    assert statuses(tmp_path) == 2 * [STATUS_SUCCESS]


def test_a_finished_run_that_is_trained_further_is_no_success_until_it_has_finished_again(tmp_path: Path) -> None:
    for reached in (100, 200, 300):
        purge(tmp_path, reached - 100)
        board = TensorBoard(tmp_path)
        board.hyperparameters({"seed": 1})
        board.scalars({"learning/loss": 0.5}, at(reached))
        assert statuses(tmp_path) == [STATUS_UNKNOWN]
        board.summary(a_summary(best_return=5.0, final=None), at(reached))
        board.close()
        assert statuses(tmp_path) == [STATUS_SUCCESS]
    assert points(tmp_path, "learning/loss") == [100, 200, 300]
    assert points(tmp_path, "final/best_return") == [100, 200, 300]


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


def an_evaluation(env_steps: int) -> Evaluation:
    return Evaluation(env_steps=env_steps, train_steps=0, scores=scores(1.0), is_best=False)


def test_a_board_that_goes_back_forgets_what_it_has_written_itself(tmp_path: Path) -> None:
    board = EvaluationsBoard(tmp_path / "evaluator")
    board.rewind(200)
    assert list(tmp_path.iterdir()) == []
    for step in (100, 200, 300):
        board.evaluation(an_evaluation(step), 1.0)
    board.rewind(200)
    board.evaluation(an_evaluation(250), 1.0)
    board.close()
    assert points(tmp_path / "evaluator", "evaluation/return") == [100, 200, 250]


def test_what_a_restart_discards_of_curves_leaves_the_evaluations_alone(tmp_path: Path) -> None:
    curves, evaluations = TensorBoard(tmp_path), EvaluationsBoard(tmp_path / "evaluator")
    for step in (100, 200, 300):
        for board in (curves, evaluations):
            board.scalars({"loss": step / 7}, at(step))
            board.evaluation(an_evaluation(step), 1.0)
    for board in (curves, evaluations):
        board.close()
    made_earlier(tmp_path)
    purge(tmp_path, 200)
    assert points(tmp_path, "loss") == [100, 200]
    assert points(tmp_path / "evaluator", "evaluation/return") == [100, 200, 300]
    assert tags(tmp_path / "evaluator") == {"evaluation/return", "evaluation/std_return", "evaluation/length"}
    assert tags(tmp_path) == {"loss"}


def test_what_is_begun_in_the_second_of_a_purge_is_not_forgotten(tmp_path: Path) -> None:
    """Files of one second are read in the order of their processes and counters, by text: 10 comes before 9."""
    first = TensorBoard(tmp_path)
    for step in (100, 200, 300):
        first.scalars({"loss": step / 7}, at(step))
    first.close()
    (file,) = tmp_path.iterdir()
    name = file.name.split(".")
    time.sleep(1 - time.time() % 1)  # what follows is of one second, were it not for the purge
    file.rename(tmp_path / ".".join([*name[:3], str(int(time.time())), *name[4:-3], "99999999", "9", name[-1]]))
    purge(tmp_path, 200)
    second = TensorBoard(tmp_path)
    second.scalars({"loss": 1.0}, at(250))
    second.close()
    assert points(tmp_path, "loss") == [100, 200, 250]


def test_no_curve_goes_back_after_a_clock_that_was_ahead(tmp_path: Path) -> None:
    for steps in ((100, 200, 300), (250, 350, 450)):
        purge(tmp_path, steps[0] - 50)
        board = TensorBoard(tmp_path)
        for step in steps:
            board.scalars({"loss": step / 7}, at(step))
        board.close()
    made_earlier(tmp_path, seconds=-600)
    assert points(tmp_path, "loss") == [100, 200, 250, 350, 450]
    for kept, step in ((350, 375), (360, 400)):  # with a clock that is right, twice
        purge(tmp_path, kept)
        board = TensorBoard(tmp_path)
        board.scalars({"loss": step / 7}, at(step))
        board.close()
    assert points(tmp_path, "loss") == [100, 200, 250, 350, 400]


def test_what_was_begun_before_a_clock_that_was_ahead_comes_first(tmp_path: Path) -> None:
    now = int(time.time())
    names = [f"{now - 9}.b.1.0.v2", f"{now}.c.1.0.v2", f"{now + 600}.b.1.0.v2", f"{now + 601}.a.1.0.v2.end"]
    for name in names:
        (tmp_path / f"events.out.tfevents.{name}").touch()
    purge(tmp_path, 100)
    found = [each.name.removeprefix("events.out.tfevents.") for each in sorted(tmp_path.iterdir())]
    assert found[:2] == names[:2]
    assert [re.sub(r"^\d+\.", "", name) for name in found[2:4]] == names[2:]
    assert all(int(name.partition(".")[0]) < time.time() for name in found)
    assert f"{int(time.time())}.0" > found[-1]  # what is begun next, on a host whose name begins with 0, comes last
    assert found[3].endswith(".end") and found[4].startswith(f"{found[3]}.restart.")


def test_a_directory_can_be_purged_any_number_of_times_before_something_is_written_to_it(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    for step in (100, 200, 300):
        board.scalars({"loss": step / 7}, at(step))
    board.close()
    made_earlier(tmp_path)
    for _ in range(40):  # a run that is killed before its next evaluation, again and again
        purge(tmp_path, 200)
    assert points(tmp_path, "loss") == [100, 200]
    board = TensorBoard(tmp_path)
    board.scalars({"loss": 0.0}, at(250))
    board.close()
    assert points(tmp_path, "loss") == [100, 200, 250]
