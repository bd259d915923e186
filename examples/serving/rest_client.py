"""Asks a policy that TensorFlow Serving or `tfdqn serve` serves, over REST.

    python rest_client.py http://HOST:PORT MODEL '{"observation": [[0.0, 0.1, 0.02, -0.1]]}'

Needs: pip install tensorflow-serving-api
"""

import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported, which says much at its start

import numpy as np
from checked_inputs import SIGNATURE, InputError, checked_inputs, parsed
from google.protobuf import json_format
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap

_SECONDS = 10.0


class AnswerError(Exception):
    """An answer that is none of TensorFlow Serving's."""


def signature_of(model_url: str) -> SignatureDef:
    """What the model takes and answers."""
    try:
        metadata = dict(_ask(f"{model_url}/metadata")["metadata"]["signature_def"])
        metadata.pop("@type", None)
        return json_format.ParseDict(metadata, SignatureDefMap()).signature_def[SIGNATURE]
    except (LookupError, TypeError, ValueError, json_format.ParseError) as error:
        raise AnswerError from error


def predict(model_url: str, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The model's answer to arrays that its signature takes."""
    columns = {name: array.tolist() for name, array in inputs.items()}
    try:
        return dict(_ask(f"{model_url}:predict", {"signature_name": SIGNATURE, "inputs": columns})["outputs"])
    except (LookupError, TypeError, ValueError) as error:
        raise AnswerError from error


def main(arguments: Sequence[str]) -> int:
    """Prints the answer as JSON; status 2 for a mistake in what is asked, 1 for a server that does not answer."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    address, model, text = arguments
    try:
        model_url = url_of(address, model)
        given = parsed(text)
        outputs = predict(model_url, checked_inputs(given, signature_of(model_url)))
    except InputError as error:
        print(f"not asked: {error}", file=sys.stderr)
        return 2
    except (AnswerError, http.client.HTTPException):
        print(f"{address}: what answers there is no TensorFlow Serving and no `tfdqn serve`", file=sys.stderr)
        return 1
    except urllib.error.HTTPError as error:
        print(f"{address}: {error.code}: {_said(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{address}: {getattr(error, 'reason', error)}", file=sys.stderr)
        return 1
    print(json.dumps(dict(sorted(outputs.items()))))
    return 0


def url_of(address: str, model: str) -> str:
    """The model's. Raises InputError for an address that is no web server's."""
    try:
        parts = urllib.parse.urlsplit(address)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        is_web = False
    if not is_web or any(letter.isspace() for letter in address):
        raise InputError(f"{address}: http://HOST:PORT is needed, such as http://127.0.0.1:8501")
    return f"{address.rstrip('/')}/v1/models/{urllib.parse.quote(model, safe='')}"


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
