"""Manifests: a job's program as the files by which a platform runs it. One file is one target."""

from collections.abc import Callable

from tfdqn.launch.manifests import compose, kubernetes, slurm, tfjob, vertex
from tfdqn.launch.manifests.job_spec import Wanted
from tfdqn.launch.manifests.platforms import Target

_RENDERERS: dict[Target, Callable[[Wanted], dict[str, str]]] = {
    Target.COMPOSE: compose.render,
    Target.KUBERNETES: kubernetes.render,
    Target.SLURM: slurm.render,
    Target.TFJOB: tfjob.render,
    Target.VERTEX: vertex.render,
}


def render(target: Target, wanted: Wanted) -> dict[str, str]:
    """The files by which a platform runs a job: names and contents.

    Raises ConfigError where the configuration can't be run by many processes.
    """
    return _RENDERERS[target](wanted)
