"""`example_request`: the part of a model card that shows a request to the REST interface of whatever serves the policy.

It is the body's JSON, or, where that would be long, Python that makes it.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdqn.exporting.policy_inputs import PolicyInputs

_SHOWN_NUMBERS = 64  # of all inputs, up to which the JSON itself is shown


def example_request(inputs: PolicyInputs) -> str:
    """A section in Markdown: the body of a request of one row, whose values the task can give."""
    row = {name: array[0] for name, array in inputs.example(1).items()}
    heading = "## A request\n\nThe body of a request of one row, to `POST /v1/models/NAME:predict` of `tfdqn serve` or "
    heading += "TensorFlow Serving"
    if sum(array.size for array in row.values()) <= _SHOWN_NUMBERS:
        body = json.dumps({"instances": [_unnamed({name: array.tolist() for name, array in row.items()})]})
        return f"{heading}:\n\n```json\n{body}\n```"
    made = {name: _made(array) for name, array in row.items()}
    named = "{" + ", ".join(f"{json.dumps(name)}: {each}" for name, each in made.items()) + "}"
    code = f'body = json.dumps({{"instances": [{named if len(made) > 1 else _unnamed(made)}]}})'
    return f"{heading}, made by Python:\n\n```python\nimport json\n\nimport numpy as np\n\n{code}\n```"


def _unnamed(row: Mapping[str, Any]) -> Any:
    """A row of the given inputs; that of a single input needs no name."""
    return row if len(row) > 1 else next(iter(row.values()))


def _made(array: np.ndarray) -> str:
    """Python that makes an array as nested lists."""
    if array.size and (array == array.flat[0]).all():
        return f'np.full({array.shape}, {array.flat[0].item()}, "{array.dtype}").tolist()'
    if array.dtype == bool and array.ndim == 2:
        counts = array.sum(axis=1, keepdims=True)
        if (array == (np.arange(array.shape[1]) < counts)).all():  # a mask of branches with all actions legal
            return f"(np.arange({array.shape[1]}) < np.array({counts.tolist()})).tolist()"
    return repr(array.tolist())
