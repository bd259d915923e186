"""A TensorFlow of which files are missing is one line that says how to install it; other errors stay what they are."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.commands import PROJECT
from tfdqn.system.incomplete_tensorflow import why_no_tensorflow


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"__init__.py": ""}, "ModuleNotFoundError: No module named 'tensorflow."),
        ({"__init__.py": "from tensorflow.python import tf2"}, "ModuleNotFoundError: No module named 'tensorflow.py"),
        ({"__init__.py": "raise ImportError('_pywrap.so: no such file')"}, "ImportError: _pywrap.so: no such file"),
        ({"__init__.py": "import keras_is_missing"}, "ModuleNotFoundError: No module named 'keras_is_missing'"),
        ({"__init__.py": "from tensorflow import cut", "cut.py": "def f(:"}, "SyntaxError: invalid syntax"),
    ],
    ids=["empty", "no submodule", "no library", "no dependency", "cut off"],
)
def test_an_incomplete_tensorflow_is_one_line(files: dict[str, str], reason: str, tmp_path: Path) -> None:
    for name, text in files.items():
        file = tmp_path / "tensorflow" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(PROJECT)])}
    command = [sys.executable, "-m", "tfdqn", "train", str(PROJECT / "configs/cartpole.toml"), "--run-dir", "run"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tfdqn: TensorFlow can't be imported, since its installation is incomplete ({reason}")
    assert line.endswith('"tensorflow==2.15.1" --force-reinstall')


def error_of(code: str) -> Exception:
    try:
        exec(code, {"__name__": "my_module"})
    except Exception as error:
        return error
    raise AssertionError(f"{code} raises nothing")


def test_an_attribute_that_a_whole_tensorflow_has_is_missing_from_an_incomplete_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", ModuleType("tensorflow"))
    said = "is incomplete (AttributeError: module 'tensorflow' has no attribute 'constant')"
    assert said in why_no_tensorflow(error_of("import tensorflow as tf; tf.constant(1)"))


@pytest.mark.parametrize(
    "code",
    [
        "import tensorflow as tf; tf.nothing",
        "import tensorflow as tf; tf.zeros('x')",
        "from my_other_module import nothing",
        "import os; os.nothing",
        "None.nothing",
        "1 / 0",
    ],
)
def test_errors_of_other_causes_are_left_alone(code: str) -> None:
    assert why_no_tensorflow(error_of(code)) == ""


@pytest.mark.parametrize(
    ("code", "is_incomplete"),
    [
        ("raise FileNotFoundError('api.so')", True),
        ("raise NameError('tf_export')", True),
        ("raise MemoryError", False),
        ("raise KeyboardInterrupt", False),
        ("raise OSError(24, 'Too many open files')", False),
        ("raise ImportError('libtf.so: cannot map the segment: Cannot allocate memory', name='tensorflow')", False),
    ],
)
def test_an_error_while_tensorflow_is_imported_is_of_its_files_unless_of_the_machine_or_the_user(
    code: str, is_incomplete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    try:
        exec(code, {"__name__": "tensorflow.python"})
    except BaseException as error:
        assert (why_no_tensorflow(error) != "") is is_incomplete


def test_cuda_libraries_that_are_installed_are_installed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [object()]
    monkeypatch.setattr(
        "importlib.metadata.distributions", lambda **named: found * (named["name"] == "nvidia-cudnn-cu12")
    )
    error = ImportError("no", name="tensorflow.python")
    assert why_no_tensorflow(error).endswith('"tensorflow[and-cuda]==2.15.1" --force-reinstall')
    found.clear()
    assert why_no_tensorflow(error).endswith('"tensorflow==2.15.1" --force-reinstall')
