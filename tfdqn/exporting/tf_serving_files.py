"""The files that TensorFlow Serving reads: what it serves, how it batches, with what requests it warms a version up.

The warm-up's file, format and place: tensorflow.org/tfx/serving/saved_model_warmup.
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
_WARM_UP_ROWS = (1, 32)  # the batch sizes of the requests: a single observation, and a batch
_MODELS_PATH = "/models"  # where TensorFlow Serving's container image looks for models
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
# The text of `batching.config`, TensorFlow Serving's `BatchingParameters`. As in `tfdqn serve`, no request waits for
# others to fill a batch. Batches run on as many threads as there are cores.
BATCHING_CONFIG = """\
# For --batching_parameters_file, with --enable_batching: requests that wait are answered together, by one call.
max_batch_size { value: 1024 }
batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 64 }
"""


def model_name(exports: Path, name: str | None = None) -> str:
    """The model name under which a folder of versions is served: the user's `name`, or else the folder's.

    A run's `exports` has the run's name. Raises UserError for a `name` that can't be an element of a URL's path.
    """
    if name is not None:
        if not re.fullmatch(r"(?!\.\.?$)[\w.-]+", name, flags=re.ASCII):
            raise UserError(
                f'--name "{name}": only letters, digits, ".", "_" and "-" are allowed, not "." or ".." alone'
            )
        return name
    path = exports.resolve()
    found = path.parent.name if path.name == "exports" else path.name
    return re.sub(r"[^\w.-]", "-", found, flags=re.ASCII) or "policy"


def models_config(name: str, base_path: str | None = None, version: int | None = None) -> str:
    """The text of `models.config`, TensorFlow Serving's `ModelServerConfig` for one model.

    Args:
      name: the model's.
      base_path: the folder of its versions; None: /models/NAME.
      version: the one to serve; None: always the newest.
    """
    if version is None:
        comment, policy = "the newest version in the folder is served.", "latest { num_versions: 1 }"
    else:
        comment = "the newest version that is complete is served. Rewritten with each."
        policy = f"specific {{ versions: {version} }}"
    path = base_path or f"{_MODELS_PATH}/{name}"
    return _MODELS.format(name=name, base_path=path, comment=comment, policy=policy)


def write_serving_files(exports: Path) -> None:
    """Writes `models.config` and `batching.config` to a folder of versions; a file that exists is left alone."""
    contents = {MODELS_FILE: models_config(model_name(exports)), BATCHING_FILE: BATCHING_CONFIG}
    for name, text in contents.items():
        if not (exports / name).exists():
            write_atomically(exports / name, text.encode())


def write_warm_up_requests(version: Path, task_spec: TaskSpec, state_size: int = 0) -> None:
    """Writes the warm-up requests, a TFRecord file of `PredictionLog`s, to the `assets.extra` of a version's folder."""
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

    with tf.io.TFRecordWriter(str(version / EXTRA / WARM_UP_FILE)) as file:
        for request in warm_up_requests(task_spec, state_size):
            file.write(PredictionLog(predict_log=PredictLog(request=request)).SerializeToString())


def warm_up_requests(task_spec: TaskSpec, state_size: int = 0) -> "Iterator[PredictRequest]":
    """Requests with `PolicyInputs.example` in batches of `_WARM_UP_ROWS`.

    They name no model, since a server sends a version's requests to that version under the name that it serves it as.
    """
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
