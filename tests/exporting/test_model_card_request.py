"""The request that a model card shows is one that the server takes, and none of its inputs may be left out."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.policies import DISCRETE, IMAGE, network_of, task
from tests.support.tiny_runs import tiny
from tfdqn.config import MLP
from tfdqn.exporting.from_run import export_weights
from tfdqn.serving.model import Model
from tfdqn.serving.payload import RequestError, parse
from tfdqn.task_spec import ActionSpec, ArraySpec, TaskSpec

BRANCHES = ActionSpec(low=(0, 0), high=(1, 3), counts=(2, 4), shape=(2,), form="branches")
MANY_BRANCHES = ActionSpec(low=(0, 0), high=(40, 99), counts=(41, 100), shape=(2,), form="branches")
RANGES = ArraySpec(shape=(70,), dtype="int32", bounds=tuple((float(low), 90.0) for low in range(70)))


def of_branches() -> TaskSpec:
    return msgspec.structs.replace(task(masks=True), actions=BRANCHES)


def body_on(page: str) -> bytes:
    """The body that a page shows, or that its Python makes."""
    if found := re.search(r"```json\n(.*)\n```", page):
        return found[1].encode()
    names: dict[str, Any] = {}
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, names)
    assert isinstance(names["body"], str)
    return names["body"].encode()


@pytest.mark.parametrize(
    ("spec", "memory", "is_shown"),
    [
        (task(), "none", True),
        (task(masks=True), "none", True),
        (of_branches(), "none", True),
        (msgspec.structs.replace(task(masks=True), actions=MANY_BRANCHES), "none", False),
        (task(masks=True), "lstm", True),
        (task(room=DISCRETE, speed=ArraySpec(shape=(2,), dtype="float32")), "none", True),
        (task(observation=IMAGE), "none", False),
        (task(masks=True, image=IMAGE, room=DISCRETE), "none", False),
        (task(observation=RANGES), "none", False),
    ],
    ids=[
        "one input",
        "masks",
        "branches",
        "long branches",
        "a memory",
        "parts",
        "an image",
        "an image and masks",
        "many ranges",
    ],
)
def test_the_server_answers_the_request_of_the_card_and_none_without_one_of_its_inputs(
    spec: TaskSpec, memory: str, is_shown: bool, tmp_path: Path
) -> None:
    config = tiny(
        "network.hidden_units=[6]",
        *(["network.memory=lstm", "network.memory_units=4", "replay.item=sequence"] * (memory != "none")),
    )
    network = network_of(spec, MLP(hidden_units=(6,), memory=memory, memory_units=4 if memory != "none" else 0))
    weights = {name: weight.numpy() for name, weight in network.named_weights().items()}
    version = export_weights(config, spec, weights, tmp_path, {"checkpoint": "best", "train_steps": 3})
    page = (version / "model_card.md").read_text()
    assert ("```json" in page) == is_shown
    assert "True, True" not in page  # each mask is made
    body, model = body_on(page), Model(version, 1)
    request = parse(body, model)
    outputs = request.signature.call(request.inputs)
    assert json.loads(request.write(outputs))["predictions"]
    assert {name: f"input `{name}`" in page for name in request.inputs} == dict.fromkeys(request.signature.inputs, True)
    (row,) = json.loads(body)["instances"]
    for name in row if isinstance(row, dict) else ():
        assert re.search(rf"^\| input `{name}` \| \S.*\], required", page, re.MULTILINE)
        without = {key: value for key, value in row.items() if key != name}
        with pytest.raises(RequestError, match=name):
            parse(json.dumps({"instances": [without]}).encode(), model)
