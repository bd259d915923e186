"""Names in any language, in any locale: paths are UTF-8 for Python and TensorFlow alike, and output never raises."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfdqn.cli import main
from tfdqn.errors import RunDirError
from tfdqn.exporting.destinations import make_destination
from tfdqn.exporting.versions import exports_folder
from tfdqn.storage.run_directory import RunDir
from tfdqn.system import utf8

NOT_UTF8 = Path(os.fsdecode(b"caf\xe9"))


def never(line: str) -> None:
    pytest.fail(line)


CONFIG = '[task]\nid = "CartPole-v1"\naction_names = ["←", "→ 右"]\n'


@pytest.mark.parametrize(
    "take",
    [RunDir, exports_folder, lambda path: make_destination("", path, "name")],
    ids=["run", "serve", "export.directory"],
)
def test_a_path_that_is_not_utf8_is_refused_before_anything_is_made(
    take: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert callable(take)
    with pytest.raises(RunDirError, match=r"caf\\xe9 is not UTF-8, as TensorFlow needs paths to be"):
        take(NOT_UTF8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", [b"caf\xe9", b"caf\xe9/run 1", b"runs/\xff/\xfe"])
@pytest.mark.parametrize("relative", [True, False])
def test_a_run_directory_that_is_not_utf8_is_used_by_a_link_beside_it(
    below: bytes, relative: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(below)) if relative else tmp_path / os.fsdecode(below)
    said: list[str] = []
    for _ in range(2):  # the second finds what the first has made
        utf8.link_in_utf8(path, said.append)
        run = RunDir(path)
        assert run.path.samefile(path)
        assert str(run.path).isascii()
        assert run.path.name in (path.name, "caf%E9", "%FE")
    (line,) = said
    assert "is not UTF-8" in line and f"{run.path}, a link to it" in line


def test_what_has_the_name_of_the_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "caf%E9").mkdir()
    with pytest.raises(RunDirError, match=r"caf%E9 is in the way of a link to .*caf\\xe9: choose another name"):
        utf8.link_in_utf8(tmp_path / NOT_UTF8 / "\udcff", never)
    assert [each.name for each in tmp_path.iterdir()] == ["caf%E9"] and not (tmp_path / "caf%E9").is_symlink()
    with pytest.raises(RunDirError, match="is not UTF-8"):
        RunDir(tmp_path / NOT_UTF8)


def test_links_and_folders_are_removed_unless_they_are_used(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    path = tmp_path / "runs" / NOT_UTF8 / "\udcff"
    utf8.link_in_utf8(path, lambda line: None)()
    assert list(tmp_path.rglob("*")) == [tmp_path / "runs"]
    remove = utf8.link_in_utf8(path, lambda line: None)
    (path / "config.toml").touch()
    remove()
    assert RunDir(path).config_file.exists()
    utf8.link_in_utf8(path, never)()  # made before
    assert RunDir(path).config_file.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "small.toml", "agent.n_step=0"],
        ["train", "nowhere.toml"],
        ["train", "small.toml", "task.id=Nowhere-v0"],
        ["launch", "small.toml", "--actors", "two"],
    ],
)
def test_a_command_that_is_refused_leaves_no_link_and_no_folder(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(CONFIG, encoding="utf-8")
    assert main.main([arguments[0], "--run-dir", str(NOT_UTF8 / "run"), *arguments[1:]]) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["small.toml"]


def test_a_path_in_utf8_needs_no_link(tmp_path: Path) -> None:
    utf8.link_in_utf8(tmp_path / "Läufe%E9" / "策略", never)
    assert list(tmp_path.iterdir()) == []
    assert RunDir(tmp_path / "Läufe%E9").path == tmp_path / "Läufe%E9"


def test_a_path_that_python_spells_otherwise_than_tensorflow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsencode", lambda path: str(path).encode("latin-1"))
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    RunDir("cafe")
    with pytest.raises(RunDirError, match="café: Python's file names are iso8859-1 here, TensorFlow's UTF-8: set"):
        RunDir("café")


@pytest.mark.parametrize(("path", "why"), [("n" * 256, "File name too long"), ("d/" * 2000, "3,896 bytes at most")])
@pytest.mark.parametrize("verb", [["inspect"], ["plot"], ["serve"], ["health", "--run-dir"], ["evaluate"]])
def test_a_path_that_the_system_does_not_take_is_one_line(
    verb: list[str], path: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*verb, path]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tfdqn: ") and why in line


def test_the_command_begins_again_in_utf8_where_the_locale_has_another_encoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "tfdqn", "train", "Ü.toml"])
    begun: list[object] = []
    monkeypatch.setattr(os, "execv", lambda *command: begun.append(command))
    utf8.begin_in_utf8()
    assert begun == []
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    utf8.begin_in_utf8()
    command = [sys.executable, "-X", "utf8", "-m", "tfdqn", "train", "Ü.toml"]
    assert begun == [(sys.executable, command)]
    assert os.environ["PYTHONUTF8"] == "1"


@pytest.mark.parametrize("output", ["", "ascii"])
def test_names_are_read_and_shown_in_a_locale_that_is_not_utf8(tmp_path: Path, output: str) -> None:
    (tmp_path / "策略.toml").write_text(CONFIG, encoding="utf-8")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": output}
    done = subprocess.run(
        [sys.executable, "-m", "tfdqn", "config", "策略.toml"],
        env={**os.environ, **locale, "PYTHONPATH": str(Path(main.__file__).parents[2])},
        cwd=tmp_path,
        capture_output=True,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert 'action_names = ["←", "→ 右"]' in done.stdout.decode()


def test_output_that_the_encoding_lacks_is_shown_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    out, error = (io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", error)
    utf8.show_any_text()
    for stream in (out, error):
        print("→", os.fsdecode(b"\xe9"), file=stream, flush=True)
        assert stream.buffer.getvalue() == b"\\u2192 \\xe9\n"  # type: ignore[attr-defined]
