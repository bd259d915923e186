"""TensorFlow Serving's warm-up requests are what the SavedModel beside them takes."""

from pathlib import Path

import msgspec
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tests.support.actions import branches
from tests.support.policies import BOX, DISCRETE, IMAGE, network_of, task
from tfdqn.exporting.from_run import export_run
from tfdqn.exporting.saved_model import export_policy
from tfdqn.exporting.tf_serving_files import warm_up_requests, write_warm_up_requests
from tfdqn.storage.run_directory import RunDir


def recorded(version: Path) -> list[PredictRequest]:
    """As TensorFlow Serving reads them."""
    file = version / "assets.extra" / "tf_serving_warmup_requests"
    logs = [PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
    assert {log.WhichOneof("log_type") for log in logs} == {"predict_log"}
    return [log.predict_log.request for log in logs]


def answered(version: Path, request: PredictRequest) -> dict[str, np.ndarray]:
    """By the loaded SavedModel, which takes exactly these names and types."""
    module = tf.saved_model.load(str(version))
    signature = module.signatures[request.model_spec.signature_name]
    inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
    specs = signature.structured_input_signature[1]
    assert inputs.keys() == specs.keys()
    for name, spec in specs.items():
        assert inputs[name].dtype == spec.dtype and spec.shape.is_compatible_with(inputs[name].shape)
    return {name: each.numpy() for name, each in signature(**inputs).items()}


def test_a_run_s_export_has_requests_of_one_and_of_several_observations(run: RunDir) -> None:
    version = export_run(run.path)
    requests = recorded(version)
    assert 0 < len(requests) <= 1000  # of more, TensorFlow Serving refuses to load the model
    sizes = [len(answered(version, request)["action"]) for request in requests]
    assert sizes == [1, 32]


def test_categories_begin_where_they_do_and_every_action_is_legal(tmp_path: Path) -> None:
    spec = task(masks=True, cell=DISCRETE, camera=IMAGE, place=BOX)
    version = export_policy(spec, network_of(spec), tmp_path, {}, add=lambda path: write_warm_up_requests(path, spec))
    for request in recorded(version):
        assert (tf.make_ndarray(request.inputs["cell"]) == DISCRETE.start).all()
        assert tf.make_ndarray(request.inputs["legal_actions"]).all()
        assert np.isfinite(answered(version, request)["q_values"]).all()


def test_of_branching_actions_only_a_branch_s_own_are_legal() -> None:
    spec = msgspec.structs.replace(task(masks=True), actions=branches(2, 3))
    for request, size in zip(warm_up_requests(spec), (1, 32), strict=True):
        legal = tf.make_ndarray(request.inputs["legal_actions"])
        np.testing.assert_array_equal(legal, [[[True, True, False], [True, True, True]]] * size)
