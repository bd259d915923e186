"""A policy that is served answers as `load_policy` does, and refuses as TensorFlow Serving does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from gymnasium import spaces

from tests.support.policies import network_of, task
from tests.support.serving_in_process import PREDICT, InProcess, serving
from tfdqn.config import Task
from tfdqn.exporting.loaded_policy import LoadedPolicy, load_policy
from tfdqn.exporting.saved_model import export_policy
from tfdqn.serving.model import ModelVersions
from tfdqn.tasks.adapters.actions import action_spec

MODEL = PREDICT.removesuffix(":predict")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one version."""
    path = tmp_path_factory.mktemp("served") / "exports"
    export_policy(task(actions=2), network_of(task(actions=2)), path, {})
    return path


@pytest.fixture(scope="module")
def policy(exports: Path) -> LoadedPolicy:
    return load_policy(exports / "1")


@pytest.fixture(scope="module")
def server(exports: Path) -> Iterator[InProcess]:
    with serving(ModelVersions(exports, print)) as found:
        yield found


def observations(n: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, 4)).astype(np.float32)


def test_rows_and_columns_are_answered_as_the_policy_does(server: InProcess, policy: LoadedPolicy) -> None:
    given = observations(1000)
    status, rows = server.predict({"instances": given.tolist()})
    assert status == 200
    predictions = rows["predictions"]
    np.testing.assert_array_equal([each["action"] for each in predictions], policy(given))
    q_values = np.array([each["q_values"] for each in predictions])
    np.testing.assert_allclose(q_values, policy.q_values(given), rtol=1e-5, atol=1e-5)
    status, columns = server.ask("POST", f"{MODEL}/versions/1:predict", {"inputs": {"observation": given.tolist()}})
    assert status == 200
    np.testing.assert_array_equal(columns["outputs"]["action"], policy(given))
    np.testing.assert_allclose(columns["outputs"]["q_values"], q_values, rtol=1e-6)


def test_of_many_at_once_each_gets_its_own_answer(server: InProcess, policy: LoadedPolicy) -> None:
    given = observations(300)
    with ThreadPoolExecutor(32) as clients:
        answers = list(clients.map(lambda row: server.predict({"instances": [row.tolist()]}), given))
    assert {status for status, _ in answers} == {200}
    q_values = [body["predictions"][0]["q_values"] for _, body in answers]
    np.testing.assert_allclose(q_values, policy.q_values(given), rtol=1e-4, atol=1e-4)


def test_status_and_metadata_are_tensorflow_servings(server: InProcess) -> None:
    available = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in (MODEL, f"{MODEL}/versions/1"):
        assert server.ask("GET", path) == (200, {"model_version_status": [available]})
    status, found = server.ask("GET", f"{MODEL}/metadata")
    assert status == 200
    assert found["model_spec"] == {"name": "sum", "signature_name": "", "version": "1"}
    served = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert served["method_name"] == "tensorflow/serving/predict"
    assert served["inputs"]["observation"]["dtype"] == "DT_FLOAT"
    assert [each["size"] for each in served["inputs"]["observation"]["tensor_shape"]["dim"]] == ["-1", "4"]
    assert served["outputs"].keys() == {"action", "q_values"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "problem"),
    [
        ("POST", "{}:predict", b"nonsense", 400, "JSON Parse error"),
        ("POST", "{}:predict", {"instances": [[0, 0, 0]]}, 400, "instances[0]: needs 4 numbers, has 3"),
        ("POST", "{}:predict", {"instances": []}, 400, "empty"),
        ("POST", "{}:predict", b'{"instances": [[0, 0, 0, NaN]]}', 400, "byte 25: needs a finite number, has NaN"),
        ("POST", "{}:predict", {"instances": [[0, 0, 0, 1e39]]}, 400, "observation[0][3]: 1e+39 does not fit float32"),
        ("POST", "{}:predict", {"instances": [{"speed": 1}]}, 400, "unknown field `speed`"),
        ("POST", "{}:predict", {"instances": [[0] * 4], "signature_name": "x"}, 400, 'name: "x" not found'),
        ("POST", "{}:predict", b" " * (2**24 + 1), 413, "longer than 16777216 bytes"),
        ("POST", "{}/versions/9:predict", {"instances": [[0] * 4]}, 404, "Specific(sum, 9)"),
        ("POST", "/v1/models/other:predict", {"instances": [[0] * 4]}, 404, "Latest(other)"),
        ("GET", "/v1/models/other", None, 404, "Could not find any versions of model other"),
        ("GET", "{}/versions/9", None, 404, "model sum version 9"),
        ("GET", "{}:predict", None, 405, "GET /v1/models/sum:predict: this path takes POST"),
        ("POST", "{}:classify", {}, 400, "Malformed request: POST /v1/models/sum:classify"),
        ("GET", "/", None, 400, "Malformed request: GET /"),
    ],
)
def test_bad_requests_are_refused_as_tensorflow_serving_refuses_them(
    server: InProcess, method: str, path: str, body: object, status: int, problem: str
) -> None:
    found, answer = server.ask(method, path.format(MODEL), body)
    assert found == status
    assert answer.keys() == {"error"} and problem in answer["error"]
    assert server.predict({"instances": [[0, 0, 0, 0]]})[0] == 200


def test_of_several_action_dimensions_the_environments_own_are_answered(tmp_path: Path) -> None:
    box = spaces.Box(np.float32([-1, 0]), np.float32([1, 5]))
    actions = action_spec(box, Task(action_bins=(3, 6), action_form="branches"))
    spec = msgspec.structs.replace(task(masks=True), actions=actions)
    policy = load_policy(export_policy(spec, network_of(spec), tmp_path / "exports", {}))
    given, legal = observations(30), np.tile(spec.all_legal, (30, 1, 1))
    legal[::2, 1, :3] = False
    rows = [
        {"observation": row.tolist(), "legal_actions": mask.tolist()} for row, mask in zip(given, legal, strict=True)
    ]
    with serving(ModelVersions(tmp_path / "exports", print)) as server:
        status, answer = server.predict({"instances": rows})
        refused, why = server.predict({"instances": [rows[0] | {"legal_actions": np.ones((2, 6), bool).tolist()}]})
    assert status == 200
    own = np.array([each["environment_action"] for each in answer["predictions"]], np.float32)
    np.testing.assert_array_equal(own, policy(given, legal))
    assert all(box.contains(action) for action in own) and (own[::2, 1] >= 3).all()
    assert refused == 400 and "legal_actions[0][0][3]: true; the task has 3 actions there" in why["error"]
