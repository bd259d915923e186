"""`runs_below`: the runs in a folder; `unselected`: those of a group that no search has chosen for their scores."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from tfdqn.config.nearby_runs import CONFIG_FILE
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.trial_folders import is_trial

_DEPTH = 5  # how many levels below a folder are searched for runs: a study's fresh seeds are three below it
WHY_LEFT_OUT = "is a trial of a search, which chose it for its score, and its configuration has other runs"
Run = TypeVar("Run")
Key = TypeVar("Key")


def runs_below(path: Path, unreadable: Callable[[Path, OSError], None], depth: int = _DEPTH) -> Iterator[Path]:
    """Yields `path` if it is a run directory, else the run directories up to `depth` levels below it, in order.

    `unreadable` is called with each folder that can't be read, and why.
    """
    try:
        is_run = _is_run(path)
        inside = sorted(path.iterdir(), key=_in_order) if depth and not is_run and path.is_dir() else []
    except OSError as error:
        unreadable(path, error)
        return
    if is_run:
        yield path
    for each in inside:
        yield from runs_below(each, unreadable, depth - 1)


def _is_run(path: Path) -> bool:
    """Whether `path` is a run directory. The files of `tfdqn manifest` and a user's may include a config.toml, too."""
    if not (path / CONFIG_FILE).is_file():
        return False
    run = RunDir(path)
    files = (run.task_file, run.lock_file, run.process_logs, run.summary_file, run.metrics_file, run.evaluations_file)
    return any(each.exists() for each in files)


def unselected(group: Sequence[Run], path_of: Callable[[Run], Path]) -> tuple[list[Run], list[Path]]:
    """The runs of one configuration that count, and the paths of the others.

    A search's best trial is partly the best by luck: its score would bias that of the fresh seeds with which its
    configuration was trained. So trials count only where there are no other runs.
    """
    trials = [path_of(run) for run in group if is_trial(path_of(run))]
    if len(trials) == len(group):
        return list(group), []
    return [run for run in group if path_of(run) not in trials], trials


def without_trials(
    groups: Iterable[tuple[Key, Sequence[Run]]], path_of: Callable[[Run], Path], say: Callable[[str], None]
) -> list[tuple[Key, list[Run]]]:
    """The groups' runs that count (`unselected`); a line says which are left out."""
    found = []
    for key, group in groups:
        counting, trials = unselected(group, path_of)
        found.append((key, counting))
        for trial in trials:
            say(f"left out: {trial} {WHY_LEFT_OUT}")
    return found


def _in_order(path: Path) -> list[str]:
    """A sorting key by which seed-2 comes before seed-10."""
    return [part.zfill(12) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]
