"""`train_in_threads`: trains runs in this process, a thread each, a few at a time.

The messages of a run go to a log in its directory, the same as in `child_runs`. As a program,
`python -m tfdqn.tuning.thread_runs MOST LOG RUN...`, this is the process of a `RunGroup`; on SIGTERM it saves all runs.
"""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tfdqn.config import Config, toml
from tfdqn.errors import UserError, one_line
from tfdqn.records import Summary
from tfdqn.storage.failures import keep_end, keep_failure_of_child
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd, why_stopped
from tfdqn.system.before_tensorflow import ignore_warnings_of_libraries
from tfdqn.system.output import logged_lines
from tfdqn.system.quick_start import quicken_start
from tfdqn.system.signals import end_at_once, end_start, interruptions, stopping_line
from tfdqn.system.utf8 import begin_in_utf8
from tfdqn.tuning.observed_run import ObservedRun

# (run, prints one line, whether it is asked to end) → the run's summary
Train = Callable[["ThreadRun", Callable[[str], None], Callable[[], bool]], Summary]
_LOOK_SECONDS = 0.2


class ThreadRun(ObservedRun):
    """A run that is trained by a thread of this process."""

    def __init__(self, name: str, config: Config, run: RunDir):
        super().__init__(name, config, run)
        self._thread: threading.Thread | None = None
        self._interrupted: Callable[[], bool] = lambda: False

    @property
    def has_begun(self) -> bool:
        return self._thread is not None

    @property
    def is_asked_to_end(self) -> bool:
        return self.has_begun and self._interrupted()

    def start(self, train: Train, interrupted: Callable[[], bool]) -> None:
        """Starts the thread, which trains until the run is over or the user asks to stop."""
        self._begins()
        self._interrupted = interrupted
        self._thread = threading.Thread(target=self._train, args=(train,), name=self.name, daemon=True)
        self._thread.start()

    def look(self) -> bool:
        """Polls the thread; returns whether the run has ended since the last call."""
        if self._thread is None or self.outcome is not None or self._thread.is_alive():
            return False
        if self.why:
            self.outcome = Outcome.FAILED
            return True
        self.is_saved, self._summary = True, self.summary()
        self.outcome = Outcome.STOPPED if self._summary is None else Outcome.FINISHED
        return True

    def _train(self, train: Train) -> None:
        try:
            self.run.process_logs.mkdir(parents=True, exist_ok=True)
            self.run.end_file.unlink(missing_ok=True)
            with self.run.child_log.open("a", encoding="utf-8", errors="replace") as log:
                self._train_and_log(train, log)
        except OSError as error:
            self.why = f"can't be started: {error}"

    def _train_and_log(self, train: Train, log: TextIO) -> None:
        def say(line: str) -> None:
            with suppress(ValueError, OSError):  # the log is closed, since a thread outlived the run; or a full disk
                print(line, file=log, flush=True)

        try:
            summary = train(self, say, self._interrupted)
            say(f"{summary.status}: {summary.reason}")
        except BaseException as error:  # even SystemExit must end only this run
            self.why = one_line(error)
            say(f"tfdqn: {self.why}" if isinstance(error, UserError) else traceback.format_exc())


def train_in_threads(
    runs: Sequence[ThreadRun],
    most: int,
    native_log: Path,
    say: Callable[[str], None],
    look: Callable[[list[ThreadRun]], None],
) -> bool:
    """Trains runs in order until all have ended, or the user asks to stop; those in training then save and end.

    For the main thread, which receives the signals. One before the first run has begun ends the process.

    At most `most` are trained at a time, and `native_log` takes the output of C++ libraries. `look` is called a few
    times a second with the runs that have ended since.

    Returns whether all were trained; False if some were not begun because the user asked to stop.
    """

    def acknowledge() -> None:
        if any(each.has_begun for each in runs):
            say(stopping_line())
        else:
            end_start(lambda: say("stopped while starting: nothing was lost"))

    with interruptions(end_at_once, acknowledge) as interrupted:
        from tfdqn.training.together import side_by_side, train_beside  # TensorFlow

        with side_by_side(runs[0].config, most, native_log) as devices:

            def train(run: ThreadRun, say: Callable[[str], None], asked: Callable[[], bool]) -> Summary:
                return train_beside(run.config, run.run, run.name, devices, native_log, say, asked)

            return _train_all(list(runs), most, look, train, interrupted)


def _train_all(
    left: list[ThreadRun],
    most: int,
    look: Callable[[list[ThreadRun]], None],
    train: Train,
    interrupted: Callable[[], bool],
) -> bool:
    running: list[ThreadRun] = []
    is_over = False

    def asked() -> bool:
        return is_over or interrupted()

    try:
        while running or (left and not asked()):
            while left and len(running) < most and not asked():
                running.append(left.pop(0))
                running[-1].start(train, asked)
            time.sleep(_LOOK_SECONDS)
            ended = [each for each in running if each.look()]
            running = [each for each in running if each not in ended]
            look(ended)
        return not left
    finally:
        is_over = True
        while running:  # if one doesn't end in time, its watchdog ends this process
            time.sleep(_LOOK_SECONDS)
            running = [each for each in running if not each.look()]


def main(most: int, native_log: Path, paths: Sequence[Path]) -> None:
    """Trains the runs that `GroupedRun.join` has prepared in these directories, at most `most` at a time."""
    runs = [ThreadRun(run.path.name, toml.load(run.child_config_file), run) for run in map(RunDir, paths)]

    def say(line: str) -> None:
        print(line, flush=True)

    train_in_threads(runs, most, native_log, say, _write_ends)


def _write_ends(ended: Sequence[ThreadRun]) -> None:
    for each in ended:
        assert each.outcome is not None
        if each.outcome is Outcome.FAILED:
            keep_failure_of_child(each.run, each.why)
        else:
            keep_end(each.run, RunEnd(each.outcome, each.is_saved, why_stopped(each.run.end_file)))


if __name__ == "__main__":
    begin_in_utf8()
    quicken_start()
    ignore_warnings_of_libraries()
    with logged_lines():
        main(int(sys.argv[1]), Path(sys.argv[2]), [Path(each) for each in sys.argv[3:]])
