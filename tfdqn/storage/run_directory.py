"""`RunDir`: the paths in a run's directory, and who may write there.

A run directory belongs to one configuration as soon as something was learned in it. It is claimed while a process
trains in it; a killed run leaves no lock that a user must remove. Nothing that a user could miss is ever deleted.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tfdqn.config import Config, nearby_runs, toml
from tfdqn.config.problems import Problems
from tfdqn.errors import RunDirError, as_path, listed, message_in_one_line, why_no_directory
from tfdqn.storage.atomic_files import is_partial, write_atomically
from tfdqn.storage.checkpoint_names import checkpoints_in
from tfdqn.storage.locks import STALE_SECONDS, FileLock, locked
from tfdqn.storage.machine_directory import MachineDir
from tfdqn.storage.owners import Owner
from tfdqn.system.utf8 import path_for_libraries

if TYPE_CHECKING:  # imports NumPy, which a command that prints its help doesn't need
    from tfdqn.task_spec import TaskSpec

EVALUATOR_LOGS = "evaluator"  # below a run's logs, for the evaluations: TensorBoard follows one file in each folder


class RunDir:
    """The paths of a run; making one touches nothing on the disk.

    Raises RunDirError for a path that TensorFlow and Reverb can't take.
    """

    def __init__(self, path: Path | str):
        self.path = path_for_libraries(as_path(path, "a run directory", RunDirError))
        self.left_by: Owner | None = None  # once claimed: the previous process, if it ended without releasing its claim
        self.was_claimed = self._was_seen = self.is_saved = False  # by this object: claimed, found, trained and saved
        self._locks: list[FileLock] = []  # that it holds
        self._config: tuple[bytes, Config] | None = None  # as its file was last read
        self._config_before: bytes | None = None  # what the claim replaced
        self.config_file = self.path / nearby_runs.CONFIG_FILE
        self.task_file = self.path / nearby_runs.TASK_FILE
        self.lock_file = self.path / "lock"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.best_weights = self.best / "weights.npz"
        self.export_id_file = self.best / "export_id"  # tells this run's exports from another's
        self.exports = self.path / "exports"
        self.logs = self.path / "logs"
        self.metrics_file = self.path / nearby_runs.METRICS_FILE
        self.evaluations_file = self.path / nearby_runs.EVALUATIONS_FILE
        self.learning_curve = self.path / "learning_curve.png"
        self.summary_file = self.path / "summary.json"
        self.scratch = self.path / ".scratch"  # of the process that holds the claim; emptied when it begins
        self.native_log = self.path / "native.log"  # what C++ libraries print; tracebacks of the user's code
        self.process_logs = self.path / nearby_runs.PROCESS_LOGS  # what the run's other processes print
        self.child_log = self.process_logs / "train.log"  # of one of many runs: what its process prints
        self.child_config_file = self.process_logs / "train.toml"  # the configuration that its process is given
        self.end_file = self.process_logs / "end.json"  # how its training ended, until it is trained again
        self.cluster_file = self.path / "cluster.json"  # where a launched job's processes are, if one trained it last
        self.heartbeats = self.process_logs / "beats"
        self.supervisor_lock_file = self.process_logs / "lock"
        self.videos = self.path / "videos"
        self.tracking = self.path / "tracking"  # ids of the run in other systems (*.json), and their logs
        self.replay = self.path / "replay"  # a folder for each replay server

    @classmethod
    def at(cls, run: "RunDir | Path | str") -> "RunDir":
        """A RunDir for this path; a RunDir is returned unchanged, so that its files are not read again."""
        return run if isinstance(run, RunDir) else cls(run)

    def machine(self, name: str) -> MachineDir:
        """The files of a machine that runs some of the job's processes."""
        return MachineDir(self.process_logs / name)

    def refuse_early(self, config: Config) -> None:
        """Raises what `claim_alone` would raise now, without touching anything if there is no run yet."""
        for lock_file in filter(Path.exists, (self.supervisor_lock_file, self.lock_file)):
            with self._locked(lock_file):
                pass
        self._refuse_what_is_not_a_run()
        if self.has_learned:
            self._refuse_another(config, toml.dump(config).encode())

    def refuse_unused(self, keys: Mapping[str, str], say: Callable[[str], None]) -> None:
        """Raises ConfigError for keys that have no effect; in a run that has learned, perhaps with them, only warns.

        Args:
          keys: a line for each key that has no effect, by key.
          say: prints a warning.
        """
        if not self.has_learned:
            Problems(keys.values()).require_none()
        for line in keys.values():
            say(f"warning: {line}; it is left out")

    @contextmanager
    def claim_alone(self, config: Config) -> Iterator[None]:
        """As `claim`; also keeps supervisors of jobs out until the block ends, and is refused while one is there."""
        with self.supervise(config), self.claim(config):
            yield

    @contextmanager
    def claim(self, config: Config) -> Iterator[None]:
        """Claims the directory for this configuration, and until the block ends for this process.

        Raises RunDirError if it isn't a run directory, if another process trains in it, or if it belongs to another
        configuration; nothing in it has changed then. If the block ends before a checkpoint is saved in a run that has
        learned, the run gets its previous configuration back.
        """
        with self._locked(self.lock_file) as lock:
            self._settle(config, lock)
            yield

    @contextmanager
    def supervise(self, config: Config) -> Iterator[None]:
        """As `claim`, for the supervisor of a job. The job's learner makes its own claim."""
        with self._locked(self.supervisor_lock_file) as lock:
            with self._locked(self.lock_file):
                self._settle(config, lock)
            yield

    def confirm_claim(self) -> None:
        """As `check_claim`, but looks at once: before a save, since this process may have been stopped for a while."""
        for lock in self._locks:
            lock.renew()
        self.check_claim()

    def check_exists(self) -> None:
        """Raises RunDirError if the run was claimed, or found by a call before, and was moved or removed since."""
        with suppress(OSError):  # a disk that doesn't answer may do so again
            if self.config_file.exists():
                self._was_seen = True
            elif self.was_claimed or self._was_seen:
                raise RunDirError(f"{self.path} is gone: it was moved or removed while this process used it")

    def check_claim(self) -> None:
        """As `check_exists`, and if another process has taken the directory, which is noticed within about a second."""
        self.check_exists()
        for lock in self._locks:
            if lock.is_lost:
                raise RunDirError(
                    f"{self.path} was taken over by {lock.holder or 'another process'}, which did not hear from this "
                    f"process for {STALE_SECONDS:.0f} s, or took it at the same moment: this process ends, so that "
                    "only one writes there"
                )

    def config(self) -> Config:
        """The configuration that the run was last started with. Raises ConfigError if its file is damaged."""
        text = toml.content(self.begun().config_file, is_complete=True)
        if self._config is None or self._config[0] != text:
            self._config = text, toml.parse(text, origin=str(self.config_file), unused={})
        return self._config[1]

    def restore_config(self) -> None:
        """Puts the previous configuration back: nothing was, or will be, trained with the new one."""
        if self._config_before is not None:
            write_atomically(self.config_file, self._config_before)
            self._config = self._config_before = None

    def task_spec(self) -> "TaskSpec":
        """The task's specification with which the run was begun. Raises RunDirError if it is missing or damaged."""
        from tfdqn.task_spec import TaskSpec

        self.begun()
        try:
            return TaskSpec.from_json(self.task_file.read_bytes())
        except FileNotFoundError:
            raise RunDirError(f"{self.path} has no {self.task_file.name}: the run never began") from None
        except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
            raise RunDirError(f"{self.task_file} is damaged: {message_in_one_line(error)}") from None

    def write_task_spec(self, spec: "TaskSpec") -> "TaskSpec":
        """Keeps `spec`, and returns the specification that the run was begun with, which its networks see.

        Raises RunDirError if the task has changed since then.
        """
        from tfdqn.task_differences import differences

        if not self.task_file.exists():
            write_atomically(self.task_file, spec.to_json())
            return spec
        if changed := differences(begun_with := self.task_spec(), spec):
            raise RunDirError(f"{self.task_file}: the task has changed: {changed}; undo that, or begin another run")
        return begun_with

    def keep_traceback(self, traceback: str) -> None:
        """Adds a traceback to the run's log."""
        with self.native_log.open("a", encoding="utf-8", errors="replace") as log:
            log.write(traceback)

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to resume from. Raises CheckpointError if they can't be listed."""
        return bool(self._checkpoint_names())

    @property
    def has_been_trained(self) -> bool:
        """Whether a process has ever begun to train in it, even if nothing of that is left."""
        return self.metrics_file.exists()

    @property
    def has_learned(self) -> bool:
        """Whether the run has results that another configuration would spoil. A start that failed has none."""
        has_curves = self.metrics_file.exists() and self.metrics_file.stat().st_size > 0
        return has_curves or self.best.exists() or self.has_checkpoint

    def begun(self) -> "RunDir":
        """Returns itself. Raises RunDirError if there is no run in it, or not yet."""
        if not self.config_file.is_file():
            raise RunDirError(f"{self.path} {self._why_no_run()}")
        return self

    def _why_no_run(self) -> str:
        if why := nearby_runs.why_no_folder(self.path):
            return why
        nearby = nearby_runs.runs_below(self.path) or nearby_runs.run_above(self.path)
        if not nearby and any(self.path.glob("seed-[0-9]*/")):
            return "is a folder of seeds, and none of them has begun"
        return f"is not a run directory: no {self.config_file.name} in it{nearby}"

    def _refuse_what_is_not_a_run(self) -> None:
        """Raises RunDirError for a file, or a directory with other content: it is the user's, and stays as it is."""
        if not os.path.lexists(self.path) or self.config_file.is_file():
            return
        if why := why_no_directory(self.path):
            raise RunDirError(f"{self.path} {why}: choose another run directory (--run-dir, run_dir in Python)")
        # A run that was killed at its very start has left these, or a job's other processes have made them.
        ours = {self.lock_file, self.cluster_file, self.process_logs, self.replay}
        try:
            others = sorted(
                each.name
                for each in self.path.iterdir()
                if each not in ours and not any(is_partial(each, of) for of in (self.config_file, self.cluster_file))
            )
        except OSError as error:
            raise RunDirError(f"{self.path} can't be read: {error.strerror}") from None
        if others:
            nearby = nearby_runs.runs_below(self.path) or nearby_runs.run_above(self.path)
            raise RunDirError(
                f"{self.path} holds other files, such as {others[0]}, and no run ({self.config_file.name} is missing)"
                f"{nearby}: choose an empty or a new run directory (--run-dir, run_dir in Python)"
            )

    @contextmanager
    def _locked(self, file: Path) -> Iterator[FileLock]:
        self._refuse_what_is_not_a_run()
        with locked(file, self.path) as lock:
            self._locks.append(lock)
            if file == self.lock_file:
                self.left_by = lock.left_by or self.left_by
            try:
                yield lock
            finally:
                lock.keeps_left = not self.was_claimed  # nothing has changed: `inspect` still says what had ended it
                self._locks.remove(lock)

    def _settle(self, config: Config, lock: FileLock) -> None:
        """Writes the configuration, the first time or if only keys that may change have changed.

        When `lock` is released, the previous one comes back if nothing was trained with the new one.
        """
        text = toml.dump(config).encode()
        if has_learned := self.has_learned:
            self._refuse_another(config, text)
        else:
            self.task_file.unlink(missing_ok=True)  # of a configuration that may have had a mistake in it
        self.end_file.unlink(missing_ok=True)
        self.was_claimed, self.is_saved = True, False
        before = self.config_file.read_bytes() if self.config_file.exists() else None
        if before != text:
            self._config_before = before
            write_atomically(self.config_file, text)
            if has_learned:
                lock.before_release = partial(self._restore_unless_saved, self._checkpoint_names())
            for each in () if has_learned else self.tracking.glob("*.json"):  # in MLflow, params never change
                each.unlink(missing_ok=True)
        self._config = text, config

    def _restore_unless_saved(self, before: set[str]) -> None:
        """Puts the previous configuration back if there is no checkpoint but those of `before`, and room for it."""
        with suppress(OSError, RunDirError):
            if self._checkpoint_names() <= before:
                self.restore_config()

    def _checkpoint_names(self) -> set[str]:
        return {each.name for each in checkpoints_in(self.checkpoints)}

    def _refuse_another(self, config: Config, text: bytes) -> None:
        """Raises RunDirError if the run's own configuration differs in keys that must not change."""
        is_another = self.config_file.exists() and self.config_file.read_bytes() != text
        if is_another and (forbidden := toml.differences(self.config(), config, "run")):
            raise RunDirError(
                f"{self.path} belongs to another configuration: {listed(forbidden)}; choose another run "
                "directory (--run-dir, run_dir in Python), or give the run's own values to resume it"
            )
