"""Overlays: each is, patched, what would have been written for its size, and all of its processes know the same."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.jobset import is_admitted
from tests.support.kustomize import (
    Object,
    assert_kubectl_builds,
    assert_schemas_accept,
    named,
    needs_kubectl,
    objects_in,
)
from tests.support.rendered_manifests import ROOT, rendered, wanted
from tfdqn.cluster.roles import Role
from tfdqn.cluster.topology import read_topology
from tfdqn.config import Config
from tfdqn.config.toml import parse
from tfdqn.launch.manifests.job_spec import Scale, with_gpus
from tfdqn.launch.manifests.platforms import Platform
from tfdqn.launch.manifests.render import render
from tfdqn.launch.manifests.sizes import SIZES

PLATFORMS = (Platform.KUBERNETES, Platform.JOBSET)
SIZED = {
    "small": replace(wanted("acting.actors=1"), scale=Scale(cpus=0.25, memory=0.5)),
    "gpu": replace(with_gpus(wanted(), 1), image="tfdqn:0.1.0-cuda"),
    "large": replace(wanted("acting.actors=16"), scale=Scale(cpus=2, memory=4, storage=4)),
}


def overlay(size: str, target: Platform = Platform.KUBERNETES, *overrides: str, **changes: object) -> list[Object]:
    return objects_in(rendered(target, *overrides, cuda_image="tfdqn:0.1.0-cuda", **changes), f"overlays/{size}")


def of(every: list[Object], kind: str, name: str) -> Object:
    (found,) = [each for each in every if named(each) == (kind, name)]
    return found


def container_of(every: list[Object], role: str) -> Object:
    kind = "StatefulSet" if role in ("replay-server", "parameter-server") else "Job"
    (container,) = of(every, kind, f"cartpole-parameter-server-{role}")["spec"]["template"]["spec"]["containers"]
    return container


def config_in(every: list[Object]) -> Config:
    return parse(of(every, "ConfigMap", "cartpole-parameter-server")["data"]["config.toml"].encode())


@pytest.mark.parametrize("target", PLATFORMS)
@pytest.mark.parametrize("size", SIZES)
def test_an_overlay_is_patched_what_would_have_been_written_for_its_size(size: str, target: Platform) -> None:
    assert overlay(size, target) == objects_in(render(target, SIZED[size]))


@needs_kubectl
@pytest.mark.parametrize(
    ("target", "size"), [(PLATFORMS[0], ""), *((PLATFORMS[0], size) for size in SIZES), (PLATFORMS[1], "gpu")]
)
def test_kubectl_builds_what_a_folder_names(size: str, target: Platform, tmp_path: Path) -> None:
    assert_kubectl_builds(rendered(target), tmp_path, f"overlays/{size}" if size else "")


@pytest.mark.parametrize(("target", "size"), [(PLATFORMS[0], "gpu"), (PLATFORMS[0], "large"), (PLATFORMS[1], "gpu")])
def test_kubernetes_and_jobset_accept_it(size: str, target: Platform) -> None:
    every = overlay(size, target)
    assert_schemas_accept(each for each in every if each["kind"] != "JobSet")
    assert all(is_admitted(each) for each in every if each["kind"] == "JobSet")


@pytest.mark.parametrize(("size", "actors"), [("small", 1), ("gpu", 4), ("large", 16)])
def test_all_processes_of_a_size_know_how_many_they_are(size: str, actors: int, tmp_path: Path) -> None:
    every = overlay(size)
    job = of(every, "Job", "cartpole-parameter-server-actor")["spec"]
    assert (job["completions"], job["parallelism"], job["backoffLimit"]) == (actors, actors, 20 * actors)
    assert config_in(every).acting.actors == actors
    files = of(every, "ConfigMap", "cartpole-parameter-server")["data"]
    (tmp_path / "cluster.json").write_text(files["cluster.json"])
    topology = read_topology(tmp_path / "cluster.json")
    # With another number of these it learns otherwise, or a run can't go on.
    counts = [topology.count(role) for role in (Role.WORKER, Role.PARAMETER_SERVER, Role.REPLAY_SERVER)]
    assert (topology.count(Role.ACTOR), counts) == (actors, [2, 1, 2])


def test_a_size_gives_pods_and_volumes_more_or_less() -> None:
    def given(every: list[Object]) -> dict[str, list[str]]:
        roles = ("learner", "worker", "actor", "replay-server")
        found = {role: container_of(every, role)["resources"] for role in roles}
        assert all(each["limits"]["memory"] == each["requests"]["memory"] for each in found.values())
        return {role: list(each["requests"].values()) for role, each in found.items()}

    def volumes(every: list[Object]) -> list[str]:
        run = of(every, "PersistentVolumeClaim", "cartpole-parameter-server-run")["spec"]
        servers = of(every, "StatefulSet", "cartpole-parameter-server-replay-server")["spec"]
        claims = [run, *(each["spec"] for each in servers["volumeClaimTemplates"])]
        return [each["resources"]["requests"]["storage"] for each in claims]

    base, small, large = objects_in(rendered(Platform.KUBERNETES)), overlay("small"), overlay("large")
    assert given(base) == {
        **{"learner": ["4", "4Gi"], "worker": ["2", "4Gi"], "actor": ["1", "2Gi"], "replay-server": ["2", "4Gi"]}
    }
    assert given(small) == {
        **{"learner": ["1", "2Gi"], "worker": ["500m", "2Gi"]},
        **{"actor": ["250m", "1Gi"], "replay-server": ["500m", "2Gi"]},
    }
    assert given(large) == {
        **{"learner": ["8", "16Gi"], "worker": ["4", "16Gi"], "actor": ["2", "8Gi"], "replay-server": ["4", "16Gi"]}
    }
    assert [volumes(each) for each in (base, small, large)] == [["20Gi", "10Gi"], ["20Gi", "10Gi"], ["80Gi", "40Gi"]]


@pytest.mark.parametrize(("asked", "given"), [(0, "1"), (4, "4")])
def test_the_gpu_size_gives_gpus_to_those_that_compute_gradients(asked: int, given: str) -> None:
    spec = with_gpus(wanted(), asked) if asked else wanted()
    every = objects_in(render(Platform.KUBERNETES, replace(spec, cuda_image="tfdqn:0.1.0-cuda")), "overlays/gpu")
    assert container_of(every, "worker")["resources"]["limits"]["nvidia.com/gpu"] == given
    assert "nvidia.com/gpu" not in container_of(every, "actor")["resources"]["limits"]
    assert container_of(every, "actor")["image"] == container_of(every, "worker")["image"] == "tfdqn:0.1.0-cuda"
    assert config_in(every).learner.min_gpus == int(given)
    # Nodes that are kept for such pods let them in, and none else of the job's.
    pods = {role: of(every, "Job", f"cartpole-parameter-server-{role}")["spec"] for role in ("worker", "actor")}
    tolerated = {role: each["template"]["spec"].get("tolerations") for role, each in pods.items()}
    assert tolerated == {
        "worker": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "actor": None,
    }


def test_an_image_of_one_s_own_is_that_of_every_size() -> None:
    every = objects_in(rendered(Platform.KUBERNETES, image="mine:1"), "overlays/gpu")
    assert container_of(every, "worker")["image"] == "mine:1"


@pytest.mark.parametrize(
    ("size", "overrides", "actors"),
    [
        # The frames of sixteen would not all be there when learning starts.
        ("large", ("task.frame_stack=2", "replay.item=frames", "agent.n_step=3", "replay.min_size=1000"), 4),
        ("large", ("acting.actors=500",), 1024),
    ],
)
def test_actors_are_as_many_as_the_configuration_allows(size: str, overrides: tuple[str, ...], actors: int) -> None:
    every = overlay(size, Platform.KUBERNETES, *overrides)
    assert config_in(every).acting.actors == actors


def test_the_page_says_what_the_example_asks_for_in_all() -> None:
    def total(every: list[Object]) -> tuple[int, int]:
        millicpus = gib = 0
        for spec in [each["spec"] for each in every if each["kind"] in ("Job", "StatefulSet", "Deployment")]:
            (container,) = spec["template"]["spec"]["containers"]
            count, asked = spec.get("replicas", spec.get("completions")), container["resources"]["requests"]
            millicpus += count * (int(asked["cpu"].removesuffix("m")) * (1 if asked["cpu"].endswith("m") else 1000))
            gib += count * int(asked["memory"].removesuffix("Gi"))
        return millicpus // 1000, gib

    base, small, large = (total(each) for each in (overlay("gpu"), overlay("small"), overlay("large")))
    page = " ".join((ROOT / "docs" / "deploy.md").read_text().split())
    assert (
        "asks for {} CPUs and {} GiB in all: {} and {} with `small`, {} and {} with `large`".format(
            *base, *small, *large
        )
        in page
    )


def test_every_size_is_on_the_page() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    assert set(re.findall(r"^\| `overlays/(\w+)` \|", page, flags=re.MULTILINE)) == set(SIZES)
