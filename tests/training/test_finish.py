"""How a run finishes: its export and its summary don't depend on its picture."""

from pathlib import Path

import msgspec
import pytest

from tests.support.tiny_runs import lines, tiny
from tfdqn.launch.inspector import Inspector
from tfdqn.reports import learning_curves
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_summary
from tfdqn.training.call import train


def test_a_run_whose_curve_can_t_be_drawn_has_finished_nevertheless(tmp_path, monkeypatch):
    run, said, seen = RunDir(tmp_path / "run"), [], []

    def plot(*_):
        seen.append((read_summary(run.summary_file), (run.exports / "1").is_dir()))
        raise RuntimeError("latex could\nnot be found")

    monkeypatch.setattr(learning_curves, "plot", plot)
    summary = train(tiny(), run, say=said.append)
    assert seen == [(summary, True)]  # even if drawing ended the process
    assert summary.status == "finished" and list(summary.paths) == ["exported policy", "checkpoints", "best policy"]
    assert said[1:] == ["warning: the learning curve is not drawn: RuntimeError: latex could not be found"]
    assert Inspector(str(run.path)).report().status == "finished"
    assert train(tiny(), run) == msgspec.structs.replace(summary, status="already finished")
    assert len(seen) == 1 and not run.learning_curve.exists()


def test_the_summary_names_what_was_made(tmp_path):
    run = RunDir(tmp_path / "run")
    summary = train(tiny(), run)
    assert summary == read_summary(run.summary_file)
    assert list(summary.paths) == ["learning curve", "exported policy", "checkpoints", "best policy"]
    assert run.learning_curve.read_bytes().startswith(b"\x89PNG")


def test_the_curves_reach_the_end_of_a_short_run_and_one_that_goes_on_adds_no_second_line_of_a_step(tmp_path):
    def steps():
        return [each["env_steps"] for each in lines(run.metrics_file)]

    run, never = RunDir(tmp_path / "run"), "logging.interval_seconds=600"
    first = train(tiny(never, "stop.env_steps=600"), run)
    whole = train(tiny(never), run)
    assert first.env_steps < whole.env_steps
    assert steps() == [first.env_steps, whole.env_steps]
    assert isinstance(lines(run.metrics_file)[-1]["episode_return"], float)
    assert train(tiny(never), run).status == "already finished"
    assert train(tiny(never, "evaluation.final_episodes=6"), run).status == "finished"
    assert steps() == [first.env_steps, whole.env_steps]


def test_an_interrupted_runs_summary_names_what_is_there(tmp_path):
    run, seen = RunDir(tmp_path / "run"), []
    at_once = train(tiny(), run, interrupted=lambda: True)
    assert at_once.status == "interrupted" and at_once.paths == {}
    later = train(
        tiny("logging.tensorboard=true"),
        RunDir(tmp_path / "later"),
        on_progress=seen.append,
        interrupted=lambda: any(each.best_return is not None for each in seen),
    )
    assert later.status == "interrupted" and list(later.paths) == ["checkpoints", "best policy", "TensorBoard logs"]
    assert all(Path(path).exists() for path in later.paths.values())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_user_who_stops_the_drawing_stops_the_run(tmp_path, monkeypatch, error):
    run = RunDir(tmp_path / "run")

    def plot(*_):
        raise error

    monkeypatch.setattr(learning_curves, "plot", plot)
    with pytest.raises(error):
        train(tiny(), run)
    assert read_summary(run.summary_file).status == "finished"
