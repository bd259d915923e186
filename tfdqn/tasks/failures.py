"""Failures of environments: `failure_line` describes one, `GuardedEnv` reports it, `Restarts` limits their number."""

import contextlib
import logging
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium

from tfdqn.errors import EnvironmentFailedError, UserError, one_line
from tfdqn.randomness import derived_seed
from tfdqn.system.code_places import begins_in_callers, innermost

log = logging.getLogger(__name__)

# The keys in `info` of an environment that has failed: its error by `failure_line`, and the traceback. They always
# come from `GuardedEnv`, since `CheckedEnv` passes on none of an environment's own `info` under these names.
FAILURE, TRACEBACK = "tfdqn.failure", "tfdqn.traceback"


def failure_line(error: BaseException) -> str:
    """An environment's exception in one line, with the place in its code that raised it, if there is one.

    Such as "Maze.step failed at /home/me/maze.py:33: ValueError: no way". The place is the innermost line of code that
    is not installed, which is most often the user's; else that of the environment's installed package.
    """
    for cause in _causes(error):
        frames = list(traceback.walk_tb(cause.__traceback__))
        if begins_in_callers(frames) and (place := innermost(frames)):  # else it comes from outside: no environment's
            return f"{place.name} failed at {place.file}:{place.line}: {one_line(error)}"
    return one_line(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from: gymnasium raises some errors of constructors again as its own."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _logged(line: str) -> None:
    log.warning("%s", line.removeprefix("warning: "))  # the log adds its level


class Restarts:
    """Counts the restarts of environments in all tasks of a process; it is safe to use from several threads.

    `most`, `task.restarts`, are allowed. `say` shows one line to the user; `keep` takes a failure's traceback.
    """

    def __init__(
        self, most: int = 0, say: Callable[[str], None] = _logged, keep: Callable[[str], None] = lambda traceback: None
    ):
        self.count = 0
        self._most, self._say, self._keep = most, say, keep
        self._lock = threading.Lock()

    def use(self, failure: EnvironmentFailedError) -> None:
        """Counts a restart and tells the user; raises `failure` if no restart is left."""
        with self._lock:
            if self.count >= self._most:
                raise failure
            self.count += 1
            count = self.count
        self._say(f"warning: {failure}: the environment is restarted ({count} of task.restarts = {self._most})")
        self._keep(failure.traceback)


class GuardedEnv(gymnasium.Wrapper):
    """Reports the failure of an environment (any exception, or `sys.exit`) in `info` instead of raising it.

    A call that fails returns the last observation, reward 0, and the failure in `info`, so that the other environments
    of the batch go on. The next call makes the environment anew, its frames stacked, and begins an episode. A
    UserError, by which tfdqn's own checks report an answer that gymnasium's API doesn't allow, is raised.
    """

    def __init__(self, make: Callable[[], gymnasium.Env]):
        super().__init__(make())
        self._make = make
        self._is_broken = False
        self._restarts, self._seed = 0, 0
        self._last: Any = None  # the last observation
        # Where SIGINT is ignored, as in an environment's own process, a KeyboardInterrupt comes from the environment.
        is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        self._failures = (Exception, SystemExit, *((KeyboardInterrupt,) if is_ignored else ()))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self._seed = seed
        try:
            if self._is_broken:
                seed = self._begin_anew()
            self._last, info = self.env.reset(seed=seed, options=options)
        except UserError:
            raise
        except self._failures as error:
            return self._after(error)
        return self._last, info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if self._is_broken:
            observation, info = self.reset()
            return observation, 0.0, False, False, info
        try:
            answer = self.env.step(action)
        except UserError:
            raise
        except self._failures as error:
            observation, info = self._after(error)
            return observation, 0.0, False, False, info
        self._last = answer[0]
        return answer

    def close(self) -> None:
        """Closes the environment; its errors are ignored."""
        with contextlib.suppress(*self._failures):
            self.env.close()

    def _begin_anew(self) -> int:
        """Makes the environment anew; returns a new seed, since it might fail again by the one that it had."""
        self.close()
        self.env = self._make()
        self._is_broken = False
        self._restarts += 1
        return derived_seed(self._seed, "environment made anew", self._restarts)

    def _after(self, error: BaseException) -> tuple[Any, dict[str, Any]]:
        """(the last observation, the failure as `info`) after a call that has failed."""
        self._is_broken = True
        if self._last is None:  # the first reset has failed; the batch needs an observation, which nobody uses
            self._last = self.observation_space.sample()
        return self._last, {FAILURE: failure_line(error), TRACEBACK: "".join(traceback.format_exception(error))}
