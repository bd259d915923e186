"""The process that trains several runs: what it makes of what it is told, and what it leaves of each run's end."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.run_files import a_summary, finish
from tests.support.tiny_runs import tiny
from tfdqn.config.toml import dump
from tfdqn.errors import ConfigError
from tfdqn.records import Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.tuning import thread_runs
from tfdqn.tuning.observed_run import Outcome
from tfdqn.tuning.run_groups import RunEnd


def test_each_run_is_trained_by_its_own_configuration_and_leaves_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, int, Path]] = []

    @contextmanager
    def side_by_side(config: Any, runs: int, native_log: Path) -> Iterator[Sequence[str]]:
        assert runs == 2
        yield ["CPU:0"]

    def train_beside(
        config: Any, run: RunDir, name: str, devices: Any, log: Path, say: Callable[[str], None], asked: Any
    ) -> Summary:
        trained.append((name, config.seed, log))
        if config.seed == 7:
            raise ConfigError("the pole is broken")
        run.config_file.write_text(dump(config), encoding="utf-8")
        finish(run.path, 9.5)
        return a_summary()

    monkeypatch.setattr("tfdqn.training.together.side_by_side", side_by_side)
    monkeypatch.setattr("tfdqn.training.together.train_beside", train_beside)
    monkeypatch.setattr("tfdqn.tuning.thread_runs._LOOK_SECONDS", 0.02)
    runs = [RunDir(tmp_path / f"seed-{seed}") for seed in (6, 7, 8)]
    for seed, run in zip((6, 7, 8), runs, strict=True):
        run.process_logs.mkdir(parents=True)
        run.child_config_file.write_text(dump(tiny(f"seed={seed}")), encoding="utf-8")
    log = tmp_path / "native.log"
    thread_runs.main(2, log, [run.path for run in runs])
    assert sorted(trained) == [("seed-6", 6, log), ("seed-7", 7, log), ("seed-8", 8, log)]
    ends = [msgspec.json.decode(run.child_end_file.read_bytes(), type=RunEnd) for run in runs]
    assert ends[0] == ends[2] == RunEnd(Outcome.FINISHED, True, "")
    assert ends[1] == RunEnd(Outcome.FAILED, False, "the pole is broken")


def test_its_process_defers_the_same_imports_as_a_command() -> None:
    code = """if True:
        import runpy
        import sys
        sys.argv[1:] = ["1", "no-log", "no-run"]
        try:
            runpy.run_module("tfdqn.tuning.thread_runs", run_name="__main__", alter_sys=True)
        except Exception as error:
            print(type(error).__name__, sys.meta_path[0].__module__, "tensorflow" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("ConfigError tfdqn.system.quick_start False\n", "")
