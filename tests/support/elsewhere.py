"""Exported files, asked in a fresh process on whose path TF-Agents, tfdqn and the environments' packages are not.

Each way to ask is a short script: what a user of that format would write.
"""

import atexit
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
from collections.abc import Collection
from functools import cache
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]

TRAINING = ("tf_agents", "tfdqn", "reverb", "gymnasium", "gym")
TENSORFLOW = ("tensorflow", "keras")

SAVED_MODEL = """
    import tensorflow as tf
    module = tf.saved_model.load(path)
    outputs = module.signatures["serving_default"](**{name: tf.constant(each) for name, each in inputs.items()})
    outputs = {name: each.numpy() for name, each in outputs.items()}
"""
ONNX = """
    import onnxruntime
    session = onnxruntime.InferenceSession(path + "/policy.onnx")
    names = [each.name for each in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, inputs)))
"""
TFLITE = """
    import tensorflow as tf
    interpreter = tf.lite.Interpreter(path + "/policy.tflite")
    outputs = interpreter.get_signature_runner("serving_default")(**inputs)
"""
# Forks a process for each question, a line of stdin; its exit status is the line of stdout that answers.
_SERVER = """
import json, os, sys, traceback
packages, missing, *imported = json.loads(sys.argv[1])
sys.path.append(packages)
import importlib.util
import numpy as np
for name in imported:
    importlib.import_module(name)

def answer(script, path, given, answered):
    for name in missing:
        assert importlib.util.find_spec(name) is None, name
    names = {"path": path, "inputs": dict(np.load(given))}
    exec(script, names)
    assert not set(sys.modules) & set(missing)
    np.savez(answered, **names["outputs"])

for line in sys.stdin:
    pid = os.fork()
    if pid:
        print(os.waitpid(pid, 0)[1], flush=True)
        continue
    status = 1
    try:
        answer(*json.loads(line))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
"""


def ask(script: str, version: Path, inputs: Arrays, folder: Path) -> Arrays:
    """What a script answers for an exported version; ONNX is asked without TensorFlow, too."""
    given, answered = folder / "inputs.npz", folder / "outputs.npz"
    np.savez(given, **inputs)
    server = _server(script is not ONNX)
    assert server.stdin is not None and server.stdout is not None
    question = [textwrap.dedent(script), str(version), str(given), str(answered)]
    print(json.dumps(question), file=server.stdin, flush=True)
    assert server.stdout.readline() == "0\n", "see the traceback on stderr"
    return dict(np.load(answered))


@cache
def _server(has_tensorflow: bool) -> subprocess.Popen:
    """What it forks begins where a script has imported TensorFlow, if it has that. It ends with its input."""
    missing = TRAINING if has_tensorflow else (*TRAINING, *TENSORFLOW)
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    packages = _packages_without(missing, folder / "packages")
    given = json.dumps([str(packages), missing, *(["tensorflow"] if has_tensorflow else [])])
    # Isolated, and without `site`: neither this folder nor the installed packages are on its path.
    command = [sys.executable, "-I", "-S", "-c", _SERVER, given]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder)


def ask_saved_model_cli(version: Path, inputs: Arrays, folder: Path) -> Arrays:
    """What TensorFlow's own tool answers."""
    given, answered = folder / "inputs.npz", folder / "cli"
    np.savez(given, **inputs)
    subprocess.run(
        [
            *(Path(sys.executable).with_name("saved_model_cli"), "run", "--dir", version),
            *("--tag_set", "serve", "--signature_def", "serving_default", "--outdir", answered),
            *("--inputs", ";".join(f"{name}={given}[{name}]" for name in inputs)),
        ],
        check=True,
        capture_output=True,
        timeout=180,
    )
    return {file.stem: np.load(file) for file in answered.iterdir()}


def _packages_without(missing: Collection[str], folder: Path) -> Path:
    """A folder that has every installed package but those."""
    folder.mkdir()
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if each.name not in missing and each.suffix != ".pth":
            (folder / each.name).symlink_to(each)
    return folder
