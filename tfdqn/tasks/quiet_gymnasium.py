"""`quiet_gymnasium`: keeps environment packages from printing notices and from replacing the run's signal handlers."""

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator

import gymnasium

from tfdqn.system.signals import signals_kept

# pygame prints a greeting to standard output when it is imported.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# It also opens a sound card, and ALSA prints errors where there is none.
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")

_lock = threading.RLock()


def _new_lock() -> None:
    global _lock
    _lock = threading.RLock()


# In a forked process, the thread that held the lock does not exist and would never release it.
os.register_at_fork(after_in_child=_new_lock)


@contextlib.contextmanager
def quiet_gymnasium() -> Iterator[None]:
    """Silences the notices of gymnasium and pygame in the block; other warnings are still shown.

    Signal handlers that a package installs in the block, as graph-jsp-env does, are replaced by the run's own when it
    ends: else Ctrl-C would no longer save the run. Only one thread is in such a block at a time, since what it
    changes and restores belongs to the whole process.
    """
    with _lock:
        level = gymnasium.logger.min_level
        gymnasium.logger.min_level = gymnasium.logger.ERROR + 1
        try:
            with signals_kept(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=DeprecationWarning)
                warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
                yield
        finally:
            gymnasium.logger.min_level = level
