"""`find_runs`: the runs in a folder; `unselected`: those of a group that no search has chosen for their scores."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tfdqn.config.nearby_runs import is_run
from tfdqn.reports.configurations import Run
from tfdqn.storage.run_folders import is_trial

_DEPTH = 5  # how many levels below a folder are searched for runs: a study may be two below, its fresh seeds three more
WHY_LEFT_OUT = "is a trial of a search, which chose it for its score, and its configuration has other runs"


def find_runs(path: Path) -> tuple[list[Path], dict[Path, str]]:
    """Returns `path` if it is a run directory, else the run directories up to five levels below it, in order.

    Also returns the folders that can't be read, and why, in words that follow a folder's path. Links are followed, but
    each directory is searched once, and those above `path` are not searched.
    """
    found: list[Path] = []
    unreadable: dict[Path, str] = {}
    seen: set[Path] = set()
    level = [path]
    for levels_below in range(_DEPTH, -1, -1):  # level by level, so that no folder is first met by a longer way
        inside: list[Path] = []
        for each in level:
            try:
                if not each.is_dir() or (place := Path(os.path.realpath(each))) in seen:
                    continue
                seen.update([place] if seen else [place, *place.parents])  # the first is `path` itself
                if is_run(each):
                    found.append(each)
                elif levels_below:
                    inside += sorted(each.iterdir())
            except OSError as error:
                unreadable[each] = f"can't be read: {error.strerror}"
        level = inside
    return sorted(found, key=_in_order), unreadable


def unselected(group: Sequence[Run]) -> tuple[list[Run], list[Path]]:
    """The runs of one configuration that count, and the paths of the others.

    A search's best trial is partly the best by luck: its score would bias that of the fresh seeds with which its
    configuration was trained. So trials count only where there are no other runs.
    """
    trials = [run.path for run in group if is_trial(run.path)]
    if len(trials) == len(group):
        return list(group), []
    return [run for run in group if run.path not in trials], trials


def without_trials(groups: Iterable[Sequence[Run]], say: Callable[[str], None]) -> list[list[Run]]:
    """The groups' runs that count (`unselected`); a line says which are left out."""
    found = []
    for group in groups:
        counting, trials = unselected(group)
        found.append(counting)
        for trial in trials:
            say(f"left out: {trial} {WHY_LEFT_OUT}")
    return found


def _in_order(path: Path) -> list[list[str]]:
    """A sorting key by which seed-2 comes before seed-10."""
    return [[part.zfill(12) if part.isdecimal() else part for part in re.split(r"(\d+)", name)] for name in path.parts]
