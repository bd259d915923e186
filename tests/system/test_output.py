"""What C++ prints goes to a file, what Python prints to the terminal, and everything is put back."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from tfdqn.system.output import native_output_to, without_library_logs


@contextmanager
def a_terminal(path: Path) -> Iterator[None]:
    """A file in the place of the terminal: descriptor 2, and a `sys.stderr` that writes to it.

    No fixture: pytest's own capturing takes descriptor 2 back between a fixture and its test.
    """
    before = os.dup(2)
    with path.open("wb") as file, pytest.MonkeyPatch.context() as patch:
        os.dup2(file.fileno(), 2)
        with open(2, "w", encoding="ascii", errors="backslashreplace", closefd=False) as stderr:
            patch.setattr(sys, "stderr", stderr)
            try:
                yield
            finally:
                os.dup2(before, 2)
                os.close(before)


def test_descriptor_2_goes_to_the_file_and_pythons_stderr_to_the_terminal(tmp_path: Path) -> None:
    with a_terminal(tmp_path / "terminal"):
        stderr: TextIO = sys.stderr
        for _ in range(2):
            with native_output_to(tmp_path / "native.log"):
                os.write(2, b"native\n")
                print("shown", file=sys.stderr)
        os.write(2, b"after\n")
        assert sys.stderr is stderr
        assert (tmp_path / "native.log").read_bytes() == b"native\n" * 2
    assert (tmp_path / "terminal").read_bytes() == b"shown\nshown\nafter\n"


def test_what_the_terminal_can_not_show_is_escaped_as_before(tmp_path: Path) -> None:
    with a_terminal(tmp_path / "terminal"), native_output_to(tmp_path / "native.log"):
        print("θ", file=sys.stderr)
    assert (tmp_path / "terminal").read_bytes() == b"\\u03b8\n"


def test_a_file_that_can_not_be_opened_changes_nothing(tmp_path: Path) -> None:
    with a_terminal(tmp_path / "terminal"):
        stderr, descriptors = sys.stderr, len(os.listdir("/proc/self/fd"))
        with pytest.raises(FileNotFoundError), native_output_to(tmp_path / "nowhere" / "native.log"):
            pass
        assert sys.stderr is stderr
        assert len(os.listdir("/proc/self/fd")) == descriptors
        os.write(2, b"still here\n")
    assert (tmp_path / "terminal").read_bytes() == b"still here\n"


def test_an_error_inside_puts_everything_back(tmp_path: Path) -> None:
    with a_terminal(tmp_path / "terminal"):
        stderr = sys.stderr
        with pytest.raises(ZeroDivisionError), native_output_to(tmp_path / "native.log"):
            raise ZeroDivisionError
        os.write(2, b"still here\n")
        assert sys.stderr is stderr
    assert (tmp_path / "terminal").read_bytes() == b"still here\n"


def test_blocks_that_overlap_put_everything_back_when_the_last_has_ended(tmp_path: Path) -> None:
    with a_terminal(tmp_path / "terminal"):
        stderr, descriptors = sys.stderr, len(os.listdir("/proc/self/fd"))
        first, second = native_output_to(tmp_path / "first.log"), native_output_to(tmp_path / "second.log")
        first.__enter__()
        second.__enter__()
        os.write(2, b"of both\n")
        first.__exit__(None, None, None)
        os.write(2, b"of one\n")
        print("shown", file=sys.stderr)
        second.__exit__(None, None, None)
        os.write(2, b"after\n")
        assert sys.stderr is stderr
        assert len(os.listdir("/proc/self/fd")) == descriptors
    assert (tmp_path / "terminal").read_bytes() == b"shown\nafter\n"
    assert (tmp_path / "second.log").read_bytes() == b"of both\nof one\n"


def test_a_newer_block_that_ends_first_leaves_the_older_ones_file(tmp_path: Path) -> None:
    with a_terminal(tmp_path / "terminal"):
        with native_output_to(tmp_path / "first.log"):
            with native_output_to(tmp_path / "second.log"):
                print("shown", file=sys.stderr)
            os.write(2, b"of one\n")
        os.write(2, b"after\n")
    assert (tmp_path / "terminal").read_bytes() == b"shown\nafter\n"
    assert (tmp_path / "first.log").read_bytes() == b"of one\n"


def test_a_library_that_logs_leaves_the_root_logger_to_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else its handler would write to a descriptor that is another file's by then."""
    from absl import logging as absl_logging

    monkeypatch.setattr(logging.root, "handlers", [])  # instead of pytest's
    with native_output_to(tmp_path / "native.log"):
        with native_output_to(tmp_path / "another.log"):
            absl_logging.info("written")
        absl_logging.warning("of use")
        logging.getLogger("an.environment").warning("a warning of its own")
    assert logging.root.handlers == []
    assert capsys.readouterr().err.splitlines() == ["of use", "a warning of its own"]


def test_a_program_s_own_handlers_stay_and_hear_what_is_no_library_s(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = list(logging.root.handlers)
    with without_library_logs("a.library"):
        logging.getLogger("a.library").info("where it wrote something")
        logging.getLogger("a.library").warning("what is wrong")
        logging.getLogger("a.program").info("its own")
    assert logging.root.handlers == before
    assert caplog.messages == ["what is wrong", "its own"]
    logging.getLogger("a.library").info("after it")
    assert caplog.messages[-1] == "after it"
