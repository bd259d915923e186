"""Manifests: a job's program as the files by which a platform runs it. One file is one target."""

from collections.abc import Callable

from tfdqn.launch.manifests import compose, kubernetes, slurm, tfjob, vertex
from tfdqn.launch.manifests.job_spec import JobSpec
from tfdqn.launch.manifests.platforms import Platform

_RENDERERS: dict[Platform, Callable[[JobSpec], dict[str, str]]] = {
    Platform.COMPOSE: compose.render,
    Platform.KUBERNETES: kubernetes.render,
    Platform.SLURM: slurm.render,
    Platform.TFJOB: tfjob.render,
    Platform.VERTEX: vertex.render,
}


def render(target: Platform, spec: JobSpec) -> dict[str, str]:
    """The files by which a platform runs a job: names and contents.

    Raises ConfigError where the configuration can't be run by many processes.
    """
    return _RENDERERS[target](spec)
