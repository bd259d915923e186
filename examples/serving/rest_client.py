"""Asks a policy that TensorFlow Serving or `tfdqn serve` serves, over REST.

    python rest_client.py http://HOST:PORT MODEL '{"observation": [[0.0, 0.1, 0.02, -0.1]]}'

Needs: pip install tensorflow-serving-api
"""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

os.environ.setdefault(
    "TF_CPP_MIN_LOG_LEVEL", "3"
)  # before TensorFlow is imported, which says much at its start

import numpy as np
from checked_inputs import SIGNATURE, InputError, checked_inputs
from google.protobuf import json_format
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap

_SECONDS = 10.0


def signature_of(model_url: str) -> SignatureDef:
    """What the model takes and answers."""
    metadata = _ask(f"{model_url}/metadata")["metadata"]["signature_def"]
    metadata.pop("@type", None)
    return json_format.ParseDict(metadata, SignatureDefMap()).signature_def[SIGNATURE]


def predict(model_url: str, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The model's answer to arrays that its signature takes."""
    columns = {name: array.tolist() for name, array in inputs.items()}
    return _ask(f"{model_url}:predict", {"signature_name": SIGNATURE, "inputs": columns})["outputs"]


def main(arguments: Sequence[str]) -> int:
    """Prints the answer as JSON; status 2 for a mistake in what is asked, 1 for a server that does not answer."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    address, model, text = arguments
    model_url = f"{address.rstrip('/')}/v1/models/{model}"
    try:
        inputs = checked_inputs(json.loads(text), signature_of(model_url))
        outputs = predict(model_url, inputs)
    except (InputError, json.JSONDecodeError) as error:
        print(f"not asked: {error}", file=sys.stderr)
        return 2
    except urllib.error.HTTPError as error:
        print(f"{address}: {error.code}: {_said(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{address}: {getattr(error, 'reason', error)}", file=sys.stderr)
        return 1
    print(json.dumps(dict(sorted(outputs.items()))))
    return 0


def _ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=_SECONDS) as response:
        return json.load(response)


def _said(error: urllib.error.HTTPError) -> str:
    """What the server says of an error: TensorFlow Serving says it in JSON."""
    text = error.read().decode(errors="replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, LookupError, TypeError):
        return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
