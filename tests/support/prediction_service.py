"""TensorFlow Serving's `PredictionService`, as its package declares it, answered by a loaded SavedModel."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)


class OneModel(PredictionServiceServicer):
    """Serves one version under one name, as TensorFlow Serving does where it has no other."""

    def __init__(self, name: str, version: Path):
        self._name = name
        self._module = tf.saved_model.load(str(version))
        (graph,) = SavedModel.FromString((version / "saved_model.pb").read_bytes()).meta_graphs
        self._signatures = SignatureDefMap(signature_def=dict(graph.signature_def))

    def GetModelMetadata(
        self, request: GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> GetModelMetadataResponse:
        self._check(request.model_spec.name, context)
        response = GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(self._signatures)
        return response

    def Predict(self, request: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        self._check(request.model_spec.name, context)
        signature = self._module.signatures[request.model_spec.signature_name]
        outputs = signature(**{name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()})
        response = PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def _check(self, name: str, context: grpc.ServicerContext) -> None:
        if name != self._name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({name})")


@contextmanager
def prediction_service(name: str, version: Path) -> Iterator[str]:
    """A gRPC server's address."""
    server = grpc.server(ThreadPoolExecutor(2))
    add_PredictionServiceServicer_to_server(OneModel(name, version), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
