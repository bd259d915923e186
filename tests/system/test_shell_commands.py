"""Commands that are printed can be pasted: the program is named as the user's shell finds it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tfdqn.system import shell_commands
from tfdqn.system.shell_commands import install_extra, own_command, pip_install


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment's `tfdqn`, in the working directory, and a PATH without it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    file = tmp_path / "my env" / "bin" / "tfdqn"
    file.parent.mkdir(parents=True)
    file.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(
    ("called", "on_path", "name"),
    [
        ("my env/bin/tfdqn", False, "'my env/bin/tfdqn'"),
        ("{folder}/my env/bin/tfdqn", False, "'my env/bin/tfdqn'"),
        ("{folder}/my env/bin/tfdqn", True, "tfdqn"),
        ("/elsewhere/bin/tfdqn", True, "/elsewhere/bin/tfdqn"),  # PATH leads to another
        ("{folder}/tfdqn", False, "./tfdqn"),
        ("-c", False, "tfdqn"),
        ("/somewhere/pytest/__main__.py", False, "tfdqn"),
    ],
)
def test_a_command_names_the_program_as_it_was_called(
    program: Path, monkeypatch: pytest.MonkeyPatch, called: str, on_path: bool, name: str
) -> None:
    if on_path:
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "argv", [called.format(folder=Path.cwd()), "train"])
    assert own_command(["train", "a b"]) == f"{name} train 'a b'"


def test_a_shell_runs_what_is_printed(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(program)])
    ran = subprocess.run(["sh", "-c", own_command(["train", "a b"])], capture_output=True, text=True, check=True)
    assert ran.stdout == "train|a b|"


def test_a_module_is_called_by_its_python(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/python/bin/python")
    monkeypatch.setattr(sys, "argv", ["/somewhere/tfdqn/__main__.py"])
    assert own_command(["version"]) == "/opt/python/bin/python -m tfdqn version"


def test_pip_is_that_of_the_python_that_runs_and_keeps_to_the_clones_versions(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = program.with_name("python")
    python.touch(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", f"{python.parent}:/usr/bin:/bin")  # as `uv run` does for the process alone
    monkeypatch.setattr(shell_commands, "_CONSTRAINTS", Path.cwd() / "constraints.txt")
    pip = "'my env/bin/python' -m pip install"
    assert pip_install("gymnasium[box2d]", "b==1") == f'{pip} "gymnasium[box2d]" "b==1"'  # not from a clone
    Path("constraints.txt").touch()
    assert pip_install("b") == f'{pip} --constraint constraints.txt "b"'
    assert install_extra("atari") == f'{pip} --constraint constraints.txt -e ".[atari]"'
    monkeypatch.setattr(shell_commands, "_CONSTRAINTS", Path.cwd() / "clone" / "constraints.txt")
    assert install_extra("atari") == f'{pip} "tfdqn[atari]"'  # not from a clone
    (Path.cwd() / "clone").mkdir()
    (Path.cwd() / "clone" / "constraints.txt").touch()
    assert install_extra("atari") == f'{pip} --constraint clone/constraints.txt -e "./clone[atari]"'


def test_a_command_is_named_although_the_working_directory_was_removed(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(program)])
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert own_command(["train"]) == f"'{program}' train"
