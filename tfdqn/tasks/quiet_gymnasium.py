"""Keeps the notices of environments' libraries off the user's terminal, and their hands off the run's signals."""

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator

import gymnasium

from tfdqn.system.signals import signals_kept

# pygame greets on standard output when an environment that draws is imported.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# It opens a sound card too, and ALSA complains in C where there is none; no task is heard.
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")

_being_quiet = threading.RLock()


def _forget_other_threads() -> None:
    global _being_quiet
    _being_quiet = threading.RLock()


# A forked environment has none of the threads that may have held it.
os.register_at_fork(after_in_child=_forget_other_threads)


@contextlib.contextmanager
def quiet_gymnasium() -> Iterator[None]:
    """Keeps gymnasium's and pygame's notices off the user's terminal, and other warnings on it.

    A library that takes signals for itself, as graph-jsp-env does, loses them again: a Ctrl-C would not save the run.
    One thread at a time: what is changed is the process's, and two that overlap would each put back the other's.
    """
    with _being_quiet:
        level = gymnasium.logger.min_level
        gymnasium.logger.min_level = gymnasium.logger.ERROR + 1
        try:
            with signals_kept(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=DeprecationWarning)
                warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
                yield
        finally:
            gymnasium.logger.min_level = level
