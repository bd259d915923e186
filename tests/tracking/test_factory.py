"""A run's trackers: its own and those from outside the package; curves never go back where it is resumed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.support.event_files import made_earlier, points
from tests.support.fake_wandb import FakeWandB
from tests.support.tiny_runs import by_loop_alone, latest, lines, tiny
from tests.support.waiting import until
from tfdqn.config import Config
from tfdqn.errors import ConfigError, OwnCodeError
from tfdqn.records import Progress, Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.tracking.factory import TRACKERS, Part, make_trackers, register_tracker
from tfdqn.tracking.tracker import Point, Tracker, final_scores
from tfdqn.training.call import train

ALTERNATE = ("replay.backend=in_graph", "learner.schedule=alternate", "evaluation.interval_env_steps=100")
OFTEN = ("logging.interval_seconds=0.01",)


class Notebook(Tracker):
    """A tracker as a user of the package writes one: it keeps what it is told, in lists."""

    def __init__(self) -> None:
        self.curves: dict[str, list[tuple[int, float]]] = {}
        self.configuration: dict[str, object] = {}
        self.texts: dict[str, str] = {}
        self.is_closed = False

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        for name, value in values.items():
            self.curves.setdefault(name, []).append((at.env_steps, value))

    def hyperparameters(self, values: Mapping[str, bool | int | float | str]) -> None:
        self.configuration.update(values)

    def text(self, name: str, markdown: str) -> None:
        self.texts[name] = markdown

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    before = dict(TRACKERS)
    yield
    TRACKERS.clear()
    TRACKERS.update(before)


def test_a_tracker_from_outside_the_package_is_told_what_the_runs_own_files_say(tmp_path: Path) -> None:
    run, notebook = tmp_path / "run", Notebook()

    def make(config: Config, run: RunDir, part: Part) -> Tracker | None:
        assert (config.task.id, run.path.name, part) == ("CartPole-v1", "run", "learner")
        return notebook

    register_tracker("notebook", make)
    register_tracker("one that this configuration does not ask for", lambda *_: None)
    said: list[str] = []
    summary = train(tiny(*ALTERNATE, *OFTEN), run, say=said.append)
    assert (summary.status, notebook.is_closed) == ("finished", True)
    assert not [line for line in said if "tracker" in line]
    assert not (run / "videos").exists()
    metrics, evaluations = lines(run / "metrics.jsonl"), lines(run / "evaluations.jsonl")
    for name in ("epsilon", "weights_age_train_steps"):
        assert notebook.curves[f"acting/{name}"] == [(each["env_steps"], each[name]) for each in metrics]
    returns = [(each["env_steps"], each["mean_return"]) for each in evaluations]
    assert notebook.curves["evaluation/return"] == returns
    assert notebook.configuration["learner.batch_size"] == 16
    assert "[learner]" in notebook.texts["configuration"]


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        (3, lambda *_: None, "^register_tracker: the name = 3; expected a str$"),
        (
            "notebook",
            Notebook,
            r'^register_tracker\("notebook"\) = Notebook at .* takes \(\); expected \(config, run, part\)',
        ),
        ("notebook", None, r'^register_tracker\("notebook"\) = None; expected a function of \(config, run, part\)$'),
    ],
)
def test_what_makes_no_tracker_is_refused_when_it_is_registered(name: Any, make: Any, said: str) -> None:
    with pytest.raises(OwnCodeError, match=said):
        register_tracker(name, make)
    assert TRACKERS == {}


class Cinema(Tracker):
    takes_videos = True

    def __init__(self) -> None:
        self.videos: list[tuple[str, Path, int]] = []

    def video(self, name: str, video: Path, at: Point) -> None:
        self.videos.append((name, video, at.env_steps))


def test_the_best_policy_is_recorded_for_a_tracker_that_takes_videos(tmp_path: Path) -> None:
    run, cinema = tmp_path / "run", Cinema()
    register_tracker("cinema", lambda *_: cinema)
    summary = train(tiny(*ALTERNATE), run)
    assert cinema.videos == [("evaluation/best", run / "videos" / "1.mp4", summary.env_steps)]
    assert (run / "videos" / "1.mp4").stat().st_size > 1_000


def test_a_task_that_cant_be_recorded_is_said_and_the_run_has_finished(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cinema, draws_nothing = Cinema(), "task.id=tests.support.toy_environments:Draws-v0"
    register_tracker("cinema", lambda *_: cinema)
    keys = ("task.kwargs={how='none'}", "task.num_envs=1", "stop.env_steps=400")
    summary = train(tiny(*ALTERNATE, draws_nothing, *keys), tmp_path / "run")
    assert (summary.status, cinema.videos) == ("finished", [])
    assert "Draws-v0 could not be rendered: its render() gave None" in caplog.text


class Raising(Notebook):
    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        raise ConnectionError("no route\nto host")


class NoVideos(Notebook):
    @property
    def takes_videos(self) -> bool:
        raise AttributeError("no such setting")


def no_such_module(*_: object) -> Tracker:
    raise ModuleNotFoundError("No module named 'wandb'")


def test_a_tracker_that_fails_or_hangs_is_one_line_and_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, said = Event(), list[str]()
    monkeypatch.setattr("tfdqn.tracking.tracker._START_SECONDS", 0.1)
    monkeypatch.setattr("tfdqn.tracking.factory._FINISHED_SECONDS", 0.1)
    register_tracker("raising", lambda *_: Raising())
    register_tracker("absent", no_such_module)
    register_tracker("wrong", lambda *_: object())  # type: ignore[arg-type, return-value]
    register_tracker("no videos", lambda *_: NoVideos())
    register_tracker("hanging", lambda *_: Notebook() if answers.wait() else None)

    def until_told(progress: Progress) -> None:
        if progress.phase == "final evaluation":
            until(lambda: sum(" failed: " in line for line in said) == 4, "warnings")

    summary = train(tiny(*ALTERNATE, *OFTEN), tmp_path / "run", say=said.append, on_progress=until_told)
    answers.set()
    assert summary.status == "finished"
    assert len(lines(tmp_path / "run" / "metrics.jsonl")) > 2
    assert sorted(line for line in said if "tracker" in line) == [
        "warning: the tracker absent failed: ModuleNotFoundError: No module named 'wandb'; it is told nothing more",
        "warning: the tracker hanging has not come to an end in time; it is told nothing more",
        "warning: the tracker no videos failed: AttributeError: no such setting; it is told nothing more",
        "warning: the tracker raising failed: ConnectionError: no route to host; it is told nothing more",
        "warning: the tracker wrong failed: its function returned a value of type object; expected a Tracker or None; "
        "it is told nothing more",
    ]


def test_a_run_is_tracked_by_one_key_and_resumed_under_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With W&B's package played by another, which is told what the run's own files say, all sessions together."""
    wandb, run, said = FakeWandB(tmp_path, monkeypatch), tmp_path / "run", list[str]()
    config = tiny(*ALTERNATE, *OFTEN, "tracking.wandb=true", "tracking.name=pole")
    metrics = run / "metrics.jsonl"
    train(config, run, say=said.append, interrupted=lambda: metrics.exists() and len(metrics.read_text()) > 500)
    assert train(config, run, say=said.append).status == "finished"
    assert not [line for line in said if "warning" in line]
    first, second = wandb.said("init")
    assert (first["name"], first["id"]) == ("pole", second["id"])
    assert wandb.said("finish") == [None, None]
    assert wandb.said("config")[0]["learner.batch_size"] == 16
    told = wandb.said("log")
    for each, file, name in (("learning/loss", "metrics", "loss"), ("evaluation/return", "evaluations", "mean_return")):
        own = [(line["env_steps"], line[name]) for line in lines(run / f"{file}.jsonl") if name in line]
        assert [(values["env_steps"], values[each]) for values in told if each in values] == own
        assert len(own) > 2
    summary = json.loads((run / "summary.json").read_text())
    assert wandb.said("summary") == [final_scores(msgspec.convert(summary, Summary))]
    assert wandb.said("artifact") == [str(run / summary["paths"]["exported policy"])]
    assert wandb.said("video") == [str(run / "videos" / "1.mp4")]


