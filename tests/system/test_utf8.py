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
    with pytest.raises(RunDirError, match=r"caf\\udce9 is not UTF-8, as TensorFlow needs paths to be"):
        take(NOT_UTF8)
    assert list(tmp_path.iterdir()) == []


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
        assert stream.buffer.getvalue() == b"\\u2192 \\udce9\n"  # type: ignore[attr-defined]
