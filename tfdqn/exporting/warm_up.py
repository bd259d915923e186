"""Requests by which TensorFlow Serving warms up a version before it serves it: a TFRecord of `PredictionLog`s.

Source: tensorflow.org/tfx/serving/saved_model_warmup, which names the file, its format and its place.
"""

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

from tfdqn.exporting.conversion import SIGNATURE
from tfdqn.exporting.policy_inputs import PolicyInputs
from tfdqn.exporting.saved_model import EXTRA
from tfdqn.task_spec import TaskSpec

WARM_UP_FILE = "tf_serving_warmup_requests"
_BATCH_SIZES = (1, 32)  # one observation, and some that are answered together


def write_warm_up_requests(version: Path, task_spec: TaskSpec) -> None:
    """Writes the file to a version's folder, where its SavedModel is."""
    with tf.io.TFRecordWriter(str(version / EXTRA / WARM_UP_FILE)) as file:
        for request in warm_up_requests(task_spec):
            file.write(PredictionLog(predict_log=PredictLog(request=request)).SerializeToString())


def warm_up_requests(task_spec: TaskSpec) -> Iterator[PredictRequest]:
    """Zeros or what the task can give that is nearest, every action legal; in no model's name: the server gives it."""
    inputs = PolicyInputs(task_spec)
    for size in _BATCH_SIZES:
        request = PredictRequest()
        request.model_spec.signature_name = SIGNATURE
        for name, values in inputs.example(size).items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        yield request