def test_a_jobs_evaluator_leaves_other_systems_to_the_learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb, run = FakeWandB(tmp_path, monkeypatch), RunDir(tmp_path / "run")
    run.path.mkdir()
    make_trackers(tiny("tracking.wandb=true"), run, "evaluator", print).close()
    assert wandb.said("init") == []
    make_trackers(tiny("tracking.wandb=true"), run, "learner", print).close()
    assert len(wandb.said("init")) == 1


def test_a_run_that_cant_be_tracked_as_asked_for_never_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeWandB(tmp_path, monkeypatch).will(fail="not logged in")
    with pytest.raises(ConfigError, match="not logged in to Weights & Biases"):
        train(tiny("tracking.wandb=true"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Killed(BaseException):
    """Ends a run at once, with nothing saved."""


def test_a_killed_runs_curves_never_go_back_and_its_best_stands(tmp_path: Path) -> None:
    """It is killed long after its only checkpoint, with evaluations and points of curves in between."""
    keys = (*ALTERNATE, *OFTEN, "logging.tensorboard=true")
    run, metrics = tmp_path / "run", tmp_path / "run" / "metrics.jsonl"
    config = tiny(*keys, "checkpoint.interval_seconds=1000")
    train(config, run, interrupted=lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 3)
    saved = latest(run).counters.env_steps
    stand = lines(run / "evaluations.jsonl")

    def kill() -> bool:
        if lines(run / "evaluations.jsonl")[-1:] and lines(run / "evaluations.jsonl")[-1]["env_steps"] > saved + 200:
            raise Killed
        return False

    with pytest.raises(Killed):
        train(config, run, interrupted=by_loop_alone(kill))
    for folder in ("logs", "logs/evaluator"):
        made_earlier(run / folder)
    # One at the checkpoint's own steps stands: it was due, of these weights, when the first session was interrupted.
    lost = [line for line in lines(run / "evaluations.jsonl")[len(stand) :] if line["env_steps"] > saved]
    assert lost
    best = json.loads((run / "best" / "evaluation.json").read_text())["scores"]["mean_return"]
    said: list[str] = []
    summary = train(config, run, say=said.append)
    assert any(line.startswith("lines of the steps that are taken again were put aside: ") for line in said)
    for name in ("metrics", "evaluations"):
        steps = [line["env_steps"] for line in lines(run / f"{name}.jsonl")]
        assert steps == sorted(steps)
    evaluated = [line["env_steps"] for line in lines(run / "evaluations.jsonl")]
    assert len(set(evaluated)) == len(evaluated)
    assert lines(run / "evaluations.superseded.jsonl") == lost
    assert summary.best_return is not None and summary.best_return >= best
    for folder, tag in (("logs/evaluator", "evaluation/return"), ("logs", "learning/loss")):
        steps = points(run / folder, tag)
        assert (np.diff(steps) >= 0).all(), (tag, steps)
