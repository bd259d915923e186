"""What the task can't give is refused by HTTP as by `load_policy`, in the same words."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from gymnasium import spaces

from tests.support.actions import branches
from tests.support.policies import BOX, network_of, task
from tfdqn.errors import UserError
from tfdqn.exporting.loaded_policy import LoadedPolicy, load_policy
from tfdqn.exporting.policy_inputs import PolicyInputs
from tfdqn.exporting.saved_model import export_policy
from tfdqn.serving.model import Model, ModelVersions
from tfdqn.serving.open_inference import parse as parse_inference
from tfdqn.serving.payload import RequestError, parse
from tfdqn.serving.server import _example
from tfdqn.task_spec import ArraySpec, TaskSpec
from tfdqn.tasks.observations import observation_specs

GRID = ArraySpec(shape=(2,), dtype="int32", bounds=((-1.0, 1.0), (0.0, 9.0)))
FRAMES = ArraySpec(shape=(2, 3), dtype="uint8", high=(9.0,), bounds=((1.0, 9.0),) * 3, frame_stack=2)
TASK = task(
    actions=3,
    masks=True,
    place=BOX,
    cell=ArraySpec(shape=(), dtype="int32", categories=5, start=-2),
    cells=ArraySpec(shape=(2,), dtype="int32", categories=4, start=3),
    dials=observation_specs(spaces.MultiDiscrete([[2, 5]], start=[[-1, 0]]))["observation"],
    grid=GRID,
    frames=FRAMES,
)
ROW = {
    "place": [0.0, -1.0, 3e38, 0.5],
    "cell": 2,
    "cells": [3, 6],
    "dials": [[-1, 4]],
    "grid": [-1, 9],
    "frames": [[1, 9, 1], [9, 9, 9]],
    "legal_actions": [False, False, True],
}


def exported(spec: TaskSpec, folder: Path) -> tuple[LoadedPolicy, Model]:
    path = export_policy(spec, network_of(spec), folder, {})
    return load_policy(path), Model(path, 1)


@pytest.fixture(scope="module")
def policy_and_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedPolicy, Model]:
    return exported(TASK, tmp_path_factory.mktemp("same_check"))


def asked(policy: LoadedPolicy, row: dict) -> int | np.ndarray:
    observation = {
        name: np.array(value, TASK.observation[name].dtype) for name, value in row.items() if name in TASK.observation
    }
    return policy(observation, row["legal_actions"])


def test_what_the_task_can_give_is_answered(policy_and_model: tuple[LoadedPolicy, Model]) -> None:
    policy, model = policy_and_model
    asked(policy, ROW | {"place": [0.0] * 4})
    request = parse(json.dumps({"instances": [ROW, ROW]}).encode(), model)
    assert request.rows == 2


@pytest.mark.parametrize(
    ("changes", "name", "problem"),
    [
        ({"cell": 3}, "cell", ": 3; the task has -2 to 2"),
        ({"cell": -3}, "cell", ": -3; the task has -2 to 2"),
        ({"cells": [3, 500]}, "cells", "[1]: 500; the task has 3 to 6"),
        ({"cells": [-7, 3]}, "cells", "[0]: -7; the task has 3 to 6"),
        ({"dials": [[1, 4]]}, "dials", "[0][0]: 1; the task has -1 to 0"),
        ({"dials": [[0, -1]]}, "dials", "[0][1]: -1; the task has 0 to 4"),
        ({"grid": [-1, 10]}, "grid", "[1]: 10; the task has 0 to 9"),
        ({"grid": [-2, 9]}, "grid", "[0]: -2; the task has -1 to 1"),
        ({"frames": [[1, 9, 1], [9, 0, 9]]}, "frames", "[1][1]: 0; the task has 1 to 9"),
        ({"legal_actions": [False] * 3}, "legal_actions", ": no action is legal"),
    ],
)
def test_what_it_can_t_give_is_refused_with_its_place(
    policy_and_model: tuple[LoadedPolicy, Model], changes: dict, name: str, problem: str
) -> None:
    policy, model = policy_and_model
    with pytest.raises(UserError) as of_policy:
        asked(policy, ROW | changes)
    assert str(of_policy.value) == name + problem
    with pytest.raises(RequestError) as of_request:
        parse(json.dumps({"instances": [ROW, ROW | changes]}).encode(), model)
    assert of_request.value.status == 400
    assert str(of_request.value) == f"{name}[1]{problem}"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("number", "shown"), [(-1e39, "-1e+39"), (3.4028235677973367e38, "3.4028236e+38"), (10**39, "1e+39")]
)
def test_a_float_too_large_for_the_task_is_refused_with_its_value_and_the_largest(
    policy_and_model: tuple[LoadedPolicy, Model], number: float, shown: str
) -> None:
    policy, model = policy_and_model
    place = [0.0, float(number), 0.0, 0.0]
    said = f"[1]: {shown} does not fit float32, which reaches ±3.4028235e+38"
    observation = {name: ROW[name] for name in TASK.observation} | {"place": place}
    for value in (place, np.array(place)):
        with pytest.raises(UserError) as of_policy:
            policy(observation | {"place": value}, ROW["legal_actions"])
        assert str(of_policy.value) == f"place{said}"
    with pytest.raises(RequestError) as of_request:
        parse(json.dumps({"instances": [ROW, ROW | {"place": [0.0, number, 0.0, 0.0]}]}).encode(), model)
    assert str(of_request.value) == f"place[1]{said}"


def test_a_float_too_large_has_its_place_also_far_into_a_request(tmp_path: Path) -> None:
    _, model = exported(task(observation=ArraySpec(shape=(2,), dtype="float32")), tmp_path)
    rows = [[0.25, 0.125]] * 9_000
    rows[8_000] = [0.5, -1e300]
    for key in ("instances", "inputs"):
        with pytest.raises(RequestError, match=r"^observation\[8000\]\[1\]: -1e\+300 does not fit float32"):
            parse(json.dumps({key: rows}).encode(), model)
    tensor = {
        "name": "observation",
        "shape": [9_000, 2],
        "datatype": "FP32",
        "data": [each for row in rows for each in row],
    }
    with pytest.raises(RequestError, match=r"^observation\[8000\]\[1\]: -1e\+300 does not fit float32"):
        parse_inference(json.dumps({"inputs": [tensor]}).encode(), model, "any")


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("place", [True] * 4, "a boolean"),
        ("grid", [False, True], "a boolean"),
        ("cell", 0.5, "one with decimals"),
        ("place", ["0"] * 4, "text"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_both(
    policy_and_model: tuple[LoadedPolicy, Model], name: str, value: Any, kind: str
) -> None:
    policy, model = policy_and_model
    observation = {each: ROW[each] for each in TASK.observation} | {"place": [0, -1, 3, 0.5], name: value}
    with pytest.raises(UserError, match=f"^{name}: .* does not fit the task's dtype"):
        policy(observation, ROW["legal_actions"])
    with pytest.raises(RequestError, match=rf"^instances\[0\]\.{name}.*: needs .*, has {kind}"):
        parse(json.dumps({"instances": [ROW | {name: value}]}).encode(), model)


@pytest.mark.parametrize(
    ("masks", "problem"),
    [
        ([[True, False, False], [False, False, False]], "[1]: no action is legal"),
        ([[True, False, True], [True, False, False]], "[0][2]: true; the task has 2 actions there"),
    ],
)
def test_of_branching_actions_each_branch_has_a_legal_one_and_its_own_alone(
    masks: list[list[bool]], problem: str
) -> None:
    inputs = PolicyInputs(msgspec.structs.replace(task(masks=True), actions=branches(2, 3)))
    example = inputs.example(4)
    inputs.check(example)
    np.testing.assert_array_equal(example["legal_actions"], [[[True, True, False], [True, True, True]]] * 4)
    with pytest.raises(UserError) as one:
        inputs.check({"observation": np.zeros(4, np.float32), "legal_actions": np.array(masks)})
    assert str(one.value) == f"legal_actions{problem}"
    with pytest.raises(UserError) as several:
        inputs.check(example | {"legal_actions": np.stack([example["legal_actions"][0], masks])})
    assert str(several.value) == f"legal_actions[1]{problem}"


def test_the_shown_example_is_what_the_task_can_give(policy_and_model: tuple[LoadedPolicy, Model]) -> None:
    _, model = policy_and_model
    assert json.loads(_example(model))["instances"] == [
        {
            "place": [0.0] * 4,
            "cell": 0,
            "cells": [3, 3],
            "dials": [[0, 0]],
            "grid": [0, 0],
            "frames": [[1, 1, 1], [1, 1, 1]],
            "legal_actions": [True] * 3,
        }
    ]
    assert parse(_example(model).encode(), model).rows == 1


def test_a_number_alone_is_an_observation(tmp_path: Path) -> None:
    policy, model = exported(task(observation=ArraySpec(shape=(), dtype="float32")), tmp_path)
    for text in (b'{"instances": [0.5, -1]}', b'{"inputs": [0.5, -1]}', b'{"instances": [{"observation": 0.5}, -1]}'):
        np.testing.assert_array_equal(parse(text, model).inputs["observation"], np.float32([0.5, -1]))
    with pytest.raises(RequestError, match="observation: needs a list, has a number"):
        parse(b'{"inputs": 0.5}', model)
    batch = policy(np.float32([0.5, -1]))
    assert [policy(0.5), policy(np.float64(-1))] == list(batch)


def test_a_version_whose_answer_is_not_finite_is_not_served(tmp_path: Path) -> None:
    network = network_of(task())
    export_policy(task(), network, tmp_path, {})
    network.load_named_weights({name: weights.numpy() * np.nan for name, weights in network.named_weights().items()})
    export_policy(task(), network, tmp_path, {})
    said: list[str] = []
    assert ModelVersions(tmp_path, said.append).current.version == 1
    assert said == ["Version 2 can't be loaded: q_values[0][0]: nan is not a finite float32"]
