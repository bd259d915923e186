"""Each field from end to end: its configuration trains for a few hundred steps, and its comparison reads that run."""

import importlib
import json
from pathlib import Path

import pytest

import tfdqn
from tests.docs.test_fields_pages import CONFIGS

SHORT = [
    "stop.env_steps=600",
    "replay.capacity=1000",
    "replay.min_size=200",
    "learner.batch_size=16",
    "learner.updates_per_call=10",
    "learner.xla=off",
    "evaluation.interval_env_steps=300",
    "evaluation.episodes=2",
    "evaluation.final_episodes=2",
    "logging.tensorboard=false",
]
COMPARISONS = {  # module of examples.fields, arguments, and a figure that it must have
    "american_put": ("american_put", ["--steps-per-date", "2", "--paths", "100"], "best on the same dates"),
    "battery": ("battery", ["--days", "3"], "linear program"),
    "fetch_reach": ("robot_control", ["--episodes", "2", "--factors", "2"], "gravity"),
    "highway_fast": ("driving", ["--episodes", "2"], "learned"),
    "highway_grid": ("driving", ["--episodes", "2"], "learned"),
    "hopper": ("robot_control", ["--episodes", "2", "--factors", "2"], "gravity"),
    "inventory": ("inventory", [], "best (s, S): (4, 10)"),
    "inverted_pendulum": ("robot_control", ["--episodes", "2", "--factors", "2"], "gravity"),
    "job_shop_ft06": ("job_shop", [], "optimum"),
    "job_shop_la01": ("job_shop", [], "optimum"),
    "merge": ("driving", ["--episodes", "2"], "learned"),
    "reacher": ("robot_control", ["--episodes", "2", "--factors", "2"], "gravity"),
    "stocks": ("stocks", [], "chosen by validation"),
}
NEED_NONE = {"american_put", "battery", "inventory"}  # no package of an extra


@pytest.mark.parametrize(
    "config",
    [pytest.param(file, id=file.stem, marks=[] if file.stem in NEED_NONE else [pytest.mark.tasks]) for file in CONFIGS],
)
def test_a_field_is_trained_and_compared(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tfdqn.train(tfdqn.load_config(str(config), SHORT), tmp_path / "run")
    assert summary.env_steps >= 600 and summary.train_steps > 0
    module, arguments, figure = COMPARISONS[config.stem]
    example = importlib.import_module(f"examples.fields.{module}")
    for name in ("RANDOM_SCHEDULES", "RANDOM_TRADERS"):
        if hasattr(example, name):
            monkeypatch.setattr(example, name, 2)
    picture = tmp_path / "picture.png"
    monkeypatch.setattr("sys.argv", ["compare", str(tmp_path / "run"), *arguments, "--picture", str(picture)])
    capsys.readouterr()
    example.main()
    assert figure in json.loads(capsys.readouterr().out)
    assert picture.read_bytes().startswith(b"\x89PNG")
