"""`Watchdog`: a thread that says which peers its process waits for, and ends the process if they never come.

It does not rely on the main thread, which may be in a call that never returns. It acts if peers are silent, if the work
makes no progress, or if a signal has no effect.
"""

import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Self

from tfdqn.config import Health
from tfdqn.coordination.heartbeat_files import STARTING
from tfdqn.coordination.peers import PeerWait, Pollable
from tfdqn.coordination.stall_detector import TO_BE_STARTED_AGAIN, StallDetector
from tfdqn.coordination.sudden_end import end_now, held_up
from tfdqn.errors import STOPPED_STATUS, one_line
from tfdqn.system.concurrent_calls import run_at_once

GOES_ON = "ended; the same command or call goes on with it"
_CHECK_SECONDS = 0.25
_PRINT_SECONDS = 2.0
_LAST_CHECK_SECONDS = 4.0
_END_SECONDS = 20.0  # from a signal on, or from the end of the checkpoint that was being written
_SAID_SECONDS = 4.0  # of these, after which it says what it waits for


class Watchdog:
    """Watches the process while its block runs.

    Args:
      name: of the process, in words.
      interrupted: whether the user has asked to stop; called by the thread.
      stopped_status: the exit status if the user has asked to stop and the process can't end by itself, but is saved;
        also if it is not saved, unless it is 0.
      stalled: what follows if its work stalls, in words.
      is_logged: whether stderr is a log, or native output has one.
    """

    def __init__(
        self,
        name: str,
        health: Health,
        say: Callable[[str], None],
        interrupted: Callable[[], bool] = lambda: False,
        stopped_status: int = STOPPED_STATUS,
        stalled: str = TO_BE_STARTED_AGAIN,
        is_logged: bool = True,
    ):
        self.work = StallDetector()
        self.state = STARTING
        self._name, self._health, self._say, self._interrupted = name, health, say, interrupted
        self._stopped_status, self._stalled, self._is_logged = stopped_status, stalled, is_logged
        self._awaited: list[PeerWait] = []
        # Since when nothing stands between the wish to stop and the end.
        self._asked_seconds: float | None = None
        self._said_stuck = self._said_held_up = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(_LAST_CHECK_SECONDS)

    def require(self, others: Pollable, answer: str, said_after_seconds: float | None = None) -> None:
        """Requires peers: from now on they must not be silent beyond its patience. Says `answer` when all answer.

        After a silence of `said_after_seconds`, by default the one that counts as death, it says that it waits.
        """
        said_after_seconds = said_after_seconds or self._health.dead_after_seconds
        self._awaited.append(PeerWait(others, answer, self._health, self._say_aside, said_after_seconds))

    def release_peers(self) -> None:
        """Requires no peers from now on."""
        self._awaited.clear()

    @property
    def doing(self) -> str:
        """The state of the process, or the peers that it waits for."""
        return self.waits_for or self.work.described(self.state)

    @property
    def waits_for(self) -> str:
        """The peers that it waits for, in words; empty if there are none."""
        return next((each.waits_for for each in list(self._awaited) if each.waits_for), "")

    @property
    def saving(self) -> str:
        """Whether the process is saved if it ends at once, in words."""
        return "after saving" if self.work.is_saved else "without saving"

    @property
    def stopped_status(self) -> int:
        """The exit status if it ends at once and the user has asked to stop; 0 only if it is saved."""
        return self._stopped_status if self.work.is_saved else self._stopped_status or STOPPED_STATUS

    def _watch(self) -> None:
        try:
            while not self._ended.wait(_CHECK_SECONDS):
                self._check()
        except BaseException as error:  # an unwatched process might wait for ever
            with suppress(RuntimeError):  # no thread can be started
                run_at_once([partial(print, traceback.format_exc(), file=sys.stderr)], _PRINT_SECONDS)
            end_now(f"{self._name} ends {self.saving}: its watchdog has failed: {one_line(error)}")

    def _check(self) -> None:
        """Checks everything, a few times a second."""
        self._end_if_asked()
        for each in list(self._awaited):
            if gone := each.ask():
                end_now(f"{gone}: {self._name} gives up {self.saving}")
        self.work.check(is_excused=self._is_excused())
        self._say_if_stuck()
        after_seconds = self._health.stuck_after_seconds
        self.work.end_if_stuck(self._name, self.doing, after_seconds, self._stalled, self._is_logged)

    def _is_excused(self) -> bool:
        """Whether there is a good reason for making no progress."""
        return bool(self.waits_for)

    def _say_if_stuck(self) -> None:
        is_stuck = self.work.stuck_seconds > self._health.dead_after_seconds + 2 * self.work.longest_seconds
        if is_stuck and not self._said_stuck:
            seconds = self.work.stuck_seconds
            self._say_aside(
                f"waiting: {held_up(self.state)}: no progress for {seconds:.0f} s, and no process is silent"
            )
        self._said_stuck = is_stuck

    def _end_if_asked(self) -> None:
        if self._asked_seconds is None:
            if self._interrupted():
                self._asked_seconds = time.monotonic()
        elif self.work.is_suspended:
            # A checkpoint is written; after it there is an end to come to.
            self._asked_seconds = time.monotonic()
        elif (seconds := time.monotonic() - self._asked_seconds) > _END_SECONDS:
            end_now(
                f"{self._name} was asked to end, and was held up ({held_up(self.doing)}): ended {self.saving}",
                self.stopped_status,
            )
        elif seconds > _SAID_SECONDS and not self._said_held_up:
            self._said_held_up = True
            how = self.saving if self.work.is_saved else "saved or not"  # it may be saving just now
            left = f"in {_END_SECONDS - seconds:.0f} s it ends at once, {how}"
            self._say_aside(f"still stopping: {self._name} is held up ({held_up(self.doing)}); {left}")

    def _say_aside(self, line: str) -> None:
        """Says it in a thread of its own: a log or a terminal that doesn't answer may be what holds the process up."""

        def say() -> None:
            with suppress(OSError):  # nobody reads it any more
                self._say(line)

        with suppress(RuntimeError):  # no thread can be started
            threading.Thread(target=say, daemon=True).start()
