"""Who has a lock, in words that help: the process that the user has started, its command, and how to end it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tfdqn.storage.locks import holder_of
from tfdqn.storage.owners import Owner, in_words, this_process

HOLD = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from pathlib import Path
from tfdqn.storage.locks import locked
with locked(Path("lock"), Path(".")):
    print("held", flush=True)
    sys.stdin.read()
"""
# Begins what holds the lock, and waits for it.
BEGIN = f"""
import subprocess, sys
sys.exit(subprocess.run([sys.executable, "-c", {HOLD!r}]).returncode)
"""


@contextmanager
def a_holder(folder: Path, program: str, *arguments: str, started: Sequence[str] = ()) -> Iterator[tuple[int, Owner]]:
    """`tfdqn` with these arguments, which holds a lock itself or by a process of its own; its number, and the owner.

    With `started`, the command that starts it instead.
    """
    (folder / "tfdqn").write_text(program)
    command = started or [sys.executable, "./tfdqn", *arguments]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        owner = holder_of(folder / "lock")
        assert owner is not None
        yield process.pid, owner
        process.communicate()


@pytest.mark.parametrize(("program", "is_itself"), [(HOLD, True), (BEGIN, False)])
def test_the_process_that_the_user_has_started_is_named_by_its_command(
    tmp_path: Path, program: str, is_itself: bool
) -> None:
    with a_holder(tmp_path, program, "train", "a b.toml", "--seeds", "1-3") as (pid, owner):
        assert (owner.pid == pid) == is_itself
        said = in_words(owner)
    assert said == (
        f"process {pid} (tfdqn train 'a b.toml' --seeds 1-3): wait for it, or end it by `kill {pid}`, which has it save"
    )


def test_a_program_that_only_has_tfdqn_among_its_arguments_is_not_to_be_killed(tmp_path: Path) -> None:
    wrapper = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, *sys.argv[1:]]).returncode)"
    (tmp_path / "editor").write_text(wrapper)
    python = sys.executable
    # As a terminal's server, an editor with a folder, and a limit of time.
    for command in ([python, "-c", wrapper], [python, "./editor"], ["timeout", "300", python]):
        started = [*command, "./tfdqn", "train"]
        with a_holder(tmp_path, HOLD, started=started) as (pid, owner):
            assert owner.pid != pid
            assert in_words(owner).startswith(f"process {owner.pid} (tfdqn train): wait for it")


def test_a_long_command_is_cut(tmp_path: Path) -> None:
    with a_holder(tmp_path, HOLD, "train", "x" * 300) as (pid, owner):
        assert in_words(owner).startswith(f"process {pid} (tfdqn train {'x' * 148} …): wait for it")


def test_a_process_of_another_kind_or_of_another_host_is_named_by_its_number() -> None:
    here = this_process()
    assert in_words(here) == "another thread of this process: wait for it, or stop it first"
    elsewhere = Owner(7, 1, "another kernel", 1, "host-b")
    assert in_words(elsewhere) == "process 7 on host-b: wait for it, or end it first"
