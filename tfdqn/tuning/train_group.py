"""The process of a `RunGroup`: `python -m tfdqn.tuning.train_group MOST LOG RUN...` trains these runs, a thread each.

On SIGTERM all runs are saved.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tfdqn.config import toml
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.before_tensorflow import ignore_warnings_of_libraries
from tfdqn.system.utf8 import begin_in_utf8
from tfdqn.tuning.run_groups import RunEnd
from tfdqn.tuning.thread_runs import ThreadRun, ThreadRuns


def main(most: int, native_log: Path, paths: Sequence[Path]) -> None:
    """Trains the runs that `GroupedRun.join` has prepared in these directories, at most `most` at a time."""
    runs = [ThreadRun(run.path.name, toml.load(run.child_config_file), run) for run in map(RunDir, paths)]

    def say(line: str) -> None:
        print(line, flush=True)

    ThreadRuns(most, say, native_log).run(runs, _write_ends)


def _write_ends(ended: Sequence[ThreadRun]) -> None:
    for each in ended:
        assert each.outcome is not None
        end = RunEnd(each.outcome, each.is_saved, each.why)
        write_atomically(each.run.child_end_file, msgspec.json.encode(end))


if __name__ == "__main__":
    begin_in_utf8()
    ignore_warnings_of_libraries()
    main(int(sys.argv[1]), Path(sys.argv[2]), [Path(each) for each in sys.argv[3:]])
