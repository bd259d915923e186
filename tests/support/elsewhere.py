"""Exported files, asked in a fresh process on whose path TF-Agents, tfdqn and the environments' packages are not.

Each way to ask is a short script: what a user of that format would write.
"""

import subprocess
import sys
import sysconfig
from collections.abc import Collection
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
_FRAME = """
import sys
sys.path.append({packages!r})
import importlib.util
import numpy as np

for missing in {missing!r}:
    assert importlib.util.find_spec(missing) is None, missing
path = {path!r}
inputs = dict(np.load({given!r}))
if True:
{script}
assert not set(sys.modules) & set({missing!r})
np.savez({answered!r}, **outputs)
"""


def ask(script: str, version: Path, inputs: Arrays, folder: Path) -> Arrays:
    """What a script answers for an exported version; ONNX is asked without TensorFlow, too."""
    missing = (*TRAINING, *TENSORFLOW) if script is ONNX else TRAINING
    packages = _packages_without(missing, folder / f"without-{len(missing)}")
    given, answered = folder / "inputs.npz", folder / "outputs.npz"
    np.savez(given, **inputs)
    program = _FRAME.format(
        packages=str(packages),
        missing=missing,
        path=str(version),
        given=str(given),
        answered=str(answered),
        script=script.strip("\n"),
    )
    # Isolated, and without `site`: neither this folder nor the installed packages are on its path.
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, timeout=180, cwd=folder)
    return dict(np.load(answered))


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
    if not folder.exists():
        folder.mkdir()
        for each in Path(sysconfig.get_path("purelib")).iterdir():
            if each.name not in missing and each.suffix != ".pth":
                (folder / each.name).symlink_to(each)
    return folder
