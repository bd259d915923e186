"""Vertex AI's CustomJob, by Google's own description of it, and by what each machine makes of the service's word."""

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.rendered_manifests import EVERYBODY, STRATEGIES, below_init, changed, rendered, share_of
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.launch.manifests.platforms import Platform

NAMES = ("/tmp/config.toml", "/mnt/nfs/tfdqn/runs/cartpole-parameter-server")


def strict(described: dict[str, Any]) -> dict[str, Any]:
    """A schema of Google's discovery document as JSON Schema: what isn't named isn't allowed."""
    made: dict[str, Any] = {}
    if "$ref" in described:
        return {"$ref": f"#/definitions/{described['$ref']}"}
    if described["type"] != "any":
        # JSON's form of protocol buffers takes either.
        is_large = described.get("format") == "int64"
        made["type"] = ["string", "integer"] if is_large else described["type"]
    if "enum" in described:
        made["enum"] = described["enum"]
    if "items" in described:
        made["items"] = strict(described["items"])
    if described["type"] == "object":
        made["properties"] = {name: strict(each) for name, each in described.get("properties", {}).items()}
        others = described.get("additionalProperties")
        made["additionalProperties"] = strict(others) if others else False
    return made


def schema() -> dict[str, Any]:
    """Of a CustomJobSpec."""
    folder = files("googleapiclient") / "discovery_cache" / "documents"
    described = json.loads((folder / "aiplatform.v1.json").read_text("utf-8"))["schemas"]
    return {
        "$ref": "#/definitions/GoogleCloudAiplatformV1CustomJobSpec",
        "definitions": {name: strict(each) for name, each in described.items()},
    }


DESCRIPTION = jsonschema.Draft202012Validator(schema())


def job(*overrides: str, **changes: object) -> dict[str, Any]:
    return yaml.safe_load(rendered(Platform.VERTEX, *overrides, **changes)["custom-job.yaml"])


def pools(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Those that have machines, by the name that their place gives them."""
    return {f"workerpool{i}": each for i, each in enumerate(job["workerPoolSpecs"]) if each}


@pytest.mark.parametrize("overrides", STRATEGIES)
@pytest.mark.parametrize("changes", [{}, {"gpus": 2, "has_evaluator": False}])
def test_google_s_description_has_everything(overrides: tuple[str, ...], changes: dict[str, Any]) -> None:
    made = job(*overrides, **changes)
    DESCRIPTION.validate(made)
    assert 1 <= len(made["workerPoolSpecs"]) <= 4
    assert made["workerPoolSpecs"][0]["replicaCount"] == 1  # the service demands it of the first pool


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), "workerPools", []),
        (("scheduling",), "timeout", 60),
        (("workerPoolSpecs", 0), "replica_count", 1),
        (("workerPoolSpecs", 0), "replicaCount", 1.5),
        (("workerPoolSpecs", 0, "machineSpec"), "acceleratorType", "NVIDIA_TESLA_T5"),
        (("workerPoolSpecs", 0, "containerSpec"), "image", "tfdqn"),
        (("workerPoolSpecs", 0, "containerSpec", "env", 0), "valueFrom", {}),
        (("workerPoolSpecs", 0, "nfsMounts", 0), "mountPath", "/run"),
    ],
)
def test_what_google_does_not_describe_is_found(path: tuple[Any, ...], key: str, value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        DESCRIPTION.validate(changed(job(), path, key, value))


def cluster_spec(made: dict[str, Any], pool: str, index: int) -> str:
    """As the service sets it; a pool without machines is left out."""
    cluster = {
        name: [f"cmle-training-{name}-ab-{i}:2222" for i in range(each["replicaCount"])]
        for name, each in pools(made).items()
    }
    return json.dumps({"cluster": cluster, "environment": "cloud", "task": {"type": pool, "index": index, "trial": ""}})


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
@pytest.mark.parametrize(
    ("overrides", "everybody"),
    [
        ((), EVERYBODY),
        (
            ("learner.strategy=local",),
            {process_id for process_id in EVERYBODY if process_id.role not in (Role.WORKER, Role.PARAMETER_SERVER)},
        ),
    ],
)
def test_every_machine_runs_its_share_and_all_are_there_once(
    overrides: tuple[str, ...], everybody: set[ProcessId], tmp_path: Path
) -> None:
    made = job(*overrides)
    found = []
    for pool, each in pools(made).items():
        for index in range(each["replicaCount"]):
            command, configuration = as_the_container_runs_it(each["containerSpec"], tmp_path)
            environment = {
                "CLUSTER_SPEC": cluster_spec(made, pool, index),
                "TF_CONFIG": json.dumps({"cluster": {}, "task": {"type": "chief", "index": 0}}),
            }
            share = share_of(command, configuration, environment, tmp_path, NAMES)
            found += [process.id for process in share.processes]
    assert len(found) == len(everybody)
    assert set(found) == everybody
    assert share.topology.address(LEARNER) == "cmle-training-workerpool0-ab-0:2222"


def as_the_container_runs_it(container: dict[str, Any], folder: Path) -> tuple[list[str], str]:
    """What becomes of the process, with its arguments, and the configuration that it finds."""
    stand_in = folder / "bin" / "tini"
    stand_in.parent.mkdir(exist_ok=True)
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    shell, option, script, name = container["command"]
    assert (shell, option) == ("sh", "-c")
    here = script.replace(NAMES[0], str(folder / "found.toml"))
    variables = {each["name"]: each["value"].replace("$$(", "$(") for each in container["env"]}
    done = subprocess.run(
        [shell, option, here, name, *container["args"]],
        env=variables | {"PATH": f"{stand_in.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return below_init(["tini", *done.stdout.splitlines()]), (folder / "found.toml").read_text()


def test_the_configuration_arrives_as_it_is_whatever_stands_in_it(tmp_path: Path) -> None:
    made = job("task.kwargs.name=\"$(HOME) '$HOME' %s\"")
    container = made["workerPoolSpecs"][0]["containerSpec"]
    assert "$$(HOME)" in json.dumps(container["env"])  # the service makes one dollar of two
    _, configuration = as_the_container_runs_it(container, tmp_path)
    assert "$(HOME) '$HOME' %s" in configuration


def test_machines_have_room_for_the_fullest_and_accelerators_where_gradients_are_computed() -> None:
    def machines(*overrides: str, **changes: object) -> dict[str, tuple[str, int]]:
        return {
            name: (each["machineSpec"]["machineType"], each["machineSpec"].get("acceleratorCount", 0))
            for name, each in pools(job(*overrides, **changes)).items()
        }

    assert machines() == {
        "workerpool0": ("n1-standard-8", 0),
        "workerpool1": ("n1-standard-4", 0),
        "workerpool2": ("n1-standard-8", 0),
        "workerpool3": ("n1-standard-4", 0),
    }
    for count in (1, 2, 4):
        assert machines(gpus=count)["workerpool1"] == ("n1-standard-4", count)
    assert machines("learner.strategy=local", gpus=1)["workerpool0"] == ("n1-standard-8", 1)
    assert machines("learner.strategy=local").keys() == {"workerpool0", "workerpool2", "workerpool3"}
    many = pools(job("acting.actors=100"))["workerpool3"]
    assert (many["replicaCount"], many["machineSpec"]["machineType"]) == (7, "n1-standard-16")


def test_the_run_is_on_a_file_system_that_all_machines_share() -> None:
    for each in pools(job()).values():
        assert [mount["mountPoint"] for mount in each["nfsMounts"]] == ["tfdqn"]
