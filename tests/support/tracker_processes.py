"""A tracker's process that has started, as `BackgroundTracker` starts it."""

from collections.abc import Callable

from tfdqn.config import Tracking
from tfdqn.storage.run_directory import RunDir
from tfdqn.tracking.tracker_process import TrackerProcess


def started_tracker(system: str, config: Tracking, run: RunDir, say: Callable[[str], None]) -> TrackerProcess:
    process = TrackerProcess(system, config, run, say)
    process.start()
    return process
