"""TensorFlow Serving's files are read by its own messages, and its warm-up requests are what the SavedModel takes."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tests.support.actions import branches
from tests.support.policies import BOX, DISCRETE, IMAGE, network_of, task
from tfdqn.errors import UserError
from tfdqn.exporting.from_run import export_run
from tfdqn.exporting.saved_model import export_policy
from tfdqn.exporting.tf_serving_files import (
    BATCHING_CONFIG,
    model_name,
    models_config,
    warm_up_requests,
    write_serving_files,
    write_warm_up_requests,
)
from tfdqn.storage.run_directory import RunDir


def batching_parameters() -> Message:
    """TensorFlow Serving 2.15's message, which is not in its package for clients.

    From tensorflow_serving/servables/tensorflow/session_bundle_config.proto.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="batching_parameters.proto", package="tensorflow.serving", syntax="proto3"
    )
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    message = file.message_type.add(name="BatchingParameters")
    numbers = {
        "max_batch_size": (1, "Int64Value"),
        "batch_timeout_micros": (2, "Int64Value"),
        "max_enqueued_batches": (3, "Int64Value"),
        "num_batch_threads": (4, "Int64Value"),
        "thread_pool_name": (5, "StringValue"),
    }
    for name, (number, wrapper) in numbers.items():
        message.field.add(name=name, number=number, type=11, label=1, type_name=f".google.protobuf.{wrapper}")
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.BatchingParameters"))()


def test_the_models_file_names_the_model_and_the_folder_of_its_versions() -> None:
    for base_path, expected in ((None, "/models/pole.v2"), ("/runs/pole/exports", "/runs/pole/exports")):
        found = text_format.Parse(models_config("pole.v2", base_path), ModelServerConfig())
        (model,) = found.model_config_list.config
        assert (model.name, model.base_path, model.model_platform) == ("pole.v2", expected, "tensorflow")
        assert model.model_version_policy.latest.num_versions == 1
    one = text_format.Parse(models_config("pole", "ram://pole", 7), ModelServerConfig())
    assert one.model_config_list.config[0].model_version_policy.specific.versions == [7]


def test_the_batching_file_is_of_batching_parameters() -> None:
    found = text_format.Parse(BATCHING_CONFIG, batching_parameters())
    assert (found.max_batch_size.value, found.batch_timeout_micros.value) == (1024, 0)
    assert found.max_enqueued_batches.value > 0


def test_what_somebody_has_changed_stays(tmp_path: Path) -> None:
    exports = tmp_path / "a run" / "exports"
    assert model_name(exports) == "a-run"
    write_serving_files(exports)
    models = exports / "models.config"
    assert 'base_path: "/models/a-run"' in models.read_text()
    assert (exports / "batching.config").read_text() == BATCHING_CONFIG
    models.write_text("# mine")
    write_serving_files(exports)
    assert models.read_text() == "# mine"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ä"])
def test_a_name_that_no_path_can_have_is_refused(tmp_path: Path, name: str) -> None:
    assert model_name(tmp_path, "..a") == "..a"
    with pytest.raises(UserError, match=f'--name "{re.escape(name)}": only letters, digits, ".", "_" and "-" are'):
        model_name(tmp_path, name)


@pytest.mark.parametrize("name", ["exports", "models"])
def test_a_folder_of_versions_is_named_by_its_run_or_itself(tmp_path: Path, name: str) -> None:
    expected = tmp_path.name if name == "exports" else "models"
    assert model_name(tmp_path / name) == expected


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
