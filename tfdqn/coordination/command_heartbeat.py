"""Signs of life of processes that play no role of a job, or look after those who do: `train`, `launch`, `serve`, …

They are given where `TFDQN_BEATS` names a folder, as the image does for its health check, and tell that the process
lives, not that it gets on.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from tfdqn.coordination.heartbeat_files import VARIABLE, HeartbeatFile

_PERIOD_SECONDS = 1.0


@contextmanager
def heartbeat_of_command(command: str, say: Callable[[str], None]) -> Iterator[None]:
    """Gives them while the block runs. `say` shows a warning where they can't be given."""
    named = os.environ.get(VARIABLE)
    if not named:
        yield
        return
    sign = HeartbeatFile(Path(named) / f"command-{os.getpid()}.json", command, say)
    is_over = Event()

    def give() -> None:
        sign.write("running", 0.0)
        while not is_over.wait(_PERIOD_SECONDS):
            sign.write("running", 0.0)

    giving = Thread(target=give, name="signs of life", daemon=True)
    giving.start()
    try:
        yield
    finally:
        is_over.set()
        giving.join(_PERIOD_SECONDS)  # a disk that hangs holds nobody up
        sign.remove()
