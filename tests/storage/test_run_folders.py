"""A folder of seeds belongs to one configuration and to one process at a time, and to nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.run_files import finished_run
from tests.support.tiny_runs import tiny
from tfdqn.config import toml
from tfdqn.errors import RunDirError
from tfdqn.storage.locks import locked
from tfdqn.storage.run_folders import SeedsFolder, is_seeds_folder


def test_its_seeds_are_the_runs_that_have_begun_in_order(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    assert folder.seeds() == [] and not is_seeds_folder(folder.path)
    for name in ("seed-10", "seed-9", "seed-x", "other"):
        finished_run(folder.path / name, tiny("seed=9"), [1.0], 1.0)
    (folder.path / "seed-3").mkdir()
    assert folder.seeds() == [9, 10]
    assert is_seeds_folder(folder.path)
    assert not is_seeds_folder(folder.path / "seed-9")
    assert not is_seeds_folder("127.0.0.1:8000")


def a_run(path: Path) -> None:
    finished_run(path, tiny(), [1.0], 1.0)


def a_seed(path: Path, seed: int, *overrides: str) -> None:
    finished_run(path / f"seed-{seed}", tiny(f"seed={seed}", *overrides), [1.0], 1.0)


def strange(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").touch()


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (a_run, r"is a run directory, not a folder of seeds: choose another folder \(--run-dir\)"),
        (Path.touch, r"is a file, not a directory: choose another folder \(--run-dir\)"),
        (strange, r"such as thesis.txt, and no run of a seed .* choose an empty or a new folder \(--run-dir\)"),
        (lambda path: a_seed(path, 1, "agent.n_step=3"), "agent.n_step: 3 in the run, 1 now"),
        (lambda path: a_seed(path, 7, "agent.n_step=3"), "agent.n_step: 3 in the run, 1 now"),
        (lambda path: a_seed(path, 1, "seed=2"), "seed: 2 in the run, 1 now"),
    ],
)
def test_what_is_another_s_is_refused_and_stays_as_it_is(
    tmp_path: Path, prepare: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "seeds"
    prepare(path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunDirError, match=said), SeedsFolder(path).claim(tiny(), [1, 2]):
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_it_is_one_process_s_at_a_time_and_no_seed_is_trained_elsewhere(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    with (
        folder.claim(tiny(), [1]),
        pytest.raises(RunDirError, match="seeds is in use by"),
        SeedsFolder(folder.path).claim(tiny(), [2]),
    ):
        pass
    run = finished_run(folder.path / "seed-1", tiny(), [1.0], 1.0)
    with (
        folder.claim(tiny(), [1]),
        locked(run.lock_file, run.path),  # as by a process that the folder's own has started
        pytest.raises(RunDirError, match="seeds is in use by"),
        SeedsFolder(folder.path).claim(tiny(), [1]),
    ):
        pass
    with (
        locked(run.lock_file, run.path),
        pytest.raises(RunDirError, match="seed-1 is in use by"),
        folder.claim(tiny(), [2]),
    ):
        pass


def test_more_steps_and_more_seeds_are_the_same_configuration(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    run = finished_run(folder.path / "seed-1", tiny(), [1.0], 1.0)
    with folder.claim(tiny("stop.env_steps=9000"), [1, 2]):
        assert run.config_file.read_text() == toml.dump(tiny())
