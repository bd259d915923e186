"""TensorFlow Serving's own files beside a folder of versions: which model it serves, and how it batches requests."""

import re
from pathlib import Path

from tfdqn.storage.atomic_files import write_atomically

MODELS_FILE = "models.config"
BATCHING_FILE = "batching.config"
_MODELS_PATH = "/models"  # where TensorFlow Serving's own image looks for models
_MODELS = """\
# For --model_config_file: {comment}
model_config_list {{
  config {{
    name: "{name}"
    base_path: "{base_path}"
    model_platform: "tensorflow"
    model_version_policy {{ {policy} }}
  }}
}}
"""
# Nothing is delayed to gather more: as `tfdqn serve` does it. Batches run on as many threads as there are cores.
_BATCHING = """\
# For --batching_parameters_file, with --enable_batching: requests that wait are answered by one call.
max_batch_size { value: 1024 }
batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 64 }
"""


def model_name(exports: Path) -> str:
    """What a folder of versions is served as: the run's name, where it is a run's `exports`, else its own."""
    path = exports.resolve()
    found = path.parent.name if path.name == "exports" else path.name
    return re.sub(r"[^\w.-]", "-", found, flags=re.ASCII) or "policy"


def models_config(name: str, base_path: str | None = None, version: int | None = None) -> str:
    """`models.config`: a model's name, the folder of its versions, and which is served.

    Args:
      base_path: /models/NAME if none is given.
      version: the newest that there is, if none is given.
    """
    if version is None:
        comment, policy = "the newest version in the folder is served.", "latest { num_versions: 1 }"
    else:
        comment = "the newest version that is complete is served. Written anew with each."
        policy = f"specific {{ versions: {version} }}"
    path = base_path or f"{_MODELS_PATH}/{name}"
    return _MODELS.format(name=name, base_path=path, comment=comment, policy=policy)


def batching_config() -> str:
    """`batching.config`."""
    return _BATCHING


def write_serving_files(exports: Path) -> None:
    """Writes both to a folder of versions, unless they are there: somebody may have changed them."""
    contents = {MODELS_FILE: models_config(model_name(exports)), BATCHING_FILE: batching_config()}
    for name, text in contents.items():
        if not (exports / name).exists():
            write_atomically(exports / name, text.encode())
