"""TensorFlow Serving's own files: which model of a folder it serves, how it batches, how it warms a version up.

Source of the warm-up: tensorflow.org/tfx/serving/saved_model_warmup, which names its file, format and place.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tfdqn.errors import UserError
from tfdqn.exporting.versions import DEFAULT_SIGNATURE, EXTRA
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.task_spec import TaskSpec

if TYPE_CHECKING:
    from tensorflow_serving.apis.predict_pb2 import PredictRequest

MODELS_FILE = "models.config"
BATCHING_FILE = "batching.config"
WARM_UP_FILE = "tf_serving_warmup_requests"
_WARM_UP_ROWS = (1, 32)  # one observation, and some that are answered together
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


def model_name(exports: Path, name: str | None = None) -> str:
    """What a folder of versions is served as: `name`, else the run's, where it is a run's `exports`, else its own.

    Raises UserError for a name that has no place in a URL's path.
    """
    if name is not None:
        if not re.fullmatch(r"[\w.-]+", name, flags=re.ASCII):
            raise UserError(f'--name "{name}": only letters, digits, ".", "_" and "-"')
        return name
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
        comment = "the newest version that is complete is served. Rewritten with each."
        policy = f"specific {{ versions: {version} }}"
    path = base_path or f"{_MODELS_PATH}/{name}"
    return _MODELS.format(name=name, base_path=path, comment=comment, policy=policy)


def batching_config() -> str:
    """`batching.config`."""
    return _BATCHING


def write_serving_files(exports: Path) -> None:
    """Writes both to a folder of versions, unless they are there: a user may have changed them."""
    contents = {MODELS_FILE: models_config(model_name(exports)), BATCHING_FILE: batching_config()}
    for name, text in contents.items():
        if not (exports / name).exists():
            write_atomically(exports / name, text.encode())


def write_warm_up_requests(version: Path, task_spec: TaskSpec, state_size: int = 0) -> None:
    """Writes a TFRecord of `PredictionLog`s to a version's folder, where its SavedModel is."""
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

    with tf.io.TFRecordWriter(str(version / EXTRA / WARM_UP_FILE)) as file:
        for request in warm_up_requests(task_spec, state_size):
            file.write(PredictionLog(predict_log=PredictLog(request=request)).SerializeToString())


def warm_up_requests(task_spec: TaskSpec, state_size: int = 0) -> "Iterator[PredictRequest]":
    """Zeros or what the task can give that is nearest, every action legal; in no model's name: the server gives it."""
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest

    from tfdqn.exporting.policy_inputs import PolicyInputs

    inputs = PolicyInputs(task_spec, state_size)
    for rows in _WARM_UP_ROWS:
        request = PredictRequest()
        request.model_spec.signature_name = DEFAULT_SIGNATURE
        for name, values in inputs.example(rows).items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        yield request
