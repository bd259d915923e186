"""Who may write in a run directory: one process at a time, and nobody where something else lies."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tfdqn.config import Config, Stop
from tfdqn.errors import RunDirError
from tfdqn.storage.run_directory import RunDir

# Claims argv[1], says so, and stays: alone, or with a forked child that outlives it.
HOLDER = """
import os, sys, time
from tfdqn.config import Config
from tfdqn.storage.run_directory import RunDir
with RunDir(sys.argv[1]).claim(Config()):
    child = os.fork() if sys.argv[2] == "forks" else 0
    if not child:
        print(os.getpid(), flush=True)
    time.sleep(60)
"""


def contents(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}


@contextmanager
def held_by_another_process(path: Path, how: str = "alone") -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path, how], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def test_a_run_in_use_is_refused_with_the_process_that_uses_it(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with held_by_another_process(run.path) as (holder, _), pytest.raises(RunDirError) as caught:
        run.claim(Config()).__enter__()
    assert f"is in use by process {holder.pid}:" in str(caught.value)


def test_a_process_that_ended_without_giving_up_its_claim_is_known(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with held_by_another_process(run.path) as (holder, _):
        pass
    run.refuse_early(Config())  # which claims it for a moment, as a supervisor does
    with run.claim_alone(Config()):
        assert run.left_by is not None and run.left_by.pid == holder.pid
    again = RunDir(run.path)
    with again.claim_alone(Config()):
        assert again.left_by is None


def test_the_same_process_cannot_claim_twice(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        with pytest.raises(RunDirError, match="in use"), run.claim(Config()):
            pass
        # And the refusal has not given the first claim away.
        with pytest.raises(RunDirError, match="in use"), run.claim(Config()):
            pass


def test_who_claims_alone_is_told_of_a_jobs_supervisor_and_not_of_its_learner(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.supervise(Config()), held_by_another_process(run.path) as (learner, _):
        for refused in (run.claim_alone(Config()).__enter__, lambda: run.refuse_early(Config())):
            with pytest.raises(RunDirError, match="in use by another thread of this process:"):
                refused()
    with held_by_another_process(run.path) as (learner, _):  # of a job on many hosts
        for refused in (run.claim_alone(Config()).__enter__, lambda: run.refuse_early(Config())):
            with pytest.raises(RunDirError, match=f"in use by process {learner.pid}:"):
                refused()


def test_a_job_is_not_begun_where_somebody_trains_alone(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with (
        run.claim_alone(Config()),
        pytest.raises(RunDirError, match="in use by another thread of this process:"),
        run.supervise(Config()),
    ):
        pass


def test_a_machines_part_of_a_run_is_one_processs(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.machine("worker-0").claim():
        with (
            pytest.raises(RunDirError, match="worker-0 is in use by another thread of this process:"),
            run.machine("worker-0").claim(),
        ):
            pass
        with run.machine("worker-1").claim(), run.claim(Config()):
            pass


def test_a_forked_child_that_outlives_its_killed_parent_holds_no_lock(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with held_by_another_process(run.path, "forks") as (holder, orphan):
        holder.kill()
        holder.wait()
        try:
            os.kill(orphan, 0)
            with run.claim(Config()):
                pass
        finally:
            os.kill(orphan, signal.SIGKILL)


def no_space(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_without_room_for_the_previous_configuration_hides_no_error_and_keeps_no_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, now = RunDir(tmp_path / "run"), Config(stop=Stop(env_steps=600_000))
    with run.claim(Config()):
        run.metrics_file.write_text("{}\n")
    with pytest.raises(ZeroDivisionError), run.claim_alone(now):
        monkeypatch.setattr(os, "fsync", no_space)
        raise ZeroDivisionError
    monkeypatch.undo()
    with run.claim_alone(now):
        pass


def test_a_directory_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunDirError, match=r"holds other files, such as thesis\.tex, and no run"):
        RunDir(tmp_path).claim(Config()).__enter__()
    assert contents(tmp_path) == {"thesis.tex": b"precious"}


def test_a_file_in_the_place_of_the_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("precious")
    with pytest.raises(RunDirError, match="is a file, not a directory"), RunDir(tmp_path / "run").claim(Config()):
        pass
    assert contents(tmp_path) == {"run": b"precious"}


@pytest.mark.parametrize(
    "left", ["lock", *(f".{file}.12-34-ab-56-0badcafe.partial" for file in ("config.toml", "cluster.json"))]
)
def test_a_run_that_was_killed_at_its_very_start_can_begin_again(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_text("see")
    with RunDir(tmp_path).claim(Config()):
        assert RunDir(tmp_path).config() == Config()
