"""Runs that are trained together: in one process, a thread each, which compile once what they compute alike.

TensorFlow gives up Python's lock for the whole of a call that makes updates: so one run acts while others learn. What
belongs to the process is theirs together, and `side_by_side` sets it; the rest is a session as any other.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import tensorflow as tf
from threadpoolctl import threadpool_limits

from tfdqn.config import Config
from tfdqn.config.headline import headline
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.learning.devices import learning_devices, use_threads
from tfdqn.learning.shared_programs import programs_are_shared
from tfdqn.learning.strategies.chief import Chief
from tfdqn.records import Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import EvaluationLine
from tfdqn.system.cores import available_cores
from tfdqn.system.native_stderr import native_output_to
from tfdqn.task_spec import TaskSpec
from tfdqn.training.train import claimed, say_if_left, trained


@contextmanager
def side_by_side(config: Config, runs: int, native_log: Path) -> Iterator[Sequence[str]]:
    """Yields the devices on which so many runs learn in this process while the block runs.

    Args:
      config: of one of them; they differ in their seeds alone.
      runs: at a time.
      native_log: what C++ libraries print.

    Raises as `learning_devices`.
    """
    for each in (EvaluationLine, TaskSpec):  # msgspec crashes where two threads are the first to read one
        msgspec.json.Decoder(each)
    tf.get_logger().setLevel("ERROR")  # it takes the runs' functions for one that is traced again and again
    devices = learning_devices(config)
    use_threads(config, min(runs, available_cores()))
    with native_output_to(native_log), threadpool_limits(1, "blas"), programs_are_shared():
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
    """As `train`, in a thread beside others that do the same; within the block of `side_by_side`.

    Args:
      config: the whole configuration, checked.
      run: its directory.
      name: for people: "seed 3".
      devices: as that block gives them.
      native_log: as that block has it.
      say: shows one line to the user.
      interrupted: whether the user has asked to stop.
    """
    with claimed(config, run), Watchdog(name, config.health, say, interrupted) as watchdog:
        say(headline(config))
        say_if_left(run, say, native_log)
        chief = Chief(config, run, None, devices, say, interrupted)
        return trained(config, run, chief, watchdog, lambda progress: None, say, False, interrupted)
