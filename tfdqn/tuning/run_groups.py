"""`RunGroup`: a child process (`thread_runs`) that trains several runs, a thread each, as its parent sees it.

The process writes how each run ended to a file in the run's directory (`RunDir.end_file`), and releases the run.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfdqn.storage.locks import holder_of
from tfdqn.storage.run_records import Outcome, RunEnd, read_end
from tfdqn.system.subprocesses import Starter, how_it_ended
from tfdqn.tuning.child_runs import UNSAVED, ChildProcess
from tfdqn.tuning.observed_run import ObservedRun, file_bytes

TRAIN_GROUP = (sys.executable, "-m", "tfdqn.tuning.thread_runs")


class GroupedRun(ObservedRun):
    """One run of a group."""

    _group: "RunGroup | None" = None

    @property
    def has_begun(self) -> bool:
        return self._group is not None and file_bytes(self.run.child_log) > self._log_start_bytes

    @property
    def is_asked_to_end(self) -> bool:
        return self._group is not None and self._group.is_asked_to_end

    def join(self, group: "RunGroup") -> None:
        """Writes the files that the group's process needs; if that is impossible, the run has failed."""
        if self._prepare():
            self._group = group

    def look(self, status: int | None) -> None:
        """Sets the run's outcome if it has ended. `status` is that of its process; None if that still runs."""
        if self._group is None or self.outcome is not None:
            return
        has_ended = status is not None or holder_of(self.run.lock_file) is None
        if has_ended and (end := read_end(self.run.end_file)) is not None:
            self._take(end)
        elif status is None or (self.is_asked_to_end and not self.has_begun):
            return
        elif (summary := self.summary()) is not None:  # there was no room to note the end
            self.outcome, self.is_saved, self._summary = Outcome.FINISHED, True, summary
        elif self.is_asked_to_end and status in (0, *UNSAVED):
            self.outcome, self.is_saved = Outcome.STOPPED, status == 0
        else:
            self.outcome, self.why = Outcome.FAILED, f"its process {how_it_ended(status)}"

    def _take(self, end: RunEnd) -> None:
        self.outcome, self.is_saved, self.why = end.outcome, end.is_saved, end.why
        self._summary = self.summary()
        if end.outcome is Outcome.STOPPED and not (end.is_saved or self.is_asked_to_end):
            self.outcome, self.why = Outcome.FAILED, f"its process ended: {end.why}"  # perhaps for another run of it


class RunGroup(ChildProcess):
    """A process that trains several runs, in order, at most `most` at a time; `native_log` takes its output."""

    def __init__(self, runs: Sequence[GroupedRun], most: int, native_log: Path):
        super().__init__()
        self._runs, self._most, self._native_log = runs, most, native_log
        self._left = list(runs)  # not yet returned by `newly_ended`
        self._ended_status: int | None = None
        self._could_not_begin = False

    @property
    def has_ended(self) -> bool:
        return self._could_not_begin or self._ended_status is not None

    def start(self, start: Starter, command: Sequence[str], environment: Mapping[str, str | None]) -> None:
        for each in self._runs:
            each.join(self)
        joined = [each for each in self._runs if each.outcome is None]
        arguments = (str(self._most), str(self._native_log), *(str(each.run.path) for each in joined))
        try:
            if joined:
                self._process = start((*command, *arguments), self._native_log, environment)
        except OSError as error:
            for each in joined:
                each.fail_to_start(error)
        self._could_not_begin = self._process is None

    def look(self) -> bool:
        if self.has_ended:
            return False
        self._ended_status = self._status()
        return self.has_ended

    def newly_ended(self) -> list[GroupedRun]:
        """The runs that have ended since the last call. To be called after `look`."""
        for each in self._left:
            each.look(self._ended_status)
        ended = [each for each in self._left if each.outcome is not None]
        self._left = [each for each in self._left if each.outcome is None]
        return ended
