"""Sizes of a job on Kubernetes: a Kustomize overlay for each, which patches what differs from the base.

A size changes the number of actors, which may change in any run, and the resources of pods and volumes. It keeps the
numbers of replay servers, workers and parameter servers, which change how the job learns and what a run can resume. The
ConfigMap is patched as well, since all processes of a job must have the same configuration.
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
    """For trials, such as in a cluster on a laptop: one actor, a quarter of the processors, half of the memory."""
    return _with_actors(replace(spec, scale=Scale(cpus=0.25, memory=0.5)), 1)


def _gpu(spec: JobSpec) -> JobSpec:
    """The same job with at least one GPU for each process that computes gradients."""
    return with_gpus(spec, max(spec.gpus, 1))


def _large(spec: JobSpec) -> JobSpec:
    """For images and large networks: four times the actors, memory and volumes, and twice the processors."""
    actors = min(4 * spec.config.acting.actors, _MOST_ACTORS)
    return _with_actors(replace(spec, scale=Scale(cpus=2, memory=4, storage=4)), actors)


SIZES = {"small": _small, "gpu": _gpu, "large": _large}


def in_sizes(spec: JobSpec, objects: Callable[[JobSpec], Objects]) -> dict[str, str]:
    """The files of a kustomization by path: the base, which the top folder names, and the overlays.

    `objects` makes a job's objects, by the names of their files. Raises ConfigError as `objects`.
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
    """The job with so many actors; unchanged if its configuration doesn't allow them."""
    with suppress(ConfigError):
        config: Config = parse(spec.config_toml.encode(), [f"acting.actors={actors}"])
        return replace(spec, config=config)
    return spec


def _patches(base: Objects, sized: Objects) -> Iterator[dict[str, Any]]:
    """A JSON patch (RFC 6902) for each object of the base that differs in the size."""
    for name, documents in base.items():
        for before, after in zip(documents, sized[name], strict=True):
            if operations := list(_operations("", before, after)):
                target = {"kind": before["kind"], "name": before["metadata"]["name"]}
                # The end is marked because Kustomize strips trailing white space, which may belong to a block of text.
                yield {"target": target, "patch": to_yaml(operations, header="") + "...\n"}


def _operations(path: str, before: object, after: object) -> Iterator[dict[str, Any]]:
    """The operations that turn `before` into `after`, which has all its keys and at least as many list elements."""
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
