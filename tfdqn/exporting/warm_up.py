"""Requests by which TensorFlow Serving warms up a version before it serves it: a TFRecord of `PredictionLog`s.

Source: tensorflow.org/tfx/serving/saved_model_warmup, which names the file, its format and its place.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

from tfdqn.exporting.conversion import SIGNATURE
from tfdqn.exporting.saved_model import EXTRA, LEGAL_ACTIONS
from tfdqn.task_spec import TaskSpec

WARM_UP_FILE = "tf_serving_warmup_requests"
_BATCH_SIZES = (1, 32)  # one observation, and some that are answered together


def write_warm_up_requests(version: Path, task_spec: TaskSpec) -> None:
    """Writes the file to a version's folder, where its SavedModel is."""
    with tf.io.TFRecordWriter(str(version / EXTRA / WARM_UP_FILE)) as file:
        for request in warm_up_requests(task_spec):
            file.write(PredictionLog(predict_log=PredictLog(request=request)).SerializeToString())


def warm_up_requests(task_spec: TaskSpec) -> Iterator[PredictRequest]:
    """Zeros, or the first category, and every action legal; in no model's name, which the server gives."""
    for size in _BATCH_SIZES:
        request = PredictRequest()
        request.model_spec.signature_name = SIGNATURE
        for name, spec in task_spec.observation.items():
            values = np.full((size, *spec.shape), spec.start if spec.categories else 0, spec.dtype)
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        if task_spec.action_masks:
            legal = np.broadcast_to(_all_legal(task_spec), (size, *task_spec.mask_shape))
            request.inputs[LEGAL_ACTIONS].CopyFrom(tf.make_tensor_proto(legal))
        yield request


def _all_legal(task_spec: TaskSpec) -> np.ndarray:
    """bool[A]; bool[D, the largest A_d], False beyond a branch's own actions."""
    actions = np.arange(max(task_spec.num_actions))
    return np.reshape([actions < count for count in task_spec.num_actions], task_spec.mask_shape)
