"""Trains several runs in one process, a thread each, which share the programs that TensorFlow compiles.

TensorFlow releases Python's lock during a call that makes updates, so that one run acts while others learn.
`side_by_side` sets up what the runs of a process share; each run is otherwise a session like any other.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tfdqn.acting.blas_threads import one_blas_thread
from tfdqn.config import Config
from tfdqn.config.headline import headline
from tfdqn.coordination.watchdog import GOES_ON, Watchdog
from tfdqn.learning.devices import learning_devices, use_threads
from tfdqn.learning.shared_programs import programs_are_shared
from tfdqn.learning.strategies.chief import Chief
from tfdqn.records import Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import EvaluationLine
from tfdqn.system.output import native_output_to
from tfdqn.system.processors import available_cores
from tfdqn.task_spec import TaskSpec
from tfdqn.training.train import claimed, finished_already, say_if_left, train_claimed


@contextmanager
def side_by_side(config: Config, runs: int, native_log: Path) -> Iterator[Sequence[str]]:
    """Prepares this process for so many runs at a time, each in a thread; yields the devices on which they learn.

    Their configurations differ only in the seeds. `native_log` takes the output of C++ libraries. Raises the errors of
    `learning_devices`.
    """
    for each in (EvaluationLine, TaskSpec):  # msgspec crashes if two threads make the first decoder of a type at once
        msgspec.json.Decoder(each)
    devices = learning_devices(config)
    use_threads(config, min(runs, available_cores()))
    with native_output_to(native_log), one_blas_thread(), programs_are_shared():
        yield devices


def train_beside(
    config: Config,
    run: RunDir,
    name: str,
    devices: Sequence[str],
    native_log: Path,
    say: Callable[[str], None],
    interrupted: Callable[[], bool],
) -> Summary:
    """Trains one of several runs, as `train` does, in a thread. Call it within the block of `side_by_side`.

    `name` is what users see, such as "seed 3"; `devices` and `native_log` are those of `side_by_side`.
    """
    with claimed(config, run), Watchdog(name, config.health, say, interrupted, stalled=GOES_ON) as watchdog:
        say(headline(config))
        say_if_left(run, say, native_log)
        if (earlier := finished_already(config, run)) is not None:
            return earlier
        chief = Chief(config, devices, say)
        return train_claimed(config, run, chief, watchdog, lambda progress: None, say, False, interrupted)
