"""What a run reports and keeps when a failure ends it."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from tfdqn.config import Config
from tfdqn.config.user_modules import own_failures_as_own_code_error
from tfdqn.errors import (
    ClusterError,
    FaultyTaskError,
    NotFiniteError,
    OwnCodeError,
    PeerLostError,
    RefusedProcessError,
    RunDirError,
    UserCodeError,
    UserError,
    message_in_one_line,
    one_line,
)
from tfdqn.storage.atomic_files import is_full_disk
from tfdqn.storage.locks import holder_of
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd, read_end, why_failed, write_end
from tfdqn.system.signals import heard_signal
from tfdqn.system.utf8 import shown


@contextmanager
def failures_are_reported(run: RunDir) -> Iterator[None]:
    """An error that ends the run's training becomes one line that says what is saved, and is kept in its directory."""
    with (
        failures_are_kept(run),
        failures_say_what_is_saved(run),
        tracebacks_are_kept(run),
        own_failures_as_own_code_error(),
        disk_errors_as_run_dir_error(run),
    ):
        yield


@contextmanager
def failures_are_kept(run: RunDir) -> Iterator[None]:
    """Notes in the run's directory which error has ended its training, until it is trained again: for `tfdqn inspect`.

    It notes nothing if the run was never claimed, since it is then another's failure or none, nor if nothing is left of
    it.
    """
    try:
        yield
    except Exception as error:
        if run.was_claimed and run.config_file.exists():
            if isinstance(error, PeerLostError):  # no failure of this process, which is started again
                keep_stop(run, message_in_one_line(error), is_saved=False)
            else:
                keep_failure(run, one_line(error), needs_another_run=_needs_another_run(run, error))
        raise


def keep_failure(run: RunDir, why: str, is_saved: bool = False, needs_another_run: bool = False) -> None:
    """Notes in the run's directory why its training failed, until it is trained again; not if there is no room for it.

    Nothing is noted while another process trains the run, which may be why this one has failed. Arguments as of
    `RunEnd`.
    """
    if holder_of(run.lock_file) is not None:
        with suppress(OSError):
            run.end_file.unlink(missing_ok=True)  # which the process of a `RunGroup` has written
    else:
        keep_end(run, RunEnd(Outcome.FAILED, is_saved, why, needs_another_run))


def keep_failure_of_child(run: RunDir, why: str, is_saved: bool = False) -> None:
    """As `keep_failure`, for a run whose own process, or thread, this one has started.

    What was noted before that start must be removed by then: a failure that is noted now was noted by the run's own
    process, which knows more, and stays.
    """
    if holder_of(run.lock_file) is not None or not why_failed(run.end_file):
        keep_failure(run, why, is_saved)


def keep_interruption(run: RunDir, *, is_saved: bool, more: str = "") -> None:
    """As `keep_stop`, for a run that a signal to this process has stopped, or a function of training's caller.

    `more` is said after that. A failure that is noted, since it came while the run was being stopped, stays.
    """
    if not why_failed(run.end_file):
        by = heard_signal() or "the program that trained it"
        keep_stop(run, f"it was interrupted by {by}{more}", is_saved=is_saved)


def keep_stop(run: RunDir, why: str, *, is_saved: bool) -> None:
    """Notes in the directory of a run, which no other process trains, what has stopped it, until it is trained again.

    `why` is in words, such as "it was pruned after evaluation 2".
    """
    keep_end(run, RunEnd(Outcome.STOPPED, is_saved, why))


def keep_sudden_end(run: RunDir, line: str) -> None:
    """Notes in the directory of a run that this process trains why it ends at once: for `told_of_sudden_end`.

    Nothing is noted if the run is saved and stopped already, nor if another process has taken it over.
    """
    end = read_end(run.end_file)
    if end is None or not end.is_saved:
        with suppress(RunDirError):
            run.check_claim()
            keep_stop(run, line, is_saved=run.is_saved)


def keep_end(run: RunDir, end: RunEnd) -> None:
    """Notes in the run's directory how its training has ended, until it is trained again, if there is room for it.

    A directory that was moved away or removed is not made again for it.
    """
    with suppress(RunDirError, OSError):
        if run.path.exists():
            write_end(run.end_file, msgspec.structs.replace(end, why=shown(end.why)))  # it may name any file


