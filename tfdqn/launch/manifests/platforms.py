"""`Platform`: the platforms that a job's manifest can be written for."""

from enum import StrEnum


class Platform(StrEnum):
    """What runs the job."""

    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    SLURM = "slurm"
    TFJOB = "tfjob"
    VERTEX = "vertex"
