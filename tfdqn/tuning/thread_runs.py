"""`ThreadRuns`: runs in this process, a thread each, so many at a time; they end with it.

What a run says goes to a log in its directory, the same as that of `child_runs`.
"""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tfdqn.config import Config
from tfdqn.errors import UserError, one_line
from tfdqn.records import Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.signals import end_at_once, interruptions
from tfdqn.tuning.observed_run import ObservedRun, Outcome

Train = Callable[["ThreadRun", Callable[[str], None]], Summary]  # a run, what shows one line → what it comes to
_STOPPING = "stopping; a second Ctrl-C ends everything at once, without saving"
_LOOK_SECONDS = 0.2


class ThreadRun(ObservedRun):
    """One run. Looked at by `ThreadRuns` a few times a second."""

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
        """Begins its thread, which trains until the run is over or the user has asked to stop."""
        self._begins()
        self._interrupted = interrupted
        self._thread = threading.Thread(target=self._train, args=(train,), name=self.name, daemon=True)
        self._thread.start()

    def look(self) -> bool:
        """Whether it has ended since the last look."""
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
            with self.run.child_log.open("a", encoding="utf-8", errors="replace") as log:
                self._train_and_log(train, log)
        except OSError as error:
            self.why = f"can't be started: {error}"

    def _train_and_log(self, train: Train, log: TextIO) -> None:
        def say(line: str) -> None:
            with suppress(ValueError, OSError):  # a thread of the run's that ends after it, or a full disk
                print(line, file=log, flush=True)

        try:
            summary = train(self, say)
            say(f"{summary.status}: {summary.reason}")
        except UserError as error:
            self.why = " ".join(str(error).split())
            say(f"tfdqn: {self.why}")
        except BaseException as error:  # SystemExit, too, ends only the run
            self.why = one_line(error)
            say(traceback.format_exc())


class ThreadRuns:
    """Used by the main thread, which takes the signals.

    Args:
      most: runs at a time.
      say: shows one line to the user.
      native_log: what C++ libraries print meanwhile.
    """

    def __init__(self, most: int, say: Callable[[str], None], native_log: Path):
        self._most, self._say, self._native_log = most, say, native_log
        self._is_over = False

    def run(self, runs: Sequence[ThreadRun], look: Callable[[list[ThreadRun]], None]) -> bool:
        """Runs them, in order, until all have ended; or False: until the user has asked to stop, and all that ran have
        ended. Whatever ends it, those under way save first.

        Args:
          runs: one at least.
          look: called a few times a second with those that have ended since.
        """
        with interruptions(end_at_once, lambda: self._say(_STOPPING)) as interrupted:
            from tfdqn.training.together import side_by_side, train_beside  # TensorFlow

            def asked() -> bool:
                return self._is_over or interrupted()

            with side_by_side(runs[0].config, self._most, self._native_log) as devices:

                def train(run: ThreadRun, say: Callable[[str], None]) -> Summary:
                    return train_beside(run.config, run.run, run.name, devices, self._native_log, say, asked)

                return self._run(list(runs), look, train, asked)

    def _run(
        self, left: list[ThreadRun], look: Callable[[list[ThreadRun]], None], train: Train, asked: Callable[[], bool]
    ) -> bool:
        running: list[ThreadRun] = []
        try:
            while running or (left and not asked()):
                while left and len(running) < self._most and not asked():
                    running.append(left.pop(0))
                    running[-1].start(train, asked)
                time.sleep(_LOOK_SECONDS)
                ended = [each for each in running if each.look()]
                running = [each for each in running if each not in ended]
                look(ended)
            return not left
        finally:
            self._is_over = True
            while running:  # what does not end in time is ended by its watchdog, and this process with it
                time.sleep(_LOOK_SECONDS)
                running = [each for each in running if not each.look()]
