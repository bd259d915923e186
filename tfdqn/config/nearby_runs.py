"""Where a run is that was meant by the path of something above or below it, in words that follow a refusal.

A run is known by some of its files, whose names are here rather than with the others in `storage/run_directory.py`: the
refusal of a folder in place of a configuration needs them, too.
"""

import os
from contextlib import suppress
from pathlib import Path

from tfdqn.errors import why_no_directory

CONFIG_FILE = "config.toml"  # of a run, by which its directory is known
TASK_FILE = "task.json"  # of a run that has begun; no other folder with a config.toml is likely to have one
METRICS_FILE = "metrics.jsonl"
EVALUATIONS_FILE = "evaluations.jsonl"
PROCESS_LOGS = "processes"  # made before anything else


def is_run(path: Path) -> bool:
    """Whether `path` is a run directory: one that never began counts, a folder with another config.toml does not."""
    others = (TASK_FILE, METRICS_FILE, EVALUATIONS_FILE, PROCESS_LOGS)
    return (path / CONFIG_FILE).is_file() and any((path / each).exists() for each in others)


def is_of_run(config_file: Path) -> bool:
    """Whether a configuration file is that of the run in whose directory it is."""
    return config_file.name == CONFIG_FILE and is_run(config_file.parent)


def runs_below(path: Path) -> str:
    """The runs in a folder of seeds or of a search, in words; empty if there are none."""
    runs = []
    for each in (*path.glob("*"), *path.glob("*/*")):
        with suppress(OSError):  # another user's folder, as in /tmp
            if is_run(each):
                runs.append(each)
    return f"; it holds runs, such as {min(runs)}" if runs else ""


def run_above(path: Path) -> str:
    """The run that `path` belongs to, such as its `exports/1`, in words; empty if none has it one or two levels up."""
    run = surrounding_run(path)
    return "" if run is None else f"; it belongs to the run {run}"


def why_no_folder(path: Path) -> str:
    """As `why_no_directory`; of a file also with the run that it belongs to."""
    why = why_no_directory(path)
    return f"{why}{run_above(path)}" if why and path.exists() else why


def own_config_file(path: Path) -> str:
    """The configuration of the run that is at `path`, or that it belongs to, in words; empty if there is none."""
    if (path / CONFIG_FILE).is_file() and (path / TASK_FILE).is_file():
        return f"; a run's is its {CONFIG_FILE}: give {path / CONFIG_FILE} to go on with the run"
    if (path / CONFIG_FILE).is_file():
        return f"; a run's is its {CONFIG_FILE}, with --run-dir {path} (run_dir in Python) to go on with the run"
    run = surrounding_run(path)
    return "" if run is None else f"; that of the run it belongs to is {run / CONFIG_FILE}"


def surrounding_run(path: Path) -> Path | None:
    """The run that `path` belongs to; None if none has it one or two levels up."""
    above = [Path(os.path.normpath(path / up)) for up in ("..", "../..")]
    return next((each for each in above if all((each / name).is_file() for name in (CONFIG_FILE, TASK_FILE))), None)