def would_fail_again(run: RunDir) -> bool:
    """Whether the run has failed by its keys with nothing saved, and can no longer be begun again with others."""
    end = read_end(run.end_file)
    return end is not None and end.needs_another_run and not run.has_checkpoint


def unsaved_end(process: str, log: Path | None) -> str:
    """What is known of a process that has trained a run, and has ended without releasing it.

    `log` is a file with output of the process; None: there is none.
    """
    more = "" if log is None else f"; {log} may say more"
    return f"{process} ended without saving: it was killed, or its environment or a library has ended it{more}"


@contextmanager
def tracebacks_are_kept(run: RunDir) -> Iterator[None]:
    """Writes the tracebacks of the user's code to the run's log, where its author can read them."""
    try:
        yield
    except UserCodeError as error:
        if not error.traceback:
            raise
        try:
            run.keep_traceback(error.traceback)
        except OSError as why:  # a full disk, say
            raise type(error)(f"{error}; its traceback can't be kept: {why.strerror}", error.traceback) from error
        raise type(error)(f"{error}; its traceback is in {run.native_log}") from error


@contextmanager
def failures_say_what_is_saved(run: RunDir) -> Iterator[None]:
    """Adds to an error that ends training whether there is a checkpoint, and which keys can't be changed any more."""
    try:
        yield
    except FaultyTaskError:
        raise  # what came before is saved, and that is said
    except (ClusterError, NotFiniteError, OwnCodeError) as error:
        saved = "the last checkpoint is intact" if run.has_checkpoint else "nothing was saved yet"
        if _needs_another_run(run, error) and not run.child_log.exists():  # of one of many runs, others decide the keys
            since = "" if run.has_checkpoint else f", since it has curves in {run.metrics_file}"
            another = "another run directory (--run-dir, run_dir in Python)"
            saved += f"; the run's keys are fixed{since}: to change them, give {another}"
        raise type(error)(f"{error}; {saved}") from error


def _needs_another_run(run: RunDir, error: Exception) -> bool:
    """Whether the run failed by its keys, and has learned something with them, so that they can't be changed.

    Of a job, the learner has noted that before the job failed by it.
    """
    if isinstance(error, RefusedProcessError):
        noted = read_end(run.end_file)
        return noted is not None and noted.needs_another_run
    return isinstance(error, NotFiniteError) and not isinstance(error, FaultyTaskError) and run.has_learned


@contextmanager
def disk_errors_as_run_dir_error(run: RunDir) -> Iterator[None]:
    """Turns errors of the block into a RunDirError if the run's disk is full, or its directory gone."""
    try:
        yield
    except UserError:
        raise  # says so itself
    except Exception as error:
        if isinstance(error, FileNotFoundError):
            run.check_exists()
        if not is_full_disk(error):
            raise
        saved = "the last checkpoint is intact" if run.has_checkpoint else "nothing was saved yet"
        raise RunDirError(f"{run.path}: the disk is full: make room; {saved}") from error


@contextmanager
def claimed_to_train(run: RunDir, config: Config) -> Iterator[None]:
    """As `RunDir.claim_alone`; of a new run that is refused before it has begun, nothing is left."""
    is_new = not os.path.exists(run.config_file)  # unlike Path's, also of a name that is too long
    folders = [each for each in (run.process_logs, *run.process_logs.parents) if not os.path.exists(each)]
    with run.claim_alone(config):
        try:
            yield
        except UserError as error:
            has_traceback = isinstance(error, UserCodeError) and error.traceback
            if is_new and not has_traceback:
                with suppress(RunDirError, OSError):
                    run.confirm_claim()  # else what is there is another process's by now
                    _remove(run, folders)
            raise


def _remove(run: RunDir, folders: Sequence[Path]) -> None:
    """Removes what every run begins with, and the folders that were made for it, deepest first.

    Removes nothing if there is more, such as what another of its processes has printed.
    """
    ours = {run.config_file, run.task_file, run.native_log, run.lock_file, run.supervisor_lock_file}
    found = {each for each in run.path.rglob("*") if run.scratch not in (each, *each.parents)}
    if found <= ours | {run.process_logs}:
        shutil.rmtree(run.scratch, ignore_errors=True)
        for file in ours:
            file.unlink(missing_ok=True)
        for folder in folders:
            folder.rmdir()  # raises OSError if it has something in it by now
