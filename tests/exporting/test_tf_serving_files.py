"""TensorFlow Serving's files are read by its own messages, and say where the versions are."""

import re
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tfdqn.errors import UserError
from tfdqn.exporting.tf_serving_files import BATCHING_CONFIG, model_name, models_config, write_serving_files


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
