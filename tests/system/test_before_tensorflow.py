"""What holds for TensorFlow and its libraries before they are imported, unless the user says otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfdqn.system.before_tensorflow import use_onednn

VARIABLE = "TF_FORCE_GPU_ALLOW_GROWTH"
ASK = f"import sys, os, tfdqn; print(os.environ[{VARIABLE!r}], 'tensorflow' in sys.modules)"
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
LOAD = f"""
import os, sys, tfdqn
tfdqn.load_config(sys.argv[1], sys.argv[2:])
print(os.environ.get({ONEDNN!r}))
"""
COMPILE = """
import sys
from tfdqn.system.before_tensorflow import ignore_warnings_of_libraries
ignore_warnings_of_libraries()
for file in sys.argv[1:]:
    compile(open(file).read(), file, "exec")
"""


CALL_AND_START = """
import os, sys, threading
from pathlib import Path
from tfdqn.coordination.messages import Inspection, Nothing
from tfdqn.coordination.rpc import Caller, UnreachableError
from tfdqn.system.subprocesses import start_process

def call():
    caller = Caller("127.0.0.1:1")  # where nobody is
    while True:
        try:
            caller("inspect", Nothing(), Inspection, 60.0)
        except UnreachableError:
            has_called.set()

has_called = threading.Event()
for _ in range(4):
    threading.Thread(target=call, daemon=True).start()
has_called.wait(240)
for _ in range(50):
    start_process(["true"], Path(sys.argv[1]), {}).wait(240)
os._exit(0)
"""


@pytest.mark.parametrize(("user", "expected"), [({}, "true False"), ({VARIABLE: "false"}, "false False")])
def test_a_gpus_memory_is_taken_as_needed_unless_the_user_says_otherwise(user: dict[str, str], expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | user
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_grpc_says_nothing_of_processes_that_are_started_while_it_is_called(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALL_AND_START, tmp_path / "log"], capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("override", "user", "expected"),
    [
        ("network.kind=nature_cnn", {}, "1"),
        ("network.kind=my_network:mine", {}, "1 1"),
        ("network.kind=mlp", {}, "None"),
        ("seed=1", {}, "None"),
        ("network.kind=nature_cnn", {ONEDNN: "0"}, "0"),
        ("network.kind=nature_cnn", {ONEDNN: ""}, "1"),
    ],
)
def test_networks_that_may_convolve_are_computed_by_onednn_unless_the_user_says_otherwise(
    override: str, user: dict[str, str], expected: str, tmp_path: Path
) -> None:
    (tmp_path / "my_network.py").write_text(
        f"import os\nprint(os.environ[{ONEDNN!r}], end=' ')\nfrom tfdqn.config import MLP\n"
        "class Mine(MLP, frozen=True, kw_only=True, tag_field='kind', tag='my_network:mine'): ...\n"
    )
    (tmp_path / "config.toml").write_text("")
    environment = {name: value for name, value in os.environ.items() if name != ONEDNN} | user
    command = [sys.executable, "-c", LOAD, "config.toml", override]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_onednn_is_left_as_it_is_once_tensorflow_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ONEDNN, raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    use_onednn()
    assert ONEDNN not in os.environ


def test_python_warns_of_the_syntax_of_own_tasks_but_not_of_tf_agents(tmp_path: Path) -> None:
    files = [tmp_path / "tf_agents" / "utils" / "common.py", tmp_path / "my_task.py"]
    files[0].parent.mkdir(parents=True)
    for file in files:
        file.write_text("1 is 1\n")
    shown = subprocess.run(
        [sys.executable, "-c", COMPILE, *files], stderr=subprocess.PIPE, text=True, check=True
    ).stderr
    assert "SyntaxWarning" in shown and str(files[1]) in shown
    assert "tf_agents" not in shown


TRACED_REPEATEDLY = """
from tfdqn.system.before_tensorflow import ignore_warnings_of_libraries
ignore_warnings_of_libraries()
import tensorflow as tf
for _ in range(9):
    tf.function(sum)([tf.constant(1)])
tf.get_logger().warning("another")
"""


def test_tensorflow_does_not_warn_of_functions_that_are_made_anew() -> None:
    done = subprocess.run([sys.executable, "-c", TRACED_REPEATEDLY], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["WARNING:tensorflow:another"]
