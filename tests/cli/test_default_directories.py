"""Where a command writes if no option says, by a configuration file of the user's and by that of a run."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Recorder
from tests.cli.test_runs import summary
from tests.support.policies import task
from tfdqn.cli import main
from tfdqn.cli.default_directories import default_job_name, default_run_dir, default_seeds_folder, default_study_folder
from tfdqn.config import Config
from tfdqn.config.toml import load
from tfdqn.errors import ConfigError
from tfdqn.storage.run_directory import RunDir
from tfdqn.tuning.study_folder import StudyFolder

Say = Callable[[str], None]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    StudyFolder("runs/a-tune").settle("", "a-tune")
    return tmp_path


def begun(path: str, seed: int = 1) -> Path:
    """The configuration file of a run that has begun."""
    run = RunDir(path)
    with run.claim(Config(seed=seed)):
        run.write_task_spec(task())
    return run.config_file


def silent(line: str) -> None:
    raise AssertionError(line)


@pytest.mark.parametrize("path", ["a-seed1", "runs/a-seed1", "runs/a-seeds/seed-1", "runs/a-tune/trials/001", "x/own"])
def test_a_run_goes_on_by_its_own_file(path: str, here: Path) -> None:
    file = begun(path)
    assert default_run_dir(file, Config(), silent) == Path(path)
    assert default_run_dir(here / file, Config(), silent) == Path(path)


def test_a_run_goes_on_from_within(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun("runs/a-seed1")
    monkeypatch.chdir("runs/a-seed1")
    assert default_run_dir(Path("config.toml"), Config(), silent) == here / "runs/a-seed1"


@pytest.mark.parametrize(
    ("path", "named_after_it"),
    [
        ("runs/a-seed1", "runs/a"),
        ("runs/own", "runs/own"),
        ("a-seed1", "a"),
        ("runs/a-seed12", "runs/a-seed12"),  # not its seed
        ("runs/a-seeds/seed-1", "runs/a"),
        ("runs/more/seed-1", "runs/more"),
        ("runs/a-tune/trials/001", "runs/a-tune-001"),
        ("runs/a-tune/best/trial-001/seed-1", "runs/a-tune-trial-001"),
    ],
)
def test_what_else_is_trained_by_a_run_s_file_is_named_after_it_and_said(path: str, named_after_it: str) -> None:
    file, said = begun(path), list[str]()
    paths = (
        default_run_dir(file, Config(seed=2), said.append),
        default_seeds_folder(file, said.append),
        default_study_folder(file, said.append),
    )
    assert paths == tuple(Path(f"{named_after_it}-{end}") for end in ("seed2", "seeds", "tune"))
    assert said == [
        f"{file} is a run's: with seed = 2, the run directory is {paths[0]}",
        f"{file} is a run's: the seeds go to {paths[1]}",
        f"{file} is a run's: the study goes to {paths[2]}",
    ]


@pytest.mark.parametrize(
    ("path", "name", "seed"),
    [
        ("runs/a-seed1", "a-seed1", 1),
        ("runs/a-seed1", "a-seed2", 2),
        ("runs/own", "own", 1),
        ("runs/own", "own-seed2", 2),
        ("runs/a-seeds/seed-1", "a-seed1", 1),
        ("runs/a-seeds/seed-1", "a-seed2", 2),
        ("runs/a-tune/trials/001", "a-tune-001-seed1", 1),
    ],
)
def test_the_files_of_a_job_by_a_run_s_file_are_named_after_the_run(
    path: str, name: str, seed: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = begun(path)
    for each in (file, here / file):
        assert default_job_name(each, Config(seed=seed)) == name
    assert main.main(["manifest", "slurm", str(file), f"seed={seed}"]) == 0
    assert capsys.readouterr().out == f"launchers/{name}/slurm/job.sbatch\n"
    assert f"runs/{name}}}" in Path(f"launchers/{name}/slurm/job.sbatch").read_text()


def test_another_file_gives_its_name(here: Path) -> None:
    file = begun("runs/a-seed1").rename("runs/a-seed1/other.toml")
    for each in (file, Path("a/config.toml"), here / "config.toml"):
        assert default_run_dir(each, Config(seed=3), silent) == Path(f"runs/{each.stem}-seed3")
        assert default_seeds_folder(each, silent) == Path(f"runs/{each.stem}-seeds")
        assert default_study_folder(each, silent) == Path(f"runs/{each.stem}-tune")
        assert default_job_name(each, Config(seed=3)) == each.stem


def test_what_is_trained_by_the_best_of_a_study_is_named_after_the_study(here: Path) -> None:
    """Each study has a best.toml."""
    file, said = StudyFolder("runs/a-tune").best_config_file, list[str]()
    file.touch()
    for each in (file, here / file):
        paths = (
            default_run_dir(each, Config(seed=3), said.append),
            default_seeds_folder(each, said.append),
            default_study_folder(each, said.append),
        )
        assert paths == tuple(Path(f"runs/a-tune-best-{end}") for end in ("seed3", "seeds", "tune"))
        assert default_job_name(each, Config()) == "a-tune-best"
    assert said[:2] == [
        f"{file} is a study's: with seed = 3, the run directory is {paths[0]}",
        f"{file} is a study's: the seeds go to {paths[1]}",
    ]
    elsewhere = Path("best.toml")
    elsewhere.touch()
    assert default_seeds_folder(elsewhere, silent) == Path("runs/best-seeds")


def test_train_resumes_the_run_or_trains_one_beside_it(
    behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    begun("runs/a-seed1")
    train = behind("training.train", "train_checked", summary("finished"))
    assert main.main(["train", "runs/a-seed1/config.toml"]) == 0
    assert "is a run's" not in capsys.readouterr().err
    assert main.main(["train", "runs/a-seed1/config.toml", "seed=2"]) == 0
    said = "runs/a-seed1/config.toml is a run's: with seed = 2, the run directory is runs/a-seed2\n"
    assert capsys.readouterr().err == said
    assert [call[0][2].path for call in train.calls] == [Path("runs/a-seed1"), Path("runs/a-seed2")]


def test_a_run_in_place_of_its_file_is_refused_with_the_file_that_goes_on_with_it() -> None:
    file = begun("runs/a-seed1")
    line = "runs/a-seed1: is a directory, not a configuration file; a run's is its config.toml: give "
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{line}{file} to go on with the run')}$"):
        load(file.parent)
