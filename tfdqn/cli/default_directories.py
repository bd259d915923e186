"""Where a command writes if no option says: below runs/, named after the configuration file.

The configuration file of a run stands for that run: with the run's own seed it goes on in the run's directory, and
whatever else is trained by it is named after the run, and lies beside it. A run of a folder of seeds, or of a study,
counts for that folder: what is named after it lies beside the folder, never in it. The same holds for the
configuration of a study's best trial, which has the same name in every study.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tfdqn.config import Config, toml
from tfdqn.config.nearby_runs import CONFIG_FILE, TASK_FILE
from tfdqn.system.shell_commands import from_here
from tfdqn.tuning.study_folder import StudyFolder, is_study


class _Run(NamedTuple):
    """A run whose configuration file was given."""

    path: Path
    seed: int
    folder: Path  # where whatever else is trained by the file goes
    name: str  # how the name of that begins


def default_run_dir(config_file: Path, config: Config, say: Callable[[str], None]) -> Path:
    """The run directory where --run-dir isn't given: runs/<CONFIG>-seed<SEED>; of a run's own file, the run's.

    `say` is told where another run than that of the file is.
    """
    run = _run_of(config_file)
    if run is not None and config.seed == run.seed:
        return from_here(run.path)
    what = f"with seed = {config.seed}, the run directory is"
    return _named_after(config_file, run, f"seed{config.seed}", what, say)


def default_seeds_folder(config_file: Path, say: Callable[[str], None]) -> Path:
    """The folder of seeds where --run-dir isn't given: runs/<CONFIG>-seeds."""
    return _named_after(config_file, _run_of(config_file), "seeds", "the seeds go to", say)


def default_study_folder(config_file: Path, say: Callable[[str], None]) -> Path:
    """The study's folder where --study-dir isn't given: runs/<CONFIG>-tune."""
    return _named_after(config_file, _run_of(config_file), "tune", "the study goes to", say)


def default_job_name(config_file: Path, config: Config) -> str:
    """The name of a job that files are written for: the configuration file's.

    Of a run's own file, it is the name of the run, or of what is trained beside it with another seed; of a study's best
    configuration, it begins with the study's name.
    """
    run = _run_of(config_file)
    if run is None:
        study = _study_of(config_file)
        return config_file.stem if study is None else f"{study.name}-{config_file.stem}"
    is_of_run = config.seed == run.seed and run.folder == run.path.parent
    return run.path.name if is_of_run else f"{run.name}-seed{config.seed}"


def _named_after(config_file: Path, run: _Run | None, end: str, what: str, say: Callable[[str], None]) -> Path:
    """The path below runs/ that is named after the file; of a run's or a study's, the one beside it, which is said."""
    study = _study_of(config_file)
    if run is not None:
        path, whose = from_here(run.folder / f"{run.name}-{end}"), "a run's"
    elif study is not None:
        path, whose = from_here(study.with_name(f"{study.name}-{config_file.stem}-{end}")), "a study's"
    else:
        return Path("runs") / f"{config_file.stem}-{end}"
    say(f"{config_file} is {whose}: {what} {path}")
    return path


def _study_of(config_file: Path) -> Path | None:
    """The folder of the study whose best configuration this file is; None if it is no study's."""
    study = StudyFolder(os.path.abspath(config_file.parent))
    return study.path if is_study(study.path) and config_file.name == study.best_config_file.name else None


def _run_of(config_file: Path) -> _Run | None:
    """The run whose own configuration this file is; None if it is no run's."""
    path = Path(os.path.abspath(config_file.parent))
    if config_file.name != CONFIG_FILE or not (path / TASK_FILE).is_file():
        return None
    seed = toml.values_in(config_file).get("seed", Config().seed)
    if path.name == f"seed-{seed}":
        folder, name = path.parent.parent, path.parent.name.removesuffix("-seeds")
    else:
        folder, name = path.parent, path.name.removesuffix(f"-seed{seed}")
    if is_study(folder.parent):  # it is in a study's folder `trials` or `best`
        return _Run(path, seed, folder.parent.parent, f"{folder.parent.name}-{name}")
    return _Run(path, seed, folder, name)
