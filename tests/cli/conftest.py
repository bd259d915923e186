"""What stands behind the verbs is replaced: which arguments reach it, and what becomes of what it gives."""

import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import PROJECT
from tests.support.studies import searched
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.config.toml import dump
from tfdqn.storage.run_directory import RunDir
from tfdqn.tuning import seeds, trial_runs


def _another(name: str) -> "Recorder":
    """What else is imported from a module that is replaced, and not called."""
    if name.startswith("__"):
        raise AttributeError(name)
    return Recorder(AssertionError(f"{name} is called"))


class Recorder:
    """Stands in for the function behind a verb: gives the result, raises it, or calls it."""

    def __init__(self, result: Any = None):
        self.result = result
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result(*args, **kwargs) if callable(self.result) else self.result


@pytest.fixture(autouse=True)
def answers_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a signal is answered by is said before what follows, however slow the machine is."""
    monkeypatch.setattr("tfdqn.system.signals._ANSWER_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recorder]:
    """behind("training.train", "train_checked", result): tfdqn.training.train.train, replaced without importing it."""

    def replace(module: str, function: str, result: Any = None) -> Recorder:
        recorder = Recorder(result)
        stand_in = types.ModuleType(f"tfdqn.{module}")
        vars(stand_in).update({function: recorder, "__getattr__": _another})
        monkeypatch.setitem(sys.modules, f"tfdqn.{module}", stand_in)
        return recorder

    return replace


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in `runs/x` that has each kind of policy; what they are nobody reads."""
    monkeypatch.chdir(tmp_path)
    found = RunDir("runs/x")
    for file in (found.config_file, found.best_weights, found.checkpoints / "000001"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    found.config_file.write_text("seed = 1\n")
    return found.path


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "small.toml"
    file.write_text("[stop]\nenv_steps = 20_000\n")
    return file


SPACE = """
"optimizer.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
"agent.n_step" = { low = 1, high = 5, step = 2 }
"""


@pytest.fixture
def search_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration and a space, in the current directory, for searches whose runs are stand-ins."""
    stand_in = (sys.executable, str(PROJECT / "tests" / "support" / "fake_trial.py"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setattr("tfdqn.tuning.child_runs._LOOK_SECONDS", 0.02)
    monkeypatch.setattr(trial_runs, "search", partial(trial_runs.search, command=stand_in))
    monkeypatch.setattr(seeds, "train_seeds", partial(seeds.train_seeds, command=stand_in))
    Path("small.toml").write_text(dump(searched()))
    Path("space.toml").write_text(SPACE)
