"""The Compose file, by the Compose specification's own schema, and by what the command line makes of its commands."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.rendered_manifests import EVERYBODY, member_of, rendered, topology_in
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.launch.manifests.platforms import Platform

# Compose's, as check-jsonschema brings it.
SCHEMA = json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text("utf-8"))


def compose(*overrides: str, **changes: object) -> dict[str, Any]:
    return yaml.safe_load(rendered(Platform.COMPOSE, *overrides, **changes)["compose.yaml"])


def processes(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in document["services"].items() if each.get("entrypoint") == ["tfdqn"]}


STRATEGIES = [
    (),
    ("learner.strategy=multi_worker",),
    ("learner.strategy=local",),
    (
        "ensemble.size=2",
        "ensemble.execution=processes",
        "ensemble.target=own",
        "learner.strategy=local",
        "replay.shards=1",
    ),
]


@pytest.mark.parametrize("overrides", STRATEGIES)
@pytest.mark.parametrize("changes", [{}, {"gpus": 2, "has_evaluator": False}])
def test_the_specification_s_schema_accepts_it(overrides: tuple[str, ...], changes: dict[str, Any]) -> None:
    document = compose(*overrides, **changes)
    jsonschema.validate(document, SCHEMA)
    document["services"]["learner-0"]["restarts"] = "always"
    with pytest.raises(jsonschema.ValidationError, match="restarts"):
        jsonschema.validate(document, SCHEMA)


def test_every_process_has_a_service_whose_name_is_its_address(tmp_path: Path) -> None:
    made = rendered(Platform.COMPOSE)
    services = processes(yaml.safe_load(made["compose.yaml"]))
    commands = {name: [*each["entrypoint"], *each["command"]] for name, each in services.items()}
    actor = commands.pop("actor")
    at = actor.index("--leases")
    for index in range(services["actor"]["scale"]):  # each of them finds out which it is
        commands[f"actor-{index}"] = [*actor[:at], "--index", str(index), *actor[at + 2 :]]
    process_ids = {
        name: member_of(command, made["config.toml"], made["cluster.json"], tmp_path)
        for name, command in commands.items()
    }
    assert len(process_ids) == len(EVERYBODY)
    assert set(process_ids.values()) == EVERYBODY
    topology = topology_in(tmp_path)
    for name, process_id in process_ids.items():
        if process_id.role not in (Role.ACTOR, Role.EVALUATOR):
            assert topology.address(process_id) == f"{name}:2222"
    assert topology.chief == "learner-0:2223"


def test_each_is_started_after_whom_it_needs_is_well() -> None:
    services = compose()["services"]
    needed = {name: set(each.get("depends_on", {})) for name, each in services.items()}
    assert needed["actor"] == {"storage", "learner-0", "replay-server-0", "replay-server-1"}
    assert needed["learner-0"] == {
        *("storage", "replay-server-0", "replay-server-1", "parameter-server-0", "worker-0", "worker-1")
    }
    assert needed["parameter-server-0"] == set()
    for each in processes({"services": services}).values():
        for name, condition in each.get("depends_on", {}).items():
            how = "service_completed_successfully" if name == "storage" else "service_healthy"
            assert condition == {"condition": how}


def test_health_is_asked_of_the_container_s_own_process(tmp_path: Path) -> None:
    from typer.main import get_command

    from tfdqn.cli import main

    verb = get_command(main.app).commands["health"]  # type: ignore[attr-defined]
    for name, each in processes(compose("health.dead_after_seconds=12.5")).items():
        kind, tfdqn, health, *arguments = each["healthcheck"]["test"]
        assert (kind, tfdqn, health) == ("CMD", "tfdqn", "health")
        given = verb.make_context("tfdqn health", arguments).params
        assert given["within"] == 12.5
        if name == "actor":
            assert given["role"] is None  # who it is, is not known here
        else:
            assert ProcessId(Role(given["role"]), given["index"]).file_stem.replace("_", "-") == name


def test_nobody_can_write_but_where_something_is_kept_or_reach_the_job_from_outside() -> None:
    document = compose()
    for name, each in document["services"].items():
        assert (each["read_only"], each["cap_drop"], each["tmpfs"]) == (True, ["ALL"], ["/tmp:mode=1777"])
        assert each["user"] == ("0:0" if name == "storage" else "10001:10001")
        keeps = ("storage", "actor", "learner", "evaluator", "replay-server", "tensorboard", "serving")
        assert ("volumes" in each) is name.startswith(keeps)
    for each in processes(document).values():
        assert each["networks"] == ["job"]
        assert "ports" not in each
        # A variable without a value would be the caller's; the job's own file says where everybody is.
        assert "TF_CONFIG" not in each["environment"]
    assert document["networks"]["job"] == {"internal": True}
    readers = {name: document["services"][name] for name in ("tensorboard", "serving")}
    assert all(each["init"] for each in document["services"].values())
    for each in readers.values():
        assert each["networks"] == ["view"]
        assert each["volumes"] == ["run:/var/lib/tfdqn:ro"]
    assert readers["tensorboard"]["ports"] == ["127.0.0.1:6006:6006"]
    assert readers["serving"]["ports"] == ["127.0.0.1:8501:8501", "127.0.0.1:8500:8500"]


def test_a_process_comes_back_unless_it_ended_well_and_readers_always() -> None:
    services = compose()["services"]
    policies = {name: each["restart"] for name, each in services.items()}
    # 0 is the end of its part; 75, a crash or a kill is not: docs/jobs.md.
    assert {policies.pop(name) for name in processes({"services": services})} == {"on-failure"}
    assert policies == {"storage": "no", "tensorboard": "unless-stopped", "serving": "unless-stopped"}


def test_tensorflow_serving_reads_what_the_run_exports_on_request() -> None:
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    from tfdqn.storage.run_directory import RunDir

    files = rendered(Platform.COMPOSE)
    document = yaml.safe_load(files["compose.yaml"])
    serving = document["services"]["serving"]
    assert serving["profiles"] == ["serving"]  # `docker compose up` alone needs no other image
    assert serving["image"] == "tensorflow/serving:2.15.1"
    found = {each["target"]: document["configs"][each["source"]]["file"] for each in serving["configs"]}
    options = dict(word.partition("=")[::2] for word in serving["command"])
    models = text_format.Parse(
        files[Path(found[options["--model_config_file"]]).name], model_server_config_pb2.ModelServerConfig()
    )
    (model,) = models.model_config_list.config
    assert (model.name, model.base_path) == (document["name"], str(RunDir("/var/lib/tfdqn/run").exports))
    assert "max_batch_size" in files[Path(found[options["--batching_parameters_file"]]).name]
    assert "--enable_batching" in options


def test_processes_that_compute_gradients_have_gpus_of_their_own() -> None:
    def devices(*overrides: str) -> dict[str, list[str]]:
        return {
            name: each["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"]
            for name, each in compose(*overrides, gpus=2)["services"].items()
            if "deploy" in each
        }

    assert devices() == {"worker-0": ["0", "1"], "worker-1": ["2", "3"]}
    assert devices("learner.strategy=multi_worker") == {"learner-0": ["0", "1"], "worker-0": ["2", "3"]}
    assert devices("learner.strategy=mirrored") == {"learner-0": ["0", "1"]}
    assert not any("deploy" in each for each in compose()["services"].values())
    with_gpus = compose(gpus=2)["services"]
    unlimited = {name for name, each in with_gpus.items() if each.get("ulimits") == {"memlock": -1}}
    assert unlimited == {"worker-0", "worker-1"}  # NCCL locks pages


def test_what_is_compiled_for_gpus_is_kept_on_a_volume_that_all_of_them_share() -> None:
    document = compose("learner.strategy=multi_worker", gpus=1)
    for name in ("learner-0", "worker-0"):
        service = document["services"][name]
        assert service["environment"]["CUDA_CACHE_PATH"] == "/var/lib/tfdqn-cuda"
        assert "cuda:/var/lib/tfdqn-cuda" in service["volumes"] and "storage" in service["depends_on"]
    storage = document["services"]["storage"]
    assert "/var/lib/tfdqn-cuda" in storage["command"] and "cuda:/var/lib/tfdqn-cuda" in storage["volumes"]
    assert "cuda" in document["volumes"] and "cuda" not in compose()["volumes"]
    assert "CUDA_CACHE_PATH" not in document["services"]["actor"]["environment"]


def test_without_its_logs_there_is_no_tensorboard_and_without_an_evaluator_none() -> None:
    names = set(compose("logging.tensorboard=false", has_evaluator=False)["services"])
    assert not names & {"tensorboard", "evaluator-0"}


def test_actors_are_as_many_as_one_says_and_hold_their_leases_where_all_of_them_see_it() -> None:
    document = compose("acting.actors=7")
    services = document["services"]
    actor = services["actor"]
    assert actor["scale"] == 7
    (volume,) = actor["volumes"]
    assert volume.split(":")[1] == actor["command"][actor["command"].index("--leases") + 1]
    assert volume in services["storage"]["volumes"]  # who gives it to their user
    assert volume.split(":")[1] in services["storage"]["command"]
    assert not any("scale" in each for name, each in services.items() if name != "actor")
