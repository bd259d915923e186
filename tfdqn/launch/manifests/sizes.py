"""Sizes of a job on Kubernetes: an overlay of Kustomize for each, which patches what differs from its base.

A size changes how many actors there are, which any run may go on with, and what pods and volumes are given. Replay
servers, workers and parameter servers stay: their numbers change how it learns, and what a run can resume. All of a
job's processes must know the same, so its ConfigMap is patched, too.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from tfdqn.config import Config
from tfdqn.config.toml import parse
from tfdqn.errors import ConfigError
from tfdqn.launch.manifests.job_spec import JobSpec, Scale, to_yaml, with_gpus
from tfdqn.launch.manifests.kubernetes_objects import kustomization

Objects = dict[str, list[dict[str, Any]]]
_MOST_ACTORS = 1024


def _small(spec: JobSpec) -> JobSpec:
    """For a cluster on a laptop, and to try things out: one actor, little of everything."""
    return _with_actors(replace(spec, scale=Scale(cpus=0.25, memory=0.5)), 1)


def _gpu(spec: JobSpec) -> JobSpec:
    """As asked for, with a GPU, if no more are asked for, for each process that computes gradients."""
    return with_gpus(spec, max(spec.gpus, 1))


def _large(spec: JobSpec) -> JobSpec:
    """For pictures and large networks: four times the actors, twice the processors, four times memory and volumes."""
    actors = min(4 * spec.config.acting.actors, _MOST_ACTORS)
    return _with_actors(replace(spec, scale=Scale(cpus=2, memory=4, storage=4)), actors)


SIZES = {"small": _small, "gpu": _gpu, "large": _large}


def in_sizes(spec: JobSpec, objects: Callable[[JobSpec], Objects]) -> dict[str, str]:
    """A kustomization's files: the base, which the folder itself names, and the overlays.

    Args:
      objects: of a job, by the file in which they stand. Raises ConfigError.
    """
    base = objects(spec)
    files = {f"base/{name}": to_yaml(*documents) for name, documents in base.items()}
    overlays = {
        f"overlays/{name}/kustomization.yaml": kustomization(
            ["../../base"], patches=list(_patches(base, objects(size(spec))))
        )
        for name, size in SIZES.items()
    }
    return {
        "kustomization.yaml": kustomization(["base"]),
        "base/kustomization.yaml": kustomization(list(base)),
        **files,
        **overlays,
    }


def _with_actors(spec: JobSpec, actors: int) -> JobSpec:
    """With as many as that, where the configuration can be learned with them."""
    with suppress(ConfigError):
        config: Config = parse(spec.config_toml.encode(), [f"acting.actors={actors}"])
        return replace(spec, config=config)
    return spec


def _patches(base: Objects, sized: Objects) -> Iterator[dict[str, Any]]:
    """For each object that differs, the operations that make the one of the base that of the size (RFC 6902)."""
    for name, documents in base.items():
        for before, after in zip(documents, sized[name], strict=True):
            if operations := list(_operations("", before, after)):
                target = {"kind": before["kind"], "name": before["metadata"]["name"]}
                # With its end marked: Kustomize takes the white space at the end away, that of a last text, too.
                yield {"target": target, "patch": to_yaml(operations, header="") + "...\n"}


def _operations(path: str, before: object, after: object) -> Iterator[dict[str, Any]]:
    """A size adds to what there is, or gives it another value."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() <= after.keys():
        for key, value in after.items():
            inner = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key in before:
                yield from _operations(inner, before[key], value)
            else:
                yield {"op": "add", "path": inner, "value": value}
    elif isinstance(before, list) and isinstance(after, list) and len(before) <= len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from _operations(f"{path}/{i}", one, other)
        for value in after[len(before) :]:
            yield {"op": "add", "path": f"{path}/-", "value": value}
    elif before != after:
        yield {"op": "replace", "path": path, "value": after}
