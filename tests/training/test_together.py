"""Runs in threads of one process: each is the run that it would be alone; one that fails leaves the others alone."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.tiny_runs import assert_same_arrays, everything, tiny, tiny_pqn
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.errors import NotFiniteError
from tfdqn.learning.shared_programs import shared_programs
from tfdqn.records import Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.call import train
from tfdqn.training.together import side_by_side, train_beside

IN_TURN = ("replay.backend=in_graph", "learner.schedule=alternate", "learner.xla=on")


def trained_together(folder: Path, configs: list[Config]) -> tuple[list[Summary | BaseException], int]:
    """What each came to, or what ended it; how many programs were compiled."""

    def run(index: int, devices: list[str]) -> Summary | BaseException:
        try:
            where = RunDir(folder / str(index))
            return train_beside(configs[index], where, f"run {index}", devices, log, lambda line: None, lambda: False)
        except Exception as error:
            return error

    count, log = len(configs), folder / "native.log"
    with side_by_side(configs[0], count, log) as devices, ThreadPoolExecutor(count) as pool:
        programs = shared_programs()
        assert programs is not None
        return list(pool.map(run, range(count), [devices] * count)), len(programs)


@pytest.mark.parametrize(
    "make", [lambda *keys: tiny(*IN_TURN, *keys), lambda *keys: tiny_pqn("learner.xla=off", *keys)]
)
def test_each_is_the_run_that_it_is_alone_and_both_have_one_program(tmp_path: Path, make: type[Config]) -> None:
    configs = [make(f"seed={seed}", "stop.env_steps=600") for seed in (1, 2)]
    summaries, programs = trained_together(tmp_path, configs)
    assert programs == 1
    for index, config in enumerate(configs):
        own = train(config, tmp_path / f"own-{index}")
        assert_same_arrays(everything(tmp_path / str(index)), everything(tmp_path / f"own-{index}"))
        ours = summaries[index]
        assert isinstance(ours, Summary) and (ours.status, ours.final) == ("finished", own.final)


def test_one_that_fails_leaves_the_other_alone(tmp_path: Path) -> None:
    sound, broken = tiny(*IN_TURN, "stop.env_steps=600"), tiny(*IN_TURN, "optimizer.learning_rate=1e12")
    (finished, failed), _ = trained_together(tmp_path, [sound, broken])
    assert isinstance(finished, Summary) and finished.status == "finished"
    assert isinstance(failed, NotFiniteError) and str(failed).endswith("; nothing was saved yet")


def test_it_says_that_the_process_that_trained_a_run_before_ended_without_saving(tmp_path: Path) -> None:
    config, run, said = tiny(*IN_TURN, "stop.env_steps=600"), RunDir(tmp_path / "run"), list[str]()
    script = (
        "import os, sys\n"
        "from tfdqn.config.toml import load\n"
        "from tfdqn.storage.run_directory import RunDir\n"
        "with RunDir(sys.argv[1]).claim(load(sys.argv[2])):\n"
        "    os._exit(3)\n"
    )
    (file := tmp_path / "config.toml").write_text(dump(config), encoding="utf-8")
    with subprocess.Popen([sys.executable, "-c", script, run.path, file]) as process:
        pass
    log = tmp_path / "native.log"
    with side_by_side(config, 1, log) as devices:
        train_beside(config, run, "run", devices, log, said.append, lambda: False)
    (line,) = [each for each in said if "trained here before" in each]
    assert line.startswith(f"process {process.pid}, ") and line.endswith(f"{log} may say more")
