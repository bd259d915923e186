"""Asks a policy that TensorFlow Serving serves, over gRPC.

    python grpc_client.py HOST:PORT MODEL '{"observation": [[0.0, 0.1, 0.02, -0.1]]}'

Needs: pip install tensorflow-serving-api
"""

import json
import os
import sys
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported, which says much at its start

import grpc
import numpy as np
import tensorflow as tf
from checked_inputs import SIGNATURE, InputError, checked_inputs, parsed
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

_SECONDS = 10.0


def signature_of(service: PredictionServiceStub, model: str) -> SignatureDef:
    """What the model takes and answers."""
    request = GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = model
    found = SignatureDefMap()
    service.GetModelMetadata(request, timeout=_SECONDS).metadata["signature_def"].Unpack(found)
    return found.signature_def[SIGNATURE]


def predict(service: PredictionServiceStub, model: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The model's answer to arrays that its signature takes."""
    request = PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, SIGNATURE
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    outputs = service.Predict(request, timeout=_SECONDS).outputs
    return {name: tf.make_ndarray(tensor) for name, tensor in outputs.items()}


def main(arguments: Sequence[str]) -> int:
    """Prints the answer as JSON; status 2 for a mistake in what is asked, 1 for a server that does not answer."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    address, model, text = arguments
    with grpc.insecure_channel(address) as channel:
        service = PredictionServiceStub(channel)
        try:
            if "://" in address:
                raise InputError(f"{address}: HOST:PORT is needed, such as 127.0.0.1:8500")
            given = parsed(text)
            outputs = predict(service, model, checked_inputs(given, signature_of(service, model)))
        except InputError as error:
            print(f"not asked: {error}", file=sys.stderr)
            return 2
        except grpc.RpcError as error:
            print(f"{address}: {error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    print(json.dumps({name: array.tolist() for name, array in sorted(outputs.items())}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
